"""The exit statuses of the commands that move money, and which one tells the truth when the result cannot be told."""

from __future__ import annotations

__all__ = [
    "BUSY",
    "DECISIONS",
    "DONE",
    "HELD",
    "INTERRUPTED",
    "NOT_ENDED",
    "OTHER_SETTINGS",
    "REFUSED",
    "UNKNOWN",
    "UNTOLD",
    "USAGE",
    "untold",
]

#: All of it took effect.
DONE = 0
#: Vipps refused, or was not reached: no money moved. In a batch: some rows were refused or not done.
REFUSED = 1
#: Wrong use, input or settings: nothing was sent.
USAGE = 2
#: The outcome is not known: money may have moved. In a batch also: another amount moved than was asked for.
UNKNOWN = 3
#: A batch on many machines goes on.
NOT_ENDED = 4
#: Rows of a batch were held: they may be what was done before.
HELD = 5
#: Another process has the journal: nothing was sent.
BUSY = 6
#: A batch, or a database of batches, is of another sales unit, environment or host: nothing was sent.
OTHER_SETTINGS = 7
#: It was carried out, but the result or the report could not be written where it belongs.
UNTOLD = 8
#: Ended by Ctrl-C or SIGTERM (128 + SIGINT).
INTERRUPTED = 130

#: The statuses of `journal send` and `journal drop` for people.
DECISIONS = (
    "Exit status 0: it took effect, or is dropped; 1: Vipps refused it, or somebody was asked and said no: no money "
    "moved by this command; 2: wrong use or settings, or no open operation has this key, and nothing was sent; 3: it "
    "stays open, or was carried out otherwise than asked; 6: another process has the journal or the operation, and "
    "nothing was sent; 8: it was done, but could not be printed; 130: ended by Ctrl-C."
)


def untold(status: int) -> int:
    """Return the status of a command whose result could not be written, once a request has left."""
    return status if status in {UNKNOWN, INTERRUPTED} else UNTOLD

"""How a command ends: its exit status, and what each means, for its help."""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """How a command ended."""

    #: All of it took effect.
    DONE = 0
    #: Vipps refused, or was not reached, or somebody was asked and said no: no money moved. In a batch: some rows were
    #: refused or not done.
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
    UNPRINTED = 8
    #: Ended by Ctrl-C or SIGTERM (128 + SIGINT).
    INTERRUPTED = 130


#: What each means, where a command does not say it more exactly.
_COMMON = {
    ExitStatus.DONE: "done",
    ExitStatus.REFUSED: "Vipps refused, or was not reached, or you said no, and no money moved by this command",
    ExitStatus.USAGE: "wrong use, input or settings, and nothing was sent",
    ExitStatus.UNKNOWN: "some of unknown outcome, or carried out otherwise than asked",
    ExitStatus.NOT_ENDED: "it has not ended yet",
    ExitStatus.HELD: "some held",
    ExitStatus.BUSY: "another process has the journal, and nothing was sent",
    ExitStatus.OTHER_SETTINGS: "the batches are of another sales unit, environment or host",
    ExitStatus.UNPRINTED: "it was done, but the result or the report could not be written where it belongs",
    ExitStatus.INTERRUPTED: "ended by Ctrl-C or SIGTERM: see what it says",
}
#: What a command ends with: where it says nothing behind a status, it means by it what all do.
_TOLD = {
    "batch": "0: all done; 1: some refused or not done, or you said no; 2; 3; 5; 6; 8; 130",
    "batch status": "0: all done; 1: some refused or not done; 2; 3; 4",
    "batch submit": "0: it is there; 1: you said no, and nothing was submitted; 2; 3: the database has not said "
    "whether it is there; 5: it is there, and some rows are held; 7: the schema is of other settings; 8",
    "batch withdraw": "0; 2; 8",
    "batch work": "0: it came to its end; 1: it cannot work, such as with keys that are not accepted; 2; 7; 130: "
    "stopped",
    "doctor": "0: nothing failed (there may be warnings); 1: something failed; 2: wrong use",
    "journal": "2: it could not be done at all; 6; 8",
    "journal check": "0: there is none; 1: rows that cannot be read are listed, and everything else can be used; 2: "
    "the journal cannot be used",
    "journal discard": "0: it is deleted; 1: you said no; 2: it can be read, or is not there, and nothing was deleted; "
    "6; 8",
    "journal rebind": "0: it is bound to it; 1: you said no; 2: wrong use or settings, or it could not be found out, "
    "and nothing was changed; 6; 7: it is another Vipps, and nothing was changed; 8",
    "journal reconcile": "0: all agree; 1: some differ, or one side alone has them; 2; 3: none do, but some could not "
    "be read, may appear later or are open since that day or before; 6; 8",
    "journal recover": "0: nothing is open any more; 1: something is, or you said no, and nothing was sent",
    "journal send": "0: it took effect, or is dropped; 1: Vipps refused it, or you said no, and no money moved by this "
    "command; 2: wrong use or settings, or no open operation has this key, and nothing was sent; 3: it stays open, or "
    "was carried out otherwise than asked; 6: another process has the journal or the operation, and nothing was sent; "
    "8; 130",
    "payment": "0; 1; 2: wrong use or settings, or a journal that cannot be used, and nothing was sent; 3: the outcome "
    "is not known, of this or of what is undecided of the payment; 6; 8; 130",
    "payment show": "0; 1: Vipps refused, or was not reached; 2; 8; 130",
    "webhooks": "0; 1: Vipps refused, or was not reached, and nothing was changed; 2; 3: it is not known whether it "
    "was done: look with webhooks list; 8; 130",
}


def exit_statuses(command: str) -> str:
    """Say in the help of a command, or of commands that go by it, which exit statuses it has."""
    told = (each.partition(": ")[::2] for each in _TOLD[command].split("; "))
    texts = [f"{status}: {text or _COMMON[ExitStatus(int(status))]}" for status, text in told]
    return f"Exit status {'; '.join(texts)}."


def unprinted(status: int) -> int:
    """Return the status of a command whose result could not be written, once a request has left."""
    return status if status in {ExitStatus.UNKNOWN, ExitStatus.INTERRUPTED} else ExitStatus.UNPRINTED

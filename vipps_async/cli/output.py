"""Prints the output of commands: escaped for terminals, and safe against full disks."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson
from attrs import define

from vipps_async.cli.exit_status import ExitStatus
from vipps_async.errors import VippsError
from vipps_async.printable import escaped

#: How wide a terminal is at least: what people read fits into it.
COLUMNS = 80


def columns() -> int | None:
    """Return how wide the terminal is that results go to; None: they go to none, where each row stays on one line."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size((COLUMNS, 24)).columns


# --- what was printed -------------------------------------------------------------------------------------------------

#: What each error begins with.
_PREFIX = "vipps-async: "


@define
class Printed:
    """What a command has printed so far."""

    #: Whether anything went to standard output.
    has_result: bool = False
    #: What kept it from going well, or else the last line that was said.
    text: str = ""
    is_error: bool = False
    #: The same as an exception; None: it was none.
    error: VippsError | None = None

    def add(self, text: str) -> None:
        """Take note of a line for people."""
        if text.startswith(_PREFIX) or (text.strip() and not self.is_error):
            self.text, self.is_error = plain(text.removeprefix(_PREFIX)), text.startswith(_PREFIX)


_printed = Printed()


@contextlib.contextmanager
def recorded() -> Iterator[Printed]:
    """Return what is printed meanwhile."""
    global _printed  # noqa: PLW0603 - as the streams are: a process runs one command
    before, _printed = _printed, Printed()
    try:
        yield _printed
    finally:
        _printed = before


# --- printing ---------------------------------------------------------------------------------------------------------


def note_error(text: str) -> None:
    """Take note of what kept a command from going well, and was said otherwise."""
    _printed.add(f"{_PREFIX}{text}")


def say_error(error: object) -> None:
    """Say on one line what kept a command from going well."""
    if isinstance(error, VippsError):
        _printed.error = error
    say(f"{_PREFIX}{plain(error)}")


def say(text: str, *, end: str = "\n") -> None:
    """Write a line to standard error; where nobody can read it, it is lost.

    Line breaks stay as they are; everything else that would steer a terminal is written as an escape, here and in
    `emit` and `emit_lines`: what Vipps answers and what a file says could hold it.

    Args:
        text: what to write. A text from outside that belongs on one line goes through `plain` first.
        end: what comes behind it.
    """
    _printed.add(text)
    if sys.stderr is None:
        # Closed by whoever started the process.
        return
    try:
        print(escaped(text, keep="\n"), end=end, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        discard(sys.stderr)


def show(text: str) -> None:
    """Write a line to standard output, for commands that move no money.

    Raises:
        OSError: it cannot be written; where nobody reads, that ends the command, and nothing is lost by it.
    """
    _write((text, "\n"))


def _write(pieces: Iterable[str], *, keep: str = "\n") -> None:
    if sys.stdout is not None:
        for piece in pieces:
            _printed.has_result = True
            sys.stdout.write(escaped(piece, keep=keep))
        sys.stdout.flush()


def emit(text: str) -> bool:
    """Write a result to standard output, or else to standard error; returns whether it went where it belongs."""
    if emit_lines((text, "\n")):
        return True
    say(text)
    return False


def finish(status: int, text: str) -> int:
    """Print a result; returns a status, or UNPRINTED where the text could not be written where it belongs."""
    return status if emit(text) else ExitStatus.UNPRINTED


def emit_lines(pieces: Iterable[str], *, keep: str = "\n") -> bool:
    """Write a longer text to standard output piece by piece; returns whether all of it could be written.

    Args:
        pieces: what to write, with its line breaks.
        keep: characters that stay as they are.
    """
    if sys.stdout is None:
        return False
    try:
        _write(pieces, keep=keep)
    except (OSError, ValueError) as error:
        discard(sys.stdout)
        say(f"vipps-async: the result could not be written to standard output: {plain(error)}")
        return False
    return True


def plain(text: object) -> str:
    """Make a text from outside fit to be shown: on one line, and without what steers a terminal.

    An error of the system is told as people read it, with the file that it is about and without its number.
    """
    if isinstance(text, OSError) and text.strerror:
        named = "" if text.filename is None else f"{os.fsdecode(text.filename)}: "
        text = f"{named}{text.strerror.lower()}"
    return " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())


def folded(parts: Sequence[str], indent: int, width: int | None) -> str:
    """Join the parts of a row; what does not fit into the width goes below, indented, each part whole. None: one line.

    Args:
        parts: of the row; an empty one is left out.
        indent: in characters, of all lines but the first.
        width: as `columns` gives it.
    """
    first, *further = filter(None, parts)
    lines = [first]
    for part in further:
        if width is None or len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines.append(f"{'':{indent}}{part}")
    return "\n".join(lines)


def wrapped(text: str, indent: int, *, width: int = COLUMNS) -> str:
    """Wrap a text; lines but the first are indented.

    A word that is too long for that, such as a path, stays whole, so that it can be copied: its line is indented less.
    """
    filled = textwrap.fill(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    first, *further = filled.splitlines() or [""]
    if len(first) > width:
        # The first line begins behind a heading: what does not fit goes below it.
        first, further = "", [first, *further]
    fitting = [line[len(line) - max(width, len(line.lstrip())) :] if len(line) > width else line for line in further]
    return "\n".join([first.lstrip(), *fitting])


def json_line(facts: Mapping[str, object]) -> str:
    """Write one JSON object; a decimal number is written as text, so that none of it is lost."""
    return orjson.dumps(facts, default=str).decode()


def discard(stream: object) -> None:
    """Lead a stream that cannot be written into nowhere.

    What is left in its buffer would fail once more when Python flushes it at the end, and then decide about the exit
    status (documentation of SIGPIPE).
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]
        finally:
            os.close(nowhere)

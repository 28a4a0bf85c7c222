"""Where `--report` may write: to a regular file that is nothing else, or to standard output; checked beforehand."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attrs import frozen

from vipps_async.batch.reading import BatchFileError, FileFormat
from vipps_async.cli.output import plain, say, tell_lines

__all__ = ["STDOUT", "ReportFile", "add_report", "report_file"]

#: Standard output, as the command line names it.
STDOUT = "-"


@frozen
class ReportFile:
    """Where a report goes; checked."""

    #: None: standard output.
    path: Path | None

    async def write(self, write: Callable[[Path, FileFormat], None], *, quiet: bool = False) -> bool:
        """Write a report, whole or not at all, and say how that went; returns whether it is there.

        Args:
            write: writes it to a path; blocking.
            quiet: says nothing where all goes well.
        """
        try:
            if self.path is None:
                return await asyncio.to_thread(_print, write)
            _check_kind(self.path)
            await asyncio.to_thread(write, self.path, _format(self.path))
        except (OSError, sqlite3.Error, BatchFileError) as error:
            say(f"vipps-async: the report could not be written: {plain(error)}")
            return False
        if not quiet:
            say(f"Report: {self.path}")
        return True


def add_report(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Give a command the option `--report`."""
    parser.add_argument(
        "--report", metavar="PATH", help=f"a line for each row: a regular file, .csv or .jsonl, or - ({default})"
    )


def report_file(given: str, *, others: Iterable[str | Path]) -> ReportFile:
    """Check where a report is to go.

    Args:
        given: what the command line says.
        others: files that it must not be: the input (`-` is standard input) and the journal.

    Raises:
        BatchFileError: it is a directory, a device, a FIFO, a link or one of the others, or cannot be made.
    """
    if given == STDOUT:
        return ReportFile(None)
    path = Path(given)
    if not path.parent.is_dir():
        raise BatchFileError(f"there is no directory {path.parent} for the report", advice=_ADVICE)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BatchFileError(f"the report's directory {path.parent} cannot be written", advice=_ADVICE)
    found = _check_kind(path)
    for other in others:
        if _is_same(path, found, other):
            raise BatchFileError(f"the report {path} would overwrite {_named(other)}", advice=_ADVICE)
    return ReportFile(path)


_ADVICE = "name another file for --report, or - for standard output"


def _check_kind(path: Path) -> os.stat_result | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        raise BatchFileError(f"the report {path} is {kind}", advice=_ADVICE)
    return found


def _is_same(path: Path, found: os.stat_result | None, other: str | Path) -> bool:
    try:
        theirs = os.fstat(0) if str(other) == "-" else Path(other).stat()
    except OSError:
        # It is not there yet, as a journal may be.
        return str(other) != "-" and Path(other).absolute() == path.absolute()
    return found is not None and os.path.samestat(found, theirs)


def _named(other: str | Path) -> str:
    return "standard input" if str(other) == "-" else f"the file {other}, which is read or written here"


def _format(path: Path) -> FileFormat:
    return FileFormat.JSONL if path.suffix.lower() in {".jsonl", ".ndjson"} else FileFormat.CSV


def _print(write: Callable[[Path, FileFormat], None]) -> bool:
    # Whole or not at all, on standard output too.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.csv"
        write(path, FileFormat.CSV)
        # With the line breaks of CSV (RFC 4180), as the file has them.
        return tell_lines(_lines(path), keep="\t\r\n")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from stream

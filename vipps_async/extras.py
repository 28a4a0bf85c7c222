"""The error for a library that is not installed: it names the extra that brings it."""

from __future__ import annotations


def text_for_missing(what: str, extra: str) -> str:
    """Return the message for a use of `what` without the extra that it needs.

    No command: where the package comes from differs, and the page "Installing" of the documentation has it.
    """
    return f"{what} needs the extra {extra!r}: install vipps_async with it; 'Installing' in the documentation says how"


def missing_extra(what: str, extra: str, error: ModuleNotFoundError) -> ImportError:
    """Return the error to raise for a library that is not there; one of this package's own modules is a bug.

    Args:
        what: what was asked for, under its public name.
        extra: the extra that brings the library.
        error: the failed import.
    """
    if (error.name or "").partition(".")[0] == "vipps_async":
        return error
    return ImportError(text_for_missing(what, extra), name=error.name)

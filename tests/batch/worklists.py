"""Worklists that are closed after the test that made them."""

from __future__ import annotations

from contextlib import ExitStack

from vipps_async.batch.worklist import Worklist

__all__ = ["close_worklists", "new_worklist"]

_opened = ExitStack()


def new_worklist() -> Worklist:
    """Make a worklist; whoever wants to may close it sooner."""
    return _opened.enter_context(Worklist())


def close_worklists() -> None:
    """Close all that were made so far."""
    _opened.close()

"""RowStores that are closed after the test that made them."""

from __future__ import annotations

from contextlib import ExitStack

from vipps_async.batch.row_store import RowStore

__all__ = ["close_row_stores", "new_row_store"]

_opened = ExitStack()


def new_row_store() -> RowStore:
    """Make a store; whoever wants to may close it sooner."""
    return _opened.enter_context(RowStore())


def close_row_stores() -> None:
    """Close all that were made so far."""
    _opened.close()

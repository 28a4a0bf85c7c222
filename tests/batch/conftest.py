"""What every test of batches leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.batch.row_stores import close_row_stores


@pytest.fixture(autouse=True)
def _closed_row_stores() -> Iterator[None]:
    yield
    close_row_stores()

"""What every test of batches leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.batch.worklists import close_worklists


@pytest.fixture(autouse=True)
def _closed_worklists() -> Iterator[None]:
    yield
    close_worklists()

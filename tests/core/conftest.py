"""Settings and fixtures of core's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.faults.shop import Shop, open_shop
from vipps_async.core import recovery_limit

# A slow machine is no defect of the code: these tests measure no real time.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop with one order over 500 kr that is reserved."""
    async with open_shop() as shop:
        await shop.reserve()
        yield shop


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no recovery wait: how slowly an outage is met is tested in virtual time, in test_recovery_under_load.py."""
    monkeypatch.setattr(recovery_limit, "_RECOVERY_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(recovery_limit, "_SHORTEST_SILENCE", 0.0)

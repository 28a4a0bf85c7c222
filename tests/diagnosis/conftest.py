"""A Vipps for each test of the diagnosis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.diagnosis.checked import ACCEPTED
from vipps_async.testing import Sandbox, SandboxSettings


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own that takes these keys only."""
    async with Sandbox(settings=SandboxSettings(credentials=[ACCEPTED])) as running:
        yield running

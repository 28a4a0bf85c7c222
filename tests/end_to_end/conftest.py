"""A sandbox and a session that talks to it; and a watch over what a test leaves behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.end_to_end.checkout import FAST
from vipps_async import VippsSession
from vipps_async.testing import Sandbox, SandboxSettings


@pytest_asyncio.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """Every test here ends with the tasks it began with; what is garbage warns now, within the test."""
    before = asyncio.all_tasks()
    # What was there before is not looked through again, which took a fifth of a second in a process of many tests.
    gc.freeze()
    yield
    gc.collect()
    await asyncio.sleep(0)
    # The fixture's own two halves run in tasks of their own.
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


@pytest_asyncio.fixture
async def sandbox(nothing_is_left_behind: None) -> AsyncIterator[Sandbox]:
    """A strict sandbox that does not count calls; tests of its limits make their own."""
    async with Sandbox(settings=SandboxSettings(strict=True), rate_limits=False) as started:
        yield started


@pytest_asyncio.fixture
async def vipps(sandbox: Sandbox) -> AsyncIterator[VippsSession]:
    """A session that talks to the sandbox and does not wait long."""
    async with sandbox.session(retry=FAST) as session:
        yield session

"""A plugin of pytest: a Vipps for tests. A module of its own, so that pytest loads nothing else of the package.

`vipps_sandbox` is a started sandbox, `vipps` a session on it, `vipps_sandbox_thread` the same sandbox for synchronous
tests, and `vipps_sandbox_options` what they are made with.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vipps_async import VippsSession
    from vipps_async.testing import Sandbox, SandboxThread

try:
    from pytest_asyncio import fixture as _async_fixture
except ImportError:
    # Then anyio's plugin, or nobody, runs asynchronous fixtures.
    _async_fixture = pytest.fixture  # type: ignore[assignment]


@pytest.fixture
def vipps_sandbox_options() -> dict[str, Any]:
    """What the sandbox is made with: arguments of `vipps_async.testing.Sandbox`. Override it to give some."""
    return {}


def _make_sandbox(options: dict[str, Any]) -> Sandbox:
    from vipps_async.testing import SHORT_WAIT, Sandbox  # noqa: PLC0415 - only once a test needs it

    arguments: dict[str, Any] = {"longest_wait": SHORT_WAIT, **options}
    return Sandbox(**arguments)


@_async_fixture
async def vipps_sandbox(vipps_sandbox_options: dict[str, Any]) -> AsyncIterator[Sandbox]:
    """A Vipps on this machine that is this test's alone, in which waits are short."""
    async with _make_sandbox(vipps_sandbox_options) as sandbox:
        yield sandbox


@_async_fixture
async def vipps(vipps_sandbox: Sandbox) -> AsyncIterator[VippsSession]:
    """A session that talks to `vipps_sandbox`."""
    async with vipps_sandbox.session() as session:
        yield session


@pytest.fixture
def vipps_sandbox_thread(vipps_sandbox_options: dict[str, Any]) -> Iterator[SandboxThread]:
    """A Vipps in a thread of its own, for a test without an event loop, in which waits are short."""
    from vipps_async.testing import SandboxThread  # noqa: PLC0415 - only once a test needs it

    with SandboxThread(_make_sandbox(vipps_sandbox_options)) as sandbox:
        yield sandbox

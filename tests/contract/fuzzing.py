"""Requests that Schemathesis makes up by a vendor's description, and a sandbox in a thread that takes them."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.contract.vendor import Specification
from tests.sandbox.driver import MSN, merchant_at
from tests.sandbox.epayment_driver import Epayment
from vipps_async.sandbox import SandboxServer

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

__all__ = ["ORDERS", "Running", "fuzzed", "running_sandbox"]

#: Requests for each operation: all of them together take a few seconds.
_EXAMPLES = 25
#: Orders that are there to be asked about.
ORDERS = ["acme-waits", "acme-reserved", "acme-captured", "acme-void", "acme-declined"]


@define
class Running:
    """A sandbox in a thread of its own: Schemathesis calls it the blocking way."""

    url: str = ""
    token: str = ""
    _ready: threading.Event = field(factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None

    async def serve(self) -> None:
        """Serve until told to stop, with an order in each state."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with SandboxServer(rate_limits=False) as sandbox, merchant_at(sandbox.url) as merchant:
                for order_id in ORDERS:
                    await merchant.initiate(order_id)
                for order_id in ORDERS[1:4]:
                    await sandbox.approve(order_id)
                await merchant.capture("acme-captured", 10_000)
                await merchant.cancel("acme-void")
                await sandbox.reject("acme-declined")
                for reference in ("shop-waits", "shop-reserved"):
                    assert (await Epayment(merchant).create(reference)).status == 201
                await sandbox.approve("shop-reserved")
                self.url, self.token = sandbox.url, merchant.token
                self._ready.set()
                await self._stop.wait()
        finally:
            self._ready.set()

    @property
    def headers(self) -> dict[str, str]:
        """What a merchant that is logged in sends."""
        return {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}",
            "Ocp-Apim-Subscription-Key": "key",
            "Merchant-Serial-Number": MSN,
        }

    def wait(self) -> None:
        """Wait until it serves."""
        assert self._ready.wait(20)
        assert self.url

    def stop(self) -> None:
        """End it."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


@contextmanager
def running_sandbox() -> Iterator[Running]:
    """Run a sandbox with some orders."""
    server = Running()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="fuzzed sandbox")
    thread.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@functools.cache
def _described(path: str) -> Any:
    return schemathesis.openapi.from_path(path)


def fuzzed(
    spec: Specification, path: str, method: str, *, ids: Sequence[str]
) -> Callable[[Callable[[Any, bool, str | None], None]], Callable[[], None]]:
    """Call a check with requests for one operation: some as described, some not.

    Args:
        spec: the description.
        path: the operation's path in it.
        method: its method.
        ids: of payments that there are; each request gets one of them, or none.

    Returns:
        A decorator of the check, which takes the request, whether it must come as a merchant would send it, and the id.
    """
    schema = _described(str(spec.folder / spec.name))
    good, bad = (
        schema[path][method].as_strategy(generation_mode=mode)
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    )
    cases = st.one_of(
        st.tuples(good, st.sampled_from([True])), st.tuples(st.one_of(good, bad), st.sampled_from([False]))
    )

    def decorated(check: Callable[[Any, bool, str | None], None]) -> Callable[[], None]:
        # From a fixed seed: what is found today is found tomorrow, and on the build server.
        @seed(4711)
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(drawn=cases, known=st.sampled_from([*ids, None]))
        def run(drawn: tuple[Any, bool], known: str | None) -> None:
            check(*drawn, known)

        return run

    return decorated

"""The page of all faults: each row's words about money and about the client are what happens."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
from attrs import define, field

from tests.support.payments import initiate
from vipps_async import VippsError, VippsSession, nok
from vipps_async.sandbox.wire.fault import Kind
from vipps_async.testing import Fault, Sandbox
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Request, Response

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
OERE = 10_000

#: What is sent from the fault on, and what the call ends with → the page's words.
WORDS = {
    ("capture", "answer"): "takes it as done",
    ("capture capture", "answer"): "sends it again, with its key",
    ("capture token capture", "answer"): "fetches a token, then sends it again",
    ("capture details capture", "answer"): "asks details, then sends it again",
    ("capture details", "history"): "asks details, which prove it",
    ("capture", "RateLimitedError"): "raises `RateLimitedError`: that is longer than its deadline",
    ("capture details", "UnexpectedResponseError"): "asks details, then raises `UnexpectedResponseError`",
    ("capture details …", "UnexpectedResponseError"): "asks details until its deadline, then raises "
    "`UnexpectedResponseError`",
    ("details", "answer"): "reads them",
}


@define
class Watching:
    """A transport that looks at what had moved as soon as a request met its fault."""

    sandbox: Sandbox
    order_id: str
    transport: AiohttpTransport
    captured: list[int] = field(factory=list)

    async def send(self, request: Request) -> Response:
        """See Transport."""
        try:
            return await self.transport.send(request)
        finally:
            if request.url.endswith("/capture"):
                self.captured.append(self.sandbox.payment(self.order_id).captured)

    async def aclose(self) -> None:
        """See Transport."""


async def _reserve(sandbox: Sandbox, vipps: VippsSession, order_id: str) -> None:
    await initiate(vipps, order_id, amount=OERE)
    await sandbox.approve(order_id)


async def _what_happens(sandbox: Sandbox, transport: AiohttpTransport, fault: Fault) -> tuple[str, str]:
    """Let a capture, or a look at details, meet a fault once; return what had moved, and what the client did."""
    order_id = fault.name.replace("_", "-")
    watching = Watching(sandbox, order_id, transport)
    reads = Kind.MOVES not in fault.kinds
    async with sandbox.session(transport=watching) as vipps:
        await _reserve(sandbox, vipps, order_id)
        before = len(sandbox.requests)
        sandbox.faults.script("details" if reads else "capture", fault)
        try:
            if reads:
                await vipps.ecom.details(order_id)
                outcome = "answer"
            else:
                result = await vipps.ecom.capture(order_id, amount=nok(OERE // 100), transaction_text="Shipped.")
                outcome = result.settled_by.value
        except VippsError as error:
            outcome = type(error).__name__
    asked = [request.operation for request in sandbox.requests[before:]]
    sent = " ".join(asked) if len(asked) < 4 else f"{asked[0]} {asked[1]} …"
    held = sandbox.deliver_held()
    moved = {0: "later" if held else "no", OERE // 2: "half", OERE: "yes"}[watching.captured[0] if not reads else 0]
    return "" if reads else moved, WORDS[sent, outcome]


def _rows() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| [^|]+ \| ?([a-z]*) \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows})
    return {name: (moved, words) for name, moved, words in rows}


async def test_each_fault_is_on_the_page_as_it_is() -> None:
    """Every fault has one row: whether money had moved when the client learned of nothing, and what it then did."""
    found: dict[str, tuple[str, str]] = {}
    async with aiohttp.ClientSession() as http, Sandbox(longest_wait=0.0, keep_requests=10_000) as sandbox:
        sandbox.faults.configure({"held_seconds": 7200, "lag_seconds": 5})
        transport = AiohttpTransport(http)
        for fault in Fault:
            if fault.kinds == {Kind.CALLS_BACK}:
                found[fault.name] = ("", "nothing: it is for the [receiver](callbacks.md)")
            else:
                found[fault.name] = await _what_happens(sandbox, transport, fault)
        await transport.aclose()
    assert _rows() == found


def test_each_setting_is_on_the_page_with_its_default() -> None:
    """The second table names all that lasts or varies, and what it is unless it is set."""
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ([0-9.]+|None) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall("[a-z_]+", names)}
    real = {name: "None" if value is None else f"{value:g}" for name, value in Sandbox().faults.settings.items()}
    assert told == real

"""What comes late: requests that are held, entries that details do not show yet, and views that are old."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tests.sandbox.driver import Answer, Merchant, merchant_at
from vipps_async.sandbox import Fault, Faults, PaymentSnapshot, SandboxClock, SandboxServer
from vipps_async.sandbox.wire.fault import HELD

AMOUNT = 10_000


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a clock that only the test moves on."""
    clock = SandboxClock(datetime(2026, 3, 1, tzinfo=UTC), running=False)
    async with SandboxServer(rate_limits=False, clock=clock, token_lifetime=30 * 86_400) as server:
        server.faults.stall_seconds = 0.02
        yield server


@pytest.fixture
async def merchant(sandbox: SandboxServer) -> AsyncIterator[Merchant]:
    """Logged in, with 49900 øre reserved on acme-1."""
    async with merchant_at(sandbox.url) as opened:
        await opened.initiate("acme-1")
        await sandbox.approve("acme-1")
        yield opened


async def _held(merchant: Merchant, fault: Fault, order_id: str, amount: int, key: str) -> Answer | None:
    """Capture what is held; without an answer the client sees its connection reset."""
    with contextlib.suppress(aiohttp.ClientOSError):
        return await merchant.capture(order_id, amount, key=key)
    return None


async def _history(merchant: Merchant, order_id: str = "acme-1") -> list[Any]:
    """Øre of the captures in details, newest first."""
    lines = (await merchant.details(order_id)).json["transactionLogHistory"]
    return [line["amount"] for line in lines if line["operation"] == "CAPTURE" and line["operationSuccess"]]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault in HELD])
async def test_a_held_request_takes_effect_when_the_clock_has_come_so_far(
    sandbox: SandboxServer, merchant: Merchant, fault: Fault
) -> None:
    """Its client sees a stall, a reset or a 504; the money moves later, at that very time and once."""
    sandbox.faults.held_seconds = 7200
    sandbox.faults.script("capture", fault)
    answer = await _held(merchant, fault, "acme-1", AMOUNT, "key-1")
    assert (answer.status if answer is not None else None) == (504 if fault is Fault.HELD_504 else None)
    sandbox.clock.advance(7199)
    assert (sandbox.held, sandbox.payment("acme-1").captured) == (1, 0)
    begun = sandbox.clock.now()
    sandbox.clock.advance(3600)
    payment = sandbox.payment("acme-1")
    assert (sandbox.held, payment.captured) == (0, AMOUNT)
    assert (payment.history[-1].time - begun).total_seconds() == 1
    assert payment.history[-1].request_id == "key-1"


async def test_a_held_answer_is_the_gateways(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A request that is held and one that is lost are answered byte for byte alike."""
    sandbox.faults.script("capture", Fault.HELD_504, Fault.HTTP_504_BEFORE)
    held, lost = await merchant.capture("acme-1"), await merchant.capture("acme-1")
    assert (held.status, held.body) == (lost.status, lost.body)
    assert {**held.headers, "Date": ""} == {**lost.headers, "Date": ""}


async def test_a_held_request_that_was_repeated_moves_nothing_a_second_time(
    sandbox: SandboxServer, merchant: Merchant
) -> None:
    """The key is known by the time it arrives."""
    sandbox.faults.held_seconds = 60
    sandbox.faults.script("capture", Fault.HELD_504)
    await merchant.capture("acme-1", AMOUNT, key="key-1")
    assert (await merchant.capture("acme-1", AMOUNT, key="key-1")).status == 200
    sandbox.clock.advance(61)
    assert (sandbox.held, sandbox.payment("acme-1").captured) == (0, AMOUNT)


async def test_a_held_request_goes_by_the_rules_of_when_it_arrives(sandbox: SandboxServer, merchant: Merchant) -> None:
    """After other operations on the order: what they left is not enough for it, or it was cancelled by then."""
    await merchant.initiate("acme-2")
    await sandbox.approve("acme-2")
    sandbox.faults.held_seconds = 60
    sandbox.faults.script("capture", Fault.HELD_504, Fault.HELD_504)
    await merchant.capture("acme-1", 30_000, key="key-1")
    await merchant.capture("acme-2", AMOUNT, key="key-1")
    assert (await merchant.capture("acme-1", 30_000, key="key-2")).status == 200
    assert (await merchant.cancel("acme-2")).status == 200
    sandbox.clock.advance(61)
    assert (sandbox.payment("acme-1").captured, sandbox.payment("acme-2").captured) == (30_000, 0)
    late, cancelled = sandbox.payment("acme-1").history[-1], sandbox.payment("acme-2").history[-1]
    assert (late.request_id, late.success) == ("key-1", False)
    assert (cancelled.request_id, cancelled.success) == ("key-1", False)


async def test_a_held_request_can_change_what_comes_after_it(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A refund that was refused for want of a capture passes once the held capture has arrived."""
    sandbox.faults.held_seconds = 60
    sandbox.faults.script("capture", Fault.HELD_504)
    await merchant.capture("acme-1", AMOUNT)
    assert (await merchant.refund("acme-1", AMOUNT)).codes == [("Payment", "72")]
    sandbox.clock.advance(61)
    assert (await merchant.refund("acme-1", AMOUNT)).status == 200


async def test_held_requests_arrive_in_the_order_of_their_times(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Not in that in which they were sent; those that are due at once in that one."""
    for seconds, amount in ((600, 100), (10, 200), (60, 300), (10, 400)):
        sandbox.faults.held_seconds = seconds
        sandbox.faults.script("capture", Fault.HELD_504)
        await merchant.capture("acme-1", amount)
    sandbox.clock.advance(10)
    assert await _history(merchant) == [400, 200]
    sandbox.clock.advance(7200)
    assert await _history(merchant) == [100, 300, 400, 200]
    times = [entry.time for entry in sandbox.payment("acme-1").history]
    assert times == sorted(times)


async def test_all_held_requests_can_be_delivered_at_once(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Oldest first, whatever their time; once that is over nothing of them comes again."""
    for seconds, amount in ((600, 100), (10, 200)):
        sandbox.faults.held_seconds = seconds
        sandbox.faults.script("capture", Fault.HELD_504)
        await merchant.capture("acme-1", amount)
    assert sandbox.deliver_held() == 2
    assert await _history(merchant) == [200, 100]
    sandbox.clock.advance(7200)
    assert (sandbox.deliver_held(), sandbox.payment("acme-1").captured) == (0, 300)


async def test_every_change_can_be_held(sandbox: SandboxServer, merchant: Merchant) -> None:
    """An initiate creates its order later; a cancel and a refund take effect later."""
    await merchant.capture("acme-1", AMOUNT)
    sandbox.faults.held_seconds = 60
    for operation in ("initiate", "refund", "cancel"):
        sandbox.faults.script(operation, Fault.HELD_504)
    await merchant.initiate("acme-2")
    await merchant.refund("acme-1", 4_000)
    await merchant.cancel("acme-1", release=True)
    assert (await merchant.details("acme-2")).status == 404
    sandbox.clock.advance(60)
    assert (await merchant.details("acme-2")).status == 200
    payment = sandbox.payment("acme-1")
    assert (payment.refunded, payment.released) == (4_000, 39_900)


async def test_a_held_request_has_passed_the_gateway_with_its_token() -> None:
    """Its token was good when it came: that it has expired since does not keep it."""
    clock = SandboxClock(running=False)
    async with (
        SandboxServer(rate_limits=False, clock=clock, token_lifetime=60) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        await merchant.initiate("acme-1")
        await sandbox.approve("acme-1")
        sandbox.faults.held_seconds = 7200
        sandbox.faults.script("capture", Fault.HELD_504, Fault.HELD_504)
        await merchant.capture("acme-1", AMOUNT, key="key-1")
        merchant.token = "another"
        await merchant.capture("acme-1", 200, key="key-2")
        clock.advance(7200)
        assert sandbox.payment("acme-1").captured == AMOUNT


async def test_a_running_clock_delivers_before_anyone_looks() -> None:
    """What is due shows to the next request and to the test that asks for the payment, without an `advance`."""
    async with SandboxServer(rate_limits=False) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        await sandbox.approve("acme-1")
        sandbox.faults.held_seconds = 0
        looks: list[Callable[[], PaymentSnapshot]] = [lambda: sandbox.payment("acme-1"), lambda: sandbox.payments[0]]
        for look in looks:
            sandbox.faults.script("capture", Fault.HELD_504)
            before = look().captured
            await merchant.capture("acme-1", 200)
            assert look().captured == before + 200
        sandbox.faults.script("capture", Fault.HELD_504)
        await merchant.capture("acme-1", 200)
        assert await _history(merchant) == [200, 200, 200]
        assert sandbox.held == 0


def test_chance_holds_from_a_second_to_two_hours() -> None:
    """Each of the lengths occurs, and a length that is set goes before."""
    faults = Faults()
    faults.randomise(rate=1, seed=1, kinds=[Fault.HELD_504])
    drawn = [faults.decide("capture", str(number), "key") for number in range(100)]
    seconds = {faults.held_for(one).total_seconds() for one in drawn if one is not None}
    assert (min(seconds), max(seconds)) == (1, 7200)
    faults.held_seconds = 5
    assert {faults.held_for(one).total_seconds() for one in drawn if one is not None} == {5}


# -- details that lag ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.LATE_ENTRY, Fault.LATE_ENTRY_RESET])
async def test_a_late_entry_shows_only_after_its_time(sandbox: SandboxServer, merchant: Merchant, fault: Fault) -> None:
    """Money moves at once, and the answer, if one comes, is right; details know neither entry nor sums until then."""
    await merchant.capture("acme-1", 100)
    before = (await merchant.details("acme-1")).body
    sandbox.faults.lag_seconds = 10
    sandbox.faults.script("capture", fault)
    answer = await _held(merchant, fault, "acme-1", AMOUNT, "key-1")
    if fault is Fault.LATE_ENTRY:
        assert answer is not None
        assert answer.json["transactionInfo"]["amount"] == AMOUNT
        assert answer.json["transactionSummary"]["capturedAmount"] == AMOUNT + 100
    assert sandbox.payment("acme-1").captured == AMOUNT + 100
    assert (await merchant.details("acme-1")).body == before
    sandbox.clock.advance(9.9)
    assert (await merchant.details("acme-1")).body == before
    sandbox.clock.advance(0.1)
    assert await _history(merchant) == [AMOUNT, 100]
    assert (await merchant.details("acme-1")).json["transactionSummary"]["capturedAmount"] == AMOUNT + 100


async def test_entries_that_lag_can_show_out_of_order(sandbox: SandboxServer, merchant: Merchant) -> None:
    """An entry that lags shows after one that came later; at the end each stands where its time puts it."""
    sandbox.faults.lag_seconds = 10
    sandbox.faults.script("capture", Fault.LATE_ENTRY)
    await merchant.capture("acme-1", 100)
    sandbox.clock.advance(1)
    await merchant.capture("acme-1", 200)
    assert await _history(merchant) == [200]
    assert (await merchant.details("acme-1")).json["transactionSummary"]["capturedAmount"] == 200
    sandbox.clock.advance(10)
    assert await _history(merchant) == [200, 100]


async def test_a_key_whose_entry_lags_is_known_all_the_same(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Details lag, the operation does not: a repeat is answered with the first result."""
    sandbox.faults.lag_seconds = 10
    sandbox.faults.script("capture", Fault.LATE_ENTRY)
    first = await merchant.capture("acme-1", AMOUNT, key="key-1")
    assert (await merchant.capture("acme-1", AMOUNT, key="key-1")).body == first.body
    assert sandbox.payment("acme-1").captured == AMOUNT


async def test_a_stale_view_is_one_that_was_right_before(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Details as they were so many seconds ago, byte for byte; the next look is of now."""
    await merchant.capture("acme-1", 100)
    before = (await merchant.details("acme-1")).body
    sandbox.clock.advance(30)
    await merchant.capture("acme-1", 200)
    now = (await merchant.details("acme-1")).body
    sandbox.faults.stale_seconds = 20
    sandbox.faults.script("details", Fault.STALE_DETAILS)
    assert (await merchant.details("acme-1")).body == before
    assert (await merchant.details("acme-1")).body == now
    sandbox.clock.advance(20)
    sandbox.faults.script("details", Fault.STALE_DETAILS)
    assert (await merchant.details("acme-1")).body == now


async def test_a_view_from_before_the_order_shows_that_it_was_begun(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The initiate is never missing, and before the approval there are no sums."""
    sandbox.faults.stale_seconds = 3600
    sandbox.clock.advance(60)
    await merchant.initiate("acme-2")
    await sandbox.approve("acme-2")
    sandbox.faults.script("details", Fault.STALE_DETAILS)
    answer = (await merchant.details("acme-2")).json
    assert [line["operation"] for line in answer["transactionLogHistory"]] == ["INITIATE"]
    assert "transactionSummary" not in answer


# -- details in odd shapes -----------------------------------------------------------------------------------------


async def test_details_in_no_order(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The same entries; over some looks they come in another order than newest first."""
    for amount in range(100, 700, 100):
        await merchant.capture("acme-1", amount)
    right = (await merchant.details("acme-1")).json
    sandbox.faults.script("details", Fault.UNORDERED_DETAILS)
    turned = (await merchant.details("acme-1")).json
    assert turned["transactionLogHistory"] != right["transactionLogHistory"]

    def by_id(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(lines, key=lambda line: str(line["transactionId"]))

    assert by_id(turned.pop("transactionLogHistory")) == by_id(right.pop("transactionLogHistory"))
    assert turned == right


async def test_details_without_keys(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Neither `requestId` nor `transactionId`; all else is there."""
    await merchant.capture("acme-1", AMOUNT, key="key-1")
    right = (await merchant.details("acme-1")).json
    sandbox.faults.script("details", Fault.DETAILS_WITHOUT_KEYS)
    for line in right["transactionLogHistory"]:
        del line["requestId"], line["transactionId"]
    assert (await merchant.details("acme-1")).json == right


async def test_details_of_odd_types(sandbox: SandboxServer, merchant: Merchant) -> None:
    """No `orderId`, sums as text, times with an offset, and keys of digits as numbers; the values are the same."""
    await merchant.capture("acme-1", AMOUNT, key="4711")
    await merchant.capture("acme-1", 200, key="key-1")
    right = (await merchant.details("acme-1")).json
    sandbox.faults.script("details", Fault.DETAILS_ODD_TYPES)
    odd = (await merchant.details("acme-1")).json
    assert "orderId" not in odd
    assert odd["transactionSummary"]["capturedAmount"] == str(AMOUNT + 200)
    assert [line["requestId"] for line in odd["transactionLogHistory"]][:2] == ["key-1", 4711]
    for line, other in zip(odd["transactionLogHistory"], right["transactionLogHistory"], strict=True):
        assert line["timeStamp"].endswith("+00:00")
        assert datetime.fromisoformat(line["timeStamp"]) == datetime.fromisoformat(other["timeStamp"])


async def test_a_refusal_of_details_is_not_turned(sandbox: SandboxServer, merchant: Merchant) -> None:
    """An order that does not exist is refused as ever."""
    sandbox.faults.script("details", Fault.UNORDERED_DETAILS, Fault.STALE_DETAILS)
    for _ in range(2):
        assert (await merchant.details("acme-9")).codes == [("Merchant", "35")]

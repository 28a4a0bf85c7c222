"""One session for the sales units of many merchants: what `for_merchant` shares, and what each unit has to itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
import pytest
from attrs import evolve

from tests.core.fake_clock import FakeClock
from tests.core.virtual_time import run_in_virtual_time
from tests.faults.shop import CREDENTIALS, ONE_TRY, Fault, LossyTransport
from tests.support.payments import initiate
from tests.support.rows import each_row
from tests.test_session import CAPTURED
from vipps_async import (
    AiohttpTransport,
    ApiError,
    ConfigurationError,
    InvalidInputError,
    MemoryJournal,
    OutcomeUnknown,
    RequestNotSent,
    RetryPolicy,
    VippsSession,
    nok,
)
from vipps_async.batch import BatchRow, capture_many
from vipps_async.journals.entries import Entry, Outcome
from vipps_async.sandbox import SandboxCredentials, SandboxSettings
from vipps_async.testing import Sandbox, ScriptedTransport, answer
from vipps_async.transports.protocol import Request

OWN, FIRST, SECOND = CREDENTIALS.merchant_serial_number, "654321", "76543"
#: What the sandbox knows of the partner.
PARTNER = SandboxCredentials(
    client_id=CREDENTIALS.client_id,
    client_secret=CREDENTIALS.client_secret,
    subscription_key=CREDENTIALS.subscription_key,
    merchant_serial_numbers=[OWN, FIRST, SECOND],
    partner=True,
)
SHIPPED: dict[str, Any] = {"amount": nok(100), "transaction_text": "Shipped."}


def unit_of(request: Request) -> str:
    """Return the sales unit that a request is for, by its header; the body must agree."""
    unit = request.headers["Merchant-Serial-Number"]
    merchant = orjson.loads(request.body or b"{}").get("merchantInfo", {})
    assert merchant.get("merchantSerialNumber", unit) == unit
    return unit


def session(transport: ScriptedTransport, **more: Any) -> VippsSession:
    """Make a session over a script."""
    return VippsSession(CREDENTIALS, transport=transport, **more)


# --- against a Vipps that knows partners


@asynccontextmanager
async def partner() -> AsyncIterator[tuple[VippsSession, LossyTransport, Sandbox, MemoryJournal]]:
    """A partner's session, with a reserved order of 500 kr by the same id at both merchants."""
    async with AsyncExitStack() as stack:
        line, journal = LossyTransport(AiohttpTransport()), MemoryJournal()
        stack.push_async_callback(line.aclose)
        sandbox = await stack.enter_async_context(
            Sandbox(settings=SandboxSettings(credentials=[PARTNER]), rate_limits=False)
        )
        vipps = VippsSession(CREDENTIALS, base_url=sandbox.url, transport=line, journal=journal, retry=ONE_TRY)
        await stack.enter_async_context(vipps)
        for msn in (FIRST, SECOND):
            await initiate(vipps.for_merchant(msn), "order-1", amount=nok(500))
            await sandbox.approve("order-1", msn=msn)
        yield vipps, line, sandbox, journal


async def test_each_sales_unit_is_sent_its_own_calls_with_one_token() -> None:
    """Header and body name the unit of the view, and one token serves all units."""
    async with partner() as (vipps, line, sandbox, _):
        await vipps.for_merchant(FIRST).ecom.capture("order-1", **SHIPPED)
        assert sandbox.payment("order-1", msn=FIRST).captured == 100_00
        assert sandbox.payment("order-1", msn=SECOND).captured == 0
        assert [unit_of(request) for request in line.sent("/capture")] == [FIRST]
        assert len(line.sent("/accesstoken/get")) == 1


async def test_a_unit_that_is_not_the_partners_is_refused_by_vipps() -> None:
    """A serial number of somebody else ends as Vipps' refusal, and nothing moves."""
    async with partner() as (vipps, _, sandbox, _):
        with pytest.raises(ApiError) as refused:
            await vipps.for_merchant("999999").ecom.capture("order-1", **SHIPPED)
        assert refused.value.status == 403
        assert {payment.captured for payment in sandbox.payments} == {0}


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER])
async def test_recovery_sends_an_open_entry_to_the_unit_that_it_was_begun_for(fault: Fault) -> None:
    """Both units have an open capture of the same order and key: each is settled at its own unit, by its own view."""
    async with partner() as (vipps, line, sandbox, journal):
        for msn in (FIRST, SECOND):
            line.fail("/capture", fault)
            line.fail("/details", *[Fault.ERROR_BEFORE] * 3)
            with pytest.raises(OutcomeUnknown):
                await vipps.for_merchant(msn).ecom.capture("order-1", **SHIPPED, idempotency_key="same-key")
            line.plan.clear()
        assert (await vipps.recover()).seen == 0
        begun = len(line.requests)
        for msn, other in ((FIRST, SECOND), (SECOND, FIRST)):
            before = sandbox.payment("order-1", msn=other).captured
            report = await vipps.for_merchant(msn).recover()
            assert (report.seen, report.proven + report.sent_again, report.stays_open) == (1, 1, 0)
            assert {unit_of(request) for request in line.requests[begun:]} == {msn}
            begun = len(line.requests)
            assert sandbox.payment("order-1", msn=msn).captured == 100_00
            assert sandbox.payment("order-1", msn=other).captured == before
            (entry,) = await _money(journal, msn)
            assert entry.settlement is not None
            assert entry.settlement.outcome is Outcome.DONE


async def _money(journal: MemoryJournal, msn: str) -> list[Entry]:
    found = await journal.find(payment="order-1", merchant_serial_number=msn)
    return [entry for entry in found if entry.intent.operation == "capture"]


async def test_the_same_key_and_order_at_two_units_are_two_captures() -> None:
    """A journal's entry of one unit neither answers nor closes the call of another one."""
    async with partner() as (vipps, line, sandbox, _):
        for msn in (FIRST, SECOND):
            await vipps.for_merchant(msn).ecom.capture("order-1", **SHIPPED, idempotency_key="same-key")
            await vipps.for_merchant(msn).ecom.capture("order-1", **SHIPPED, idempotency_key="same-key")
        assert [unit_of(request) for request in line.sent("/capture")] == [FIRST, SECOND]
        assert {sandbox.payment("order-1", msn=msn).captured for msn in (FIRST, SECOND)} == {100_00}


async def test_what_is_open_at_one_unit_does_not_hold_up_another() -> None:
    """An equal capture that is open at one unit is no sign of the wish at the other; each is told its own."""
    async with partner() as (vipps, line, _, _):
        line.fail("/capture", Fault.LOSE_REQUEST)
        line.fail("/details", *[Fault.ERROR_BEFORE] * 3)
        with pytest.raises(OutcomeUnknown):
            await vipps.for_merchant(FIRST).ecom.capture("order-1", **SHIPPED)
        line.plan.clear()
        await vipps.for_merchant(SECOND).ecom.capture("order-1", **SHIPPED)
        assert len(await vipps.for_merchant(FIRST).unfinished("order-1")) == 1
        assert await vipps.for_merchant(SECOND).unfinished("order-1") == []
        assert await vipps.unfinished("order-1") == []


async def test_a_batch_of_one_unit() -> None:
    """`capture_many` over a view captures at that unit, with keys that no other unit's batch has."""
    async with partner() as (vipps, line, sandbox, _):
        rows = [BatchRow(payment="order-1", amount=nok(100), text="Shipped.", reference="row-1")]
        for msn in (FIRST, SECOND):
            assert [result.outcome.value async for result in capture_many(vipps.for_merchant(msn).ecom, rows)]
        assert [unit_of(request) for request in line.sent("/capture")] == [FIRST, SECOND]
        assert len({request.headers["X-Request-Id"] for request in line.sent("/capture")}) == 2
        assert {sandbox.payment("order-1", msn=msn).captured for msn in (FIRST, SECOND)} == {100_00}


# --- over a script


@each_row("msn", ["", "123", "12345678901", "12345a", "१२३४५६", "123456\n", " 123456", 123456, None])
def test_a_serial_number_that_is_none_is_refused(msn: Any) -> None:
    """Only 4 to 10 digits, as text, can be a sales unit; nothing is sent."""
    transport = ScriptedTransport()
    with pytest.raises(InvalidInputError, match="merchant_serial_number must be a string of 4 to 10 digits"):
        session(transport).for_merchant(msn)
    assert transport.token_requests == []


def test_views_of_a_unit_are_equal() -> None:
    """The same unit gives equal views, another one does not, and the session's own unit is the session's own view."""
    vipps = session(ScriptedTransport())
    assert vipps.for_merchant(FIRST) == vipps.for_merchant(FIRST)
    assert hash(vipps.for_merchant(FIRST)) == hash(vipps.for_merchant(FIRST))
    assert vipps.for_merchant(FIRST) != vipps.for_merchant(SECOND)
    assert vipps.for_merchant(FIRST).for_merchant(OWN) == vipps
    assert vipps.for_merchant(FIRST) != session(ScriptedTransport()).for_merchant(FIRST)
    assert vipps.for_merchant(FIRST).merchant_serial_number == FIRST
    assert repr(vipps.for_merchant(FIRST)) == f"<VippsSession {FIRST} at https://apitest.vipps.no>"
    assert vipps.merchant_serial_number == OWN


async def test_options_and_units_go_together() -> None:
    """A view of a view has both, in either order, and another unit takes the first one's place."""
    transport = ScriptedTransport().on("/capture", then=CAPTURED)
    async with session(transport) as vipps:
        first = vipps.for_merchant(FIRST).with_options(timeout=3)
        assert first == vipps.with_options(timeout=3).for_merchant(FIRST)
        for view in (first, first.for_merchant(SECOND)):
            await view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")
    assert [unit_of(request) for request in transport.requests] == [FIRST, SECOND]
    assert {request.timeouts.total for request in transport.requests} == {3.0}


async def test_a_view_closes_nothing() -> None:
    """Leaving a view leaves transport, journal and session open; what it asks later works."""
    transport, journal = ScriptedTransport().on("/capture", then=CAPTURED), MemoryJournal()
    async with session(transport, journal=journal) as vipps:
        async with vipps.for_merchant(FIRST) as view:
            pass
        await view.aclose()
        was_open = journal.is_open
        await view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")
    assert (was_open, journal.is_open) == (True, False)
    with pytest.raises(ConfigurationError, match="the session is closed"):
        await view.ecom.details("acme-1")
    with pytest.raises(ConfigurationError, match="the session is closed"):
        await view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")


async def test_a_view_of_a_session_that_was_not_entered_opens_the_journal() -> None:
    """The first call opens it, whichever view makes it, and the session closes it."""
    journal = MemoryJournal()
    vipps = session(ScriptedTransport().on("/capture", then=CAPTURED), journal=journal)
    views = [vipps.for_merchant(FIRST), vipps.for_merchant(SECOND), vipps]
    await asyncio.gather(*(view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.") for view in views))
    was_open = journal.is_open
    await vipps.aclose()
    assert (was_open, journal.is_open) == (True, False)


async def test_attempts_are_counted_for_each_unit() -> None:
    """Five captures of an order in a minute use the limit up at their unit alone."""
    transport = ScriptedTransport().on("/capture", *[CAPTURED] * 4)
    async with session(transport, clock=FakeClock(), retry=RetryPolicy(deadline=20)) as vipps:
        for _ in range(4):
            await vipps.for_merchant(FIRST).ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")
        not_sent = RequestNotSent("connection refused")
        for view in (vipps.for_merchant(SECOND), vipps):
            transport.on("/capture", not_sent, CAPTURED)
            await view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")
        transport.on("/capture", not_sent)
        with pytest.raises(RequestNotSent, match="Vipps' limit for this payment leaves no further attempt"):
            await vipps.for_merchant(FIRST).ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")


async def test_the_retry_budget_is_one_for_all_units() -> None:
    """What a unit has used up of the budget is gone for the others: it is one Vipps that is in trouble."""
    transport = ScriptedTransport().on("/details", then=answer(503))
    async with session(transport, clock=FakeClock(), retry=RetryPolicy(budget=28)) as vipps:
        with pytest.raises(ApiError, match="retry budget is drained"):
            await vipps.for_merchant(FIRST).ecom.details("acme-1")
        with pytest.raises(ApiError, match="retry budget is drained"):
            await vipps.for_merchant(SECOND).ecom.details("acme-1")
    assert [unit_of(request) for request in transport.requests] == [FIRST] * 3 + [SECOND]


def test_waits_of_the_same_order_at_two_units_are_two_waits() -> None:
    """Each is asked for at its own unit, news of one hurries that one alone, and closing the session ends both."""
    transport = ScriptedTransport().on("/details", then=lambda request: _details(reserved=unit_of(request) == FIRST))

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        vipps = session(transport)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(vipps.for_merchant(FIRST).ecom.wait_for("acme-1"))
            second = group.create_task(_closed(vipps.for_merchant(SECOND)))
            await asyncio.sleep(1)
            vipps.for_merchant(FIRST).ecom.notify("acme-1")
            assert (await first).is_approved
            at = loop.time()
            assert not second.done()
            await asyncio.sleep(10)
            await vipps.aclose()
        return at

    async def _closed(view: VippsSession) -> None:
        with pytest.raises(ConfigurationError, match="the session is closed"):
            await view.ecom.wait_for("acme-1")

    assert run_in_virtual_time(wait()) < 2
    asked = [unit_of(request) for request in transport.requests]
    assert asked[0] == FIRST
    assert set(asked[1:]) == {SECOND}


def _details(*, reserved: bool) -> Any:
    entry = {"amount": 49900, "transactionText": "Socks", "operationSuccess": True, "transactionId": "1"}
    entry |= {"operation": "RESERVE" if reserved else "INITIATE", "timeStamp": "2026-01-01T12:00:00.000Z"}
    return answer(200, {"orderId": "acme-1", "transactionLogHistory": [entry]})


async def test_log_events_name_the_unit(caplog: pytest.LogCaptureFixture) -> None:
    """Of the same order at two units one can tell whose capture it was; the session's own calls need no name."""
    caplog.set_level(logging.INFO, "vipps_async")
    async with session(ScriptedTransport().on("/capture", then=CAPTURED)) as vipps:
        for view in (vipps.for_merchant(FIRST), vipps):
            await view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.")
    named, plain = [record.getMessage() for record in caplog.records if "outcome=done" in record.getMessage()][-2:]
    assert f"operation=ecom.capture merchant_serial_number={FIRST} payment=acme-1" in named
    assert "merchant_serial_number" not in plain


async def test_an_overruled_refusal_is_told_for_each_unit_of_the_session(caplog: pytest.LogCaptureFixture) -> None:
    """What Vipps carried out though the journal had it as refused is an alarm, at whichever unit it was."""
    journal = MemoryJournal()
    async with session(ScriptedTransport().on("/capture", then=CAPTURED), journal=journal) as vipps:
        for view in (vipps.for_merchant(FIRST), vipps):
            await view.ecom.capture("acme-1", amount=nok(499), transaction_text="Shipped.", idempotency_key="k-1")
        entries = [
            entry
            for msn in (FIRST, OWN, SECOND)
            for entry in await journal.find(payment="acme-1", merchant_serial_number=msn)
        ]
        foreign = evolve(entries[0], owner="", intent=evolve(entries[0].intent, merchant_serial_number=SECOND))
        for entry in (*entries, foreign):
            for tell in journal.on_overruled:
                tell(entry)
    assert caplog.text.count("vipps.refusal_overruled") == 2

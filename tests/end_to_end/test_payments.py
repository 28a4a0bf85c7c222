"""Every operation of a payment's life, client against sandbox."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from tests.end_to_end.checkout import FAST
from tests.support.payments import PRICE, initiate
from vipps_async import (
    AiohttpTransport,
    AirlineData,
    Effect,
    OperationName,
    OrderStatus,
    RateLimitedError,
    RetryPolicy,
    SettledBy,
    TransactionStatus,
    VippsSession,
    nok,
)
from vipps_async.core import polling
from vipps_async.errors import CaptureError
from vipps_async.sandbox import SandboxSettings, State
from vipps_async.testing import Sandbox
from vipps_async.transports.protocol import Request, Response


async def test_the_quick_start(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Initiate, approve, capture all and refund a part: the sandbox agrees to the øre."""
    payment = await initiate(vipps, amount=49_900)
    assert payment.order_id == "acme-shop-1"
    assert payment.url == sandbox.landing_url("acme-shop-1")
    await sandbox.approve(payment.order_id)
    details = await vipps.ecom.details(payment.order_id)
    assert details.is_reserved
    captured = await vipps.ecom.capture(payment.order_id, transaction_text="Shipped.")
    refunded = await vipps.ecom.refund(payment.order_id, amount=nok("99.00"), transaction_text="One sock came back.")

    assert captured.order_id == refunded.order_id == "acme-shop-1"
    assert captured.settled_by is refunded.settled_by is SettledBy.ANSWER
    assert captured.payment_instrument == "Visa"
    assert captured.transaction is not None
    assert captured.transaction_summary is not None
    assert captured.transaction.status is TransactionStatus.CAPTURED
    assert captured.transaction.amount == PRICE
    assert captured.transaction.transaction_text == "Shipped."
    assert captured.transaction_summary.captured_amount == PRICE
    assert captured.transaction_summary.remaining_amount_to_capture == 0
    assert captured.transaction_summary.remaining_amount_to_refund == PRICE
    assert refunded.transaction is not None
    assert refunded.transaction_summary is not None
    assert refunded.transaction.status is TransactionStatus.REFUND
    assert refunded.transaction.amount == 9_900
    assert refunded.transaction_summary.refunded_amount == 9_900
    assert refunded.transaction_summary.remaining_amount_to_refund == PRICE - 9_900
    truth = sandbox.payment("acme-shop-1")
    assert (truth.reserved, truth.captured, truth.refunded, truth.released) == (PRICE, PRICE, 9_900, 0)


async def test_all_times_are_aware_and_utc(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Times are read as aware UTC, also the refund's, which comes without a zone."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    captured = await vipps.ecom.capture("acme-shop-1", transaction_text="Shipped.")
    refunded = await vipps.ecom.refund("acme-shop-1", transaction_text="All came back.")
    details = await vipps.ecom.details("acme-shop-1")
    status = await vipps.ecom.status("acme-shop-1")

    assert captured.transaction is not None
    assert refunded.transaction is not None
    assert status.transaction is not None
    times = [
        captured.transaction.time_stamp,
        refunded.transaction.time_stamp,
        status.transaction.time_stamp,
        *(entry.time_stamp for entry in details.transaction_log_history),
    ]
    now = sandbox.clock.now()
    for time in times:
        assert time is not None
        assert time.tzinfo is UTC
        assert timedelta(0) <= now - time < timedelta(minutes=1)


async def test_details_tells_the_whole_history_newest_first(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Details gives each operation with its key, amount, text and success, and the card's first digits."""
    await initiate(vipps)
    untouched = await vipps.ecom.details("acme-shop-1")
    assert untouched.transaction_summary is None
    said = (untouched.is_approved, untouched.is_reserved, untouched.is_captured, untouched.is_cancelled)
    assert said == (False, False, False, False)
    await sandbox.approve("acme-shop-1")
    await vipps.ecom.capture("acme-shop-1", amount=20_000, transaction_text="First.", idempotency_key="capture-1")
    await vipps.ecom.refund("acme-shop-1", amount=5_000, transaction_text="Back.", idempotency_key="refund-1")
    with pytest.raises(CaptureError):
        await vipps.ecom.capture("acme-shop-1", amount=PRICE, transaction_text="Much.", idempotency_key="capture-2")

    details = await vipps.ecom.details("acme-shop-1")
    assert [entry.operation for entry in details.transaction_log_history] == [
        OperationName.CAPTURE,
        OperationName.REFUND,
        OperationName.CAPTURE,
        OperationName.RESERVE,
        OperationName.INITIATE,
    ]
    failed = details.entry("capture-2")
    assert failed is not None
    assert not failed.operation_success
    done = details.entry("refund-1", operation=OperationName.REFUND)
    assert done is not None
    assert (done.amount, done.transaction_text, done.operation_success) == (5_000, "Back.", True)
    assert details.last_successful_operation == done
    assert details.entry("capture-3") is None
    assert (details.reserved_amount, details.captured_amount, details.refunded_amount) == (PRICE, 20_000, 5_000)
    assert (details.remaining_to_capture, details.remaining_to_refund) == (PRICE - 20_000, 15_000)
    assert details.transaction_summary is not None
    assert details.transaction_summary.bank_identification_number == "411111"


async def test_captures_and_refunds_in_parts(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Several captures and refunds take their parts, and leaving the amount out takes exactly what remains."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    for amount in (10_000, 20_000):
        await vipps.ecom.capture("acme-shop-1", amount=amount, transaction_text="A parcel.")
    rest = await vipps.ecom.capture("acme-shop-1", transaction_text="The last parcel.")
    await vipps.ecom.refund("acme-shop-1", amount=100, transaction_text="A krone back.")
    everything = await vipps.ecom.refund("acme-shop-1", transaction_text="All of it back.")

    assert rest.transaction is not None
    assert everything.transaction is not None
    assert rest.transaction.amount == PRICE - 30_000
    assert everything.transaction.amount == PRICE - 100
    truth = sandbox.payment("acme-shop-1")
    assert (truth.captured, truth.refunded) == (PRICE, PRICE)
    assert [entry.amount for entry in truth.moved("CAPTURE")] == [10_000, 20_000, PRICE - 30_000]


async def test_a_key_used_twice_moves_money_once(sandbox: Sandbox, vipps: VippsSession) -> None:
    """The same capture with the same key answers the same and has no further effect."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    first = await vipps.ecom.capture("acme-shop-1", amount=100, transaction_text="Once.", idempotency_key="key-1")
    second = await vipps.ecom.capture("acme-shop-1", amount=100, transaction_text="Once.", idempotency_key="key-1")

    assert first == second
    assert sandbox.payment("acme-shop-1").captured == 100
    assert sandbox.payment("acme-shop-1").request_ids == ("key-1",)


async def test_each_call_has_a_key_of_its_own(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Two captures without a given key are two captures."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    for _ in range(2):
        await vipps.ecom.capture("acme-shop-1", amount=100, transaction_text="Twice.")

    truth = sandbox.payment("acme-shop-1")
    assert truth.captured == 200
    assert len(set(truth.request_ids)) == 2


async def test_cancel_of_a_reservation(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Cancelling before capture releases everything."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    cancelled = await vipps.ecom.cancel("acme-shop-1", transaction_text="Out of stock.")

    assert cancelled.transaction is not None
    assert cancelled.transaction.status is TransactionStatus.CANCELLED
    assert cancelled.transaction_summary is not None
    assert cancelled.transaction_summary.remaining_amount_to_capture == 0
    details = await vipps.ecom.details("acme-shop-1")
    assert details.is_cancelled
    assert details.is_approved
    assert not details.is_reserved
    assert sandbox.payment("acme-shop-1").released == PRICE


async def test_cancel_before_the_customer_has_acted(sandbox: Sandbox, vipps: VippsSession) -> None:
    """A payment that waits can be cancelled; the answer lacks a transaction id, which is read without failing."""
    await initiate(vipps)
    cancelled = await vipps.ecom.cancel("acme-shop-1", transaction_text="Changed our mind.")

    assert cancelled.transaction is not None
    assert cancelled.transaction.transaction_id is None
    assert cancelled.transaction_summary is None
    assert sandbox.payment("acme-shop-1").state is State.CANCEL
    assert (await vipps.ecom.details("acme-shop-1")).is_cancelled


async def test_release_of_the_rest(sandbox: Sandbox, vipps: VippsSession) -> None:
    """After a partial capture, cancel with should_release_remaining_funds frees the rest and keeps what was taken."""
    await initiate(vipps)
    await sandbox.approve("acme-shop-1")
    await vipps.ecom.capture("acme-shop-1", amount=20_000, transaction_text="What we had.")
    await vipps.ecom.cancel("acme-shop-1", transaction_text="The rest.", should_release_remaining_funds=True)

    truth = sandbox.payment("acme-shop-1")
    assert (truth.captured, truth.released) == (20_000, PRICE - 20_000)
    details = await vipps.ecom.details("acme-shop-1")
    assert details.is_captured
    assert not details.is_cancelled
    assert (details.remaining_to_capture, details.remaining_to_refund) == (0, 20_000)


async def test_a_declined_payment(sandbox: Sandbox, vipps: VippsSession) -> None:
    """A customer who says no leaves a cancelled payment of which nothing moved."""
    await initiate(vipps)
    await sandbox.reject("acme-shop-1")

    details = await vipps.ecom.details("acme-shop-1")
    assert details.is_cancelled
    assert not details.is_approved
    assert sandbox.payment("acme-shop-1").reserved == 0


@pytest.mark.parametrize("opened_after", [None, 240])
async def test_a_payment_that_nobody_approves_runs_out_of_time(
    sandbox: Sandbox, vipps: VippsSession, opened_after: int | None
) -> None:
    """The link lives five minutes, and the app five more once the payment was opened there."""
    await initiate(vipps)
    if opened_after is not None:
        sandbox.clock.advance(opened_after)
        await sandbox.open("acme-shop-1")
    sandbox.clock.advance(290)
    assert not (await vipps.ecom.details("acme-shop-1")).is_cancelled
    sandbox.clock.advance(11)

    assert (await vipps.ecom.details("acme-shop-1")).is_cancelled
    with pytest.raises(CaptureError) as caught:
        await vipps.ecom.capture("acme-shop-1", transaction_text="Too late.")
    assert caught.value.effect is Effect.NONE


async def test_direct_capture() -> None:
    """A sales unit with direct capture has its money at once: details say so, and a refund works."""
    async with (
        Sandbox(settings=SandboxSettings(direct_capture={"123456"})) as sandbox,
        sandbox.session(retry=FAST) as vipps,
    ):
        await initiate(vipps)
        await sandbox.approve("acme-shop-1")
        details = await vipps.ecom.details("acme-shop-1")
        assert details.is_approved
        assert details.is_captured
        assert not details.is_reserved
        assert details.captured_amount == details.remaining_to_refund == PRICE
        assert (await vipps.ecom.status("acme-shop-1")).transaction is not None
        with pytest.raises(CaptureError):
            await vipps.ecom.capture("acme-shop-1", transaction_text="Again.")
        await vipps.ecom.refund("acme-shop-1", transaction_text="Back.")
        assert sandbox.payment("acme-shop-1").refunded == PRICE


async def test_status_follows_the_payment(sandbox: Sandbox, vipps: VippsSession) -> None:
    """The deprecated status names the last thing that happened."""
    seen = []

    async def look() -> None:
        status = await vipps.ecom.status("acme-shop-1")
        assert status.order_id == "acme-shop-1"
        assert status.transaction is not None
        seen.append(status.transaction.status)

    await initiate(vipps)
    await look()
    await sandbox.approve("acme-shop-1")
    await look()
    await vipps.ecom.capture("acme-shop-1", transaction_text="Shipped.")
    await look()
    await vipps.ecom.refund("acme-shop-1", transaction_text="Back.")
    await look()
    assert seen == [OrderStatus.INITIATE, OrderStatus.RESERVE, OrderStatus.CAPTURE, OrderStatus.REFUND]


async def test_approve_by_the_api(sandbox: Sandbox, vipps: VippsSession) -> None:
    """The test host's approve does what the customer would do in the app."""
    payment = await initiate(vipps)
    assert payment.token is not None
    await vipps.ecom.approve(payment.order_id, mobile_number="91234567", token=payment.token)

    assert sandbox.payment("acme-shop-1").reserved == PRICE


async def test_a_payment_in_an_app(sandbox: Sandbox, vipps: VippsSession) -> None:
    """With is_app the customer is sent into the app by a deep link, whose token approve takes."""
    payment = await initiate(vipps, is_app=True, fall_back="acmeshop://back")
    assert payment.url.startswith("vippsMT://?token=")
    assert payment.token is not None
    await vipps.ecom.approve(payment.order_id, mobile_number="91234567", token=payment.token)

    assert (await vipps.ecom.details("acme-shop-1")).is_reserved


async def test_skipping_the_landing_page() -> None:
    """A sales unit that may skip the landing page can do so with the customer's number."""
    async with (
        Sandbox(settings=SandboxSettings(skip_landing_page={"123456"})) as sandbox,
        sandbox.session(retry=FAST) as vipps,
    ):
        await initiate(vipps, skip_landing_page=True, mobile_number="91234567")
        await sandbox.approve("acme-shop-1")
        assert (await vipps.ecom.details("acme-shop-1")).is_reserved


@pytest.mark.parametrize("amount", [151, 182, 183, 184, 186, 187, 197, 202])
async def test_amounts_that_the_bank_refuses(sandbox: Sandbox, vipps: VippsSession, amount: int) -> None:
    """The vendor's test amounts fail at the bank: nothing is reserved, details and status say so."""
    await initiate(vipps, amount=amount)
    await sandbox.approve("acme-shop-1")

    details = await vipps.ecom.details("acme-shop-1")
    assert not details.is_approved
    assert details.remaining_to_capture == 0
    status = await vipps.ecom.status("acme-shop-1")
    assert status.transaction is not None
    assert status.transaction.status is OrderStatus.FAILED
    with pytest.raises(CaptureError) as caught:
        await vipps.ecom.capture("acme-shop-1", transaction_text="Try.")
    assert [info.code for info in caught.value.errors] == ["62"]


async def test_an_amount_that_is_not_known_for_an_hour(sandbox: Sandbox, vipps: VippsSession) -> None:
    """The test amount 201 is neither reserved nor refused for an hour, and then reserved."""
    await initiate(vipps, amount=201)
    await sandbox.approve("acme-shop-1")
    details = await vipps.ecom.details("acme-shop-1")
    assert (details.is_approved, details.is_cancelled) == (False, False)
    status = await vipps.ecom.status("acme-shop-1")
    assert status.transaction is not None
    assert status.transaction.status is OrderStatus.REGISTER
    sandbox.clock.advance(timedelta(hours=1, seconds=1))

    # The token has expired by then, too.
    assert (await vipps.ecom.details("acme-shop-1")).is_reserved


async def test_airline_data_is_taken(sandbox: Sandbox, vipps: VippsSession) -> None:
    """A ticket's data travel under the vendor's names; the sandbox refuses names that it does not know."""
    data = AirlineData(
        passenger_name="FLYER / MARY MS.",
        airline_code="074",
        airline_designator_code="KL",
        ticket_number="123-1234-1234-1234",
        agency_invoice_number="123456",
    )
    payment = await initiate(vipps, airline_data=data)
    assert payment.order_id == "acme-shop-1"


class _CustomerWhoTakesTime:
    """A transport behind which the customer approves once details have been asked twice."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = AiohttpTransport()
        self._sandbox = sandbox
        self.asked = 0

    async def send(self, request: Request) -> Response:
        """See Transport."""
        response = await self._inner.send(request)
        if request.url.endswith("/details"):
            self.asked += 1
            if self.asked == 2:
                await self._sandbox.approve("acme-shop-1")
        return response

    async def aclose(self) -> None:
        """See Transport."""
        await self._inner.aclose()


async def test_waiting_for_the_customer(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """wait_for asks details until the customer has approved, and returns them."""
    monkeypatch.setattr(polling, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(polling, "PAUSE", 0.001)
    transport = _CustomerWhoTakesTime(sandbox)
    async with sandbox.session(transport=transport, retry=FAST) as vipps:
        await initiate(vipps)
        details = await vipps.ecom.wait_for("acme-shop-1", timeout=10)
    await transport.aclose()
    assert details.is_reserved
    assert transport.asked == 3


async def test_no_order_id_changes_the_path(sandbox: Sandbox, vipps: VippsSession) -> None:
    """An order id of the longest kind goes into the path as it is."""
    order_id = "A-z-0-9-" * 6 + "ok"
    await initiate(vipps, order_id)
    await vipps.ecom.details(order_id)
    assert sandbox.requests[-1].path == f"/ecomm/v2/payments/{order_id}/details"


async def test_the_headers_of_a_call(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Each call names key, sales unit and system; the client secret goes to the token endpoint alone."""
    await initiate(vipps)
    token, call = sandbox.requests
    assert token.operation == "token"
    assert token.body == b""
    assert token.headers["client_secret"] == "sandbox-secret"
    assert call.headers["Ocp-Apim-Subscription-Key"] == "sandbox-key"
    assert call.headers["Merchant-Serial-Number"] == "123456"
    assert call.headers["Vipps-System-Name"] == "vipps-async"
    assert call.headers["Authorization"].startswith("Bearer ")
    assert call.headers["Content-Type"] == "application/json"
    assert "client_secret" not in call.headers
    assert "client_id" not in call.headers


async def test_a_rate_limit_is_waited_out_or_reported() -> None:
    """A 429 whose Retry-After is longer than the call may take ends the call, and nothing has moved."""
    async with Sandbox() as strict, strict.session(retry=RetryPolicy(base=0.001, deadline=5)) as vipps:
        await initiate(vipps)
        await strict.approve("acme-shop-1")
        for number in range(5):
            await vipps.ecom.capture("acme-shop-1", amount=100, transaction_text=f"Part {number}.")
        with pytest.raises(RateLimitedError) as caught:
            await vipps.ecom.capture("acme-shop-1", amount=100, transaction_text="Part 6.")
        assert caught.value.effect is Effect.NONE
        assert caught.value.retry_after is not None
        assert caught.value.retryable
        assert strict.payment("acme-shop-1").captured == 500

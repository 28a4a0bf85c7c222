"""Payments over HTTP: every rule of the state machine with the code that Vipps answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.sandbox.driver import Merchant, merchant_at
from vipps_async.sandbox import SandboxError, SandboxServer, SandboxSettings, State


async def test_a_payment_from_initiate_to_refund(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The quick start: initiate, approve, capture in parts, refund; each sum is right at each step."""
    answer = await merchant.initiate("acme-1", 49900)
    assert answer.status == 200
    assert answer.json["orderId"] == "acme-1"
    assert answer.json["url"].startswith(f"{sandbox.url}/dwo-api-application/v1/deeplink/vippsgateway?v=2&token=")

    details = (await merchant.details("acme-1")).json
    assert "transactionSummary" not in details
    assert [line["operation"] for line in details["transactionLogHistory"]] == ["INITIATE"]

    reserved = await sandbox.approve("acme-1")
    assert (reserved.state, reserved.reserved) == (State.RESERVE, 49900)

    captured = (await merchant.capture("acme-1", 10000, key="key-1")).json
    assert captured["transactionInfo"]["status"] == "Captured"
    assert captured["transactionInfo"]["amount"] == 10000
    assert captured["transactionSummary"] == {
        "capturedAmount": 10000,
        "remainingAmountToCapture": 39900,
        "refundedAmount": 0,
        "remainingAmountToRefund": 10000,
    }
    rest = (await merchant.capture("acme-1", key="key-2")).json
    assert rest["transactionInfo"]["amount"] == 39900

    refunded = (await merchant.refund("acme-1", 9900, key="key-3")).json
    assert refunded["transaction"]["status"] == "Refund"
    assert not refunded["transaction"]["timeStamp"].endswith("Z")
    assert "transactionInfo" not in refunded

    details = (await merchant.details("acme-1")).json
    assert [line["operation"] for line in details["transactionLogHistory"]] == [
        "REFUND",
        "CAPTURE",
        "CAPTURE",
        "RESERVE",
        "INITIATE",
    ]
    assert [line["requestId"] for line in details["transactionLogHistory"]] == ["key-3", "key-2", "key-1", "", ""]
    assert details["transactionSummary"]["bankIdentificationNumber"] == 411111
    moved = sandbox.payment("acme-1")
    assert (moved.captured, moved.refunded, moved.request_ids) == (49900, 9900, ("key-1", "key-2", "key-3"))
    assert [entry.amount for entry in moved.moved("CAPTURE")] == [10000, 39900]
    assert sandbox.payments == (moved,)


async def test_an_order_id_is_used_once(merchant: Merchant) -> None:
    """A second initiate with the same order id is refused with 34."""
    await merchant.initiate("acme-1")
    answer = await merchant.initiate("acme-1")
    assert (answer.status, answer.codes) == (400, [("Merchant", "34")])


async def test_another_sales_unit_may_use_the_same_order_id(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Order ids are unique for each sales unit, and one unit never sees the other's order."""
    await merchant.initiate("acme-1", 10000)
    async with merchant_at(sandbox.url, "654321") as other:
        assert (await other.details("acme-1")).codes == [("Merchant", "35")]
        assert (await other.capture("acme-1")).codes == [("Merchant", "35")]
        assert (await other.initiate("acme-1", 20000)).status == 200
        assert (await other.details("acme-1")).json["transactionLogHistory"][0]["amount"] == 20000
        nameless: dict[str, str | None] = {"Merchant-Serial-Number": None}
        answer = await other.call("GET", "/ecomm/v2/payments/acme-1/details", headers=nameless)
        assert answer.codes == [("Merchant", "35")]
    with pytest.raises(SandboxError, match="several sales units"):
        sandbox.payment("acme-1")
    assert sandbox.payment("acme-1", msn="654321").amount == 20000


async def test_an_unknown_order_is_35(merchant: Merchant) -> None:
    """Every operation on an order that does not exist answers 35."""
    for answer in (
        await merchant.capture("none"),
        await merchant.refund("none"),
        await merchant.cancel("none"),
        await merchant.details("none"),
        await merchant.status("none"),
        await merchant.force_approve("none"),
    ):
        assert (answer.status, answer.codes) == (404, [("Merchant", "35")])


async def test_a_repeated_key_replays_the_answer(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The same key with the same payload answers the same and moves nothing, even when more was moved meanwhile."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    first = await merchant.capture("acme-1", 10000, key="key-1")
    await merchant.capture("acme-1", 5000, key="key-2")
    again = await merchant.capture("acme-1", 10000, key="key-1")
    assert again.json == first.json
    assert sandbox.payment("acme-1").captured == 15000
    first = await merchant.refund("acme-1", 3000, key="key-1")
    again = await merchant.refund("acme-1", 3000, key="key-1")
    assert (first.status, again.json) == (200, first.json)
    assert sandbox.payment("acme-1").refunded == 3000


@pytest.mark.parametrize(("amount", "text"), [(20000, "Shipped."), (10000, "Sent."), (None, "Shipped.")])
async def test_a_key_with_another_payload_is_93(
    sandbox: SandboxServer, merchant: Merchant, amount: int | None, text: str
) -> None:
    """The same key with another amount or text is refused with 93 and moves nothing."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1", 10000, key="key-1")
    answer = await merchant.capture("acme-1", amount, key="key-1", text=text)
    assert answer.codes == [("Payment", "93")]
    assert sandbox.payment("acme-1").captured == 10000


async def test_a_refused_key_may_be_tried_again(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A capture that was refused takes effect when repeated with its key once it is allowed, not before."""
    await merchant.initiate("acme-1")
    assert (await merchant.capture("acme-1", 10000, key="key-1")).codes == [("Payment", "62")]
    await sandbox.approve("acme-1")
    assert (await merchant.capture("acme-1", 10000, key="key-1")).status == 200
    history = (await merchant.details("acme-1")).json["transactionLogHistory"]
    assert [(line["operation"], line["operationSuccess"]) for line in history] == [
        ("CAPTURE", True),
        ("RESERVE", True),
        ("CAPTURE", False),
        ("INITIATE", True),
    ]


async def test_captures_end_at_what_is_reserved(sandbox: SandboxServer, merchant: Merchant) -> None:
    """61 above what remains, and for "the rest" when nothing is left."""
    await merchant.initiate("acme-1", 10000)
    await sandbox.approve("acme-1")
    assert (await merchant.capture("acme-1", 10001)).codes == [("Payment", "61")]
    assert (await merchant.capture("acme-1", 10000)).status == 200
    assert (await merchant.capture("acme-1")).codes == [("Payment", "61")]
    assert sandbox.payment("acme-1").captured == 10000


async def test_zero_and_null_take_all_that_remains(sandbox: SandboxServer, merchant: Merchant) -> None:
    """An amount of 0 or null means everything, as Vipps really behaves."""
    for order_id, amount in (("acme-1", 0), ("acme-2", None)):
        await merchant.initiate(order_id)
        await sandbox.approve(order_id)
        body = {
            "merchantInfo": {"merchantSerialNumber": merchant.msn},
            "transaction": {"amount": amount, "transactionText": "Shipped."},
        }
        path = f"/ecomm/v2/payments/{order_id}/capture"
        answer = await merchant.call("POST", path, body, headers={"X-Request-Id": "key"})
        assert answer.json["transactionInfo"]["amount"] == 49900


async def test_refunds_end_at_what_is_captured(sandbox: SandboxServer, merchant: Merchant) -> None:
    """71 above what is captured, 72 for a mere reservation, 73 for a cancelled order."""
    await merchant.initiate("acme-1", 10000)
    assert (await merchant.refund("acme-1")).codes == [("Payment", "71")]
    await sandbox.approve("acme-1")
    assert (await merchant.refund("acme-1")).codes == [("Payment", "72")]
    await merchant.capture("acme-1", 5000)
    assert (await merchant.refund("acme-1", 5001)).codes == [("Payment", "71")]
    assert (await merchant.refund("acme-1")).json["transaction"]["amount"] == 5000
    assert (await merchant.refund("acme-1")).codes == [("Payment", "71")]
    await merchant.initiate("acme-2")
    await sandbox.approve("acme-2")
    await merchant.cancel("acme-2")
    assert (await merchant.refund("acme-2")).codes == [("Payment", "73")]
    assert sandbox.payment("acme-1").refunded == 5000


async def test_cancelling_an_initiated_payment(sandbox: SandboxServer, merchant: Merchant) -> None:
    """It answers Cancelled without a transaction id, once; the customer can no longer approve."""
    await merchant.initiate("acme-1")
    answer = (await merchant.cancel("acme-1")).json
    assert answer["transactionInfo"]["status"] == "Cancelled"
    assert "transactionId" not in answer["transactionInfo"]
    assert "transactionSummary" not in answer
    assert (await merchant.cancel("acme-1")).codes == [("VippsError", "92")]
    assert (await merchant.capture("acme-1")).codes == [("VippsError", "91")]
    with pytest.raises(SandboxError, match="it is CANCEL"):
        await sandbox.approve("acme-1")
    assert (await merchant.status("acme-1")).json["transactionInfo"]["status"] == "CANCEL"


async def test_cancelling_a_reservation_releases_it(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A reservation that is cancelled is VOID; a second cancel is refused, and details tell."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    answer = (await merchant.cancel("acme-1")).json
    assert answer["transactionInfo"]["transactionId"]
    assert answer["transactionSummary"]["remainingAmountToCapture"] == 0
    assert (await merchant.cancel("acme-1", release=True)).codes == [("VippsError", "92")]
    assert (await merchant.details("acme-1")).json["transactionLogHistory"][1]["operation"] == "VOID"
    assert sandbox.payment("acme-1").released == 49900


async def test_a_partly_captured_payment_is_released_only_if_told_so(
    sandbox: SandboxServer, merchant: Merchant
) -> None:
    """51 without the flag; with it the rest is released, and what was captured stays and can be refunded."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1", 10000)
    assert (await merchant.cancel("acme-1")).codes == [("Payment", "51")]
    assert (await merchant.cancel("acme-1", release=False)).codes == [("Payment", "51")]
    assert (await merchant.cancel("acme-1", release=True)).json["transactionInfo"]["amount"] == 39900
    assert (await merchant.capture("acme-1")).codes == [("VippsError", "91")]
    assert (await merchant.refund("acme-1")).json["transaction"]["amount"] == 10000
    moved = sandbox.payment("acme-1")
    assert (moved.captured, moved.released, moved.refunded) == (10000, 39900, 10000)


async def test_a_wholly_captured_payment_cannot_be_cancelled(sandbox: SandboxServer, merchant: Merchant) -> None:
    """51, with or without the flag."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1")
    assert (await merchant.cancel("acme-1", release=True)).codes == [("Payment", "51")]


async def test_captures_and_cancels_end_after_180_days(sandbox: SandboxServer, merchant: Merchant) -> None:
    """98 after 180 days; until then both work."""
    for order_id in ("acme-1", "acme-2"):
        await merchant.initiate(order_id)
        await sandbox.approve(order_id)
    sandbox.clock.advance(timedelta(days=179, hours=23))
    await merchant.log_in()
    assert (await merchant.capture("acme-1", 10000)).status == 200
    sandbox.clock.advance(timedelta(hours=2))
    await merchant.log_in()
    assert (await merchant.capture("acme-1")).codes == [("Payment", "98")]
    assert (await merchant.cancel("acme-2")).codes == [("Payment", "98")]


async def test_refunds_end_after_365_days(sandbox: SandboxServer, merchant: Merchant) -> None:
    """95 after 365 days, and a key that took effect before still replays."""
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    await merchant.capture("acme-1")
    first = await merchant.refund("acme-1", 1000, key="key-1")
    sandbox.clock.advance(timedelta(days=365, seconds=1))
    await merchant.log_in()
    assert (await merchant.refund("acme-1", 1000, key="key-2")).codes == [("Payment", "95")]
    assert (await merchant.refund("acme-1", 1000, key="key-1")).json == first.json


async def test_direct_capture() -> None:
    """A direct-capture sales unit's payment is a SALE: captured at once, refundable, never captured or cancelled."""
    async with (
        SandboxServer(settings=SandboxSettings(direct_capture={"123456"}), rate_limits=False) as sandbox,
        merchant_at(sandbox.url) as shop,
    ):
        await shop.initiate("acme-1")
        sold = await sandbox.approve("acme-1")
        assert (sold.state, sold.captured) == (State.SALE, 49900)
        assert (await shop.status("acme-1")).json["transactionInfo"]["status"] == "SALE"
        assert (await shop.capture("acme-1")).codes == [("Payment", "95")]
        assert (await shop.cancel("acme-1", release=True)).codes == [("Payment", "51")]
        assert (await shop.refund("acme-1", 900)).status == 200


async def test_a_payment_times_out(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Five minutes on the landing page; five more once it was opened in the app."""
    await merchant.initiate("acme-1")
    await merchant.initiate("acme-2")
    sandbox.clock.advance(299)
    await sandbox.open("acme-2")
    sandbox.clock.advance(2)
    assert sandbox.payment("acme-1").state is State.CANCEL
    assert sandbox.payment("acme-2").state is State.INITIATE
    sandbox.clock.advance(299)
    assert [payment.state for payment in sandbox.payments] == [State.CANCEL, State.CANCEL]
    assert (await merchant.details("acme-2")).json["transactionLogHistory"][0]["operation"] == "CANCEL"


async def test_a_payment_can_be_timed_out_at_will(sandbox: SandboxServer, merchant: Merchant) -> None:
    """`expire` ends a waiting payment whatever the clock says, and only a waiting one."""
    await merchant.initiate("acme-1")
    assert (await sandbox.expire("acme-1")).state is State.CANCEL
    with pytest.raises(SandboxError, match="does not wait"):
        await sandbox.expire("acme-1")


async def test_the_customer_declines(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A declined payment is cancelled; nothing was reserved."""
    await merchant.initiate("acme-1")
    declined = await sandbox.reject("acme-1")
    assert (declined.state, declined.reserved) == (State.CANCEL, 0)


@pytest.mark.parametrize("amount", [151, 182, 183, 184, 186, 187, 197, 202])
async def test_test_amounts_are_refused_by_the_bank(sandbox: SandboxServer, merchant: Merchant, amount: int) -> None:
    """Approving such an amount fails; the failed reservation stands in the history, and nothing can be captured."""
    await merchant.initiate("acme-1", amount)
    failed = await sandbox.approve("acme-1")
    assert (failed.state, failed.reserved) == (State.FAILED, 0)
    details = (await merchant.details("acme-1")).json
    assert (
        details["transactionLogHistory"][0]["operation"],
        details["transactionLogHistory"][0]["operationSuccess"],
    ) == ("RESERVE", False)
    assert details["transactionSummary"]["remainingAmountToCapture"] == 0
    assert (await merchant.status("acme-1")).json["transactionInfo"]["status"] == "FAILED"
    assert (await merchant.capture("acme-1")).codes == [("Payment", "62")]
    assert (await merchant.cancel("acme-1")).codes == [("VippsError", "92")]


async def test_an_unknown_reservation_is_known_after_an_hour(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The amount 201 leaves the reservation open for one hour: neither captured, cancelled, nor approved again."""
    await merchant.initiate("acme-1", 201)
    await sandbox.approve("acme-1")
    assert (await merchant.status("acme-1")).json["transactionInfo"]["status"] == "REGISTER"
    assert (await merchant.capture("acme-1")).codes == [("Payment", "62")]
    assert (await merchant.cancel("acme-1")).codes == [("Payment", "52")]
    with pytest.raises(SandboxError, match="it is REGISTER"):
        await sandbox.approve("acme-1")
    sandbox.clock.advance(timedelta(minutes=59))
    assert sandbox.payment("acme-1").state is State.INITIATE
    sandbox.clock.advance(timedelta(minutes=1))
    assert sandbox.payment("acme-1").reserved == 201


async def test_force_approve(sandbox: SandboxServer, merchant: Merchant) -> None:
    """It answers 200 without a body, ignores test amounts, and works once."""
    url = (await merchant.initiate("acme-1", 151)).json["url"]
    answer = await merchant.force_approve("acme-1", customerPhoneNumber="91234567", token=url.partition("token=")[2])
    assert (answer.status, answer.body) == (200, b"")
    assert sandbox.payment("acme-1").reserved == 151
    assert (await merchant.force_approve("acme-1")).codes == [("VippsError", "92")]


async def test_force_approve_wants_the_right_token_and_number(merchant: Merchant) -> None:
    """Another payment's token, or a malformed number, is refused."""
    await merchant.initiate("acme-1")
    assert (await merchant.force_approve("acme-1", token="other")).codes == [("InvalidRequest", "token")]
    assert (await merchant.force_approve("acme-1", customerPhoneNumber="+4612345678")).codes == [("User", "81")]


async def test_force_approve_is_not_for_express_nor_pushed_payments() -> None:
    """Both are refused with 91."""
    async with (
        SandboxServer(settings=SandboxSettings(skip_landing_page={"123456"})) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        express = {
            "paymentType": "eComm Express Payment",
            "consentRemovalPrefix": "https://example.com/consents",
            "shippingDetailsPrefix": "https://example.com/shipping",
        }
        assert (await merchant.initiate("acme-1", merchantInfo=express)).status == 200
        pushed = await merchant.initiate(
            "acme-2", transaction={"skipLandingPage": True}, customerInfo={"mobileNumber": "91234567"}
        )
        assert pushed.status == 200
        for order_id in ("acme-1", "acme-2"):
            assert (await merchant.force_approve(order_id)).codes == [("VippsError", "91")]


async def test_an_order_without_the_header_is_found_by_its_id(merchant: Merchant) -> None:
    """Reads work without Merchant-Serial-Number, which is optional for a merchant."""
    await merchant.initiate("acme-1")
    answer = await merchant.call("GET", "/ecomm/v2/payments/acme-1/details", headers={"Merchant-Serial-Number": None})
    assert answer.status == 200


async def test_failed_operations_on_record_are_bounded(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A client that fails in a loop does not fill the history without end."""
    await merchant.initiate("acme-1")
    for _ in range(210):
        assert (await merchant.capture("acme-1")).status == 400
    assert len(sandbox.payment("acme-1").history) == 201

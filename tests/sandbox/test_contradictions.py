"""Faults with which Vipps contradicts itself: whether they take effect, and that they look like honest answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tests.sandbox.driver import Answer, Merchant, merchant_at
from vipps_async.sandbox import Fault, PaymentSnapshot, SandboxClock, SandboxServer

#: Operation → the code with which it fails, what undoes nothing, and the word in its answer.
CODES = {"capture": "63", "cancel": "52", "refund": "74"}
WORDS = {"capture": "Captured", "cancel": "Cancelled", "refund": "Refund"}
#: Øre.
AMOUNT = 10_000
UNSETTLED = [fault for fault in Fault if fault.value.startswith("UNSETTLED")]


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a clock that stands still, so that answers made one after the other have the same times in them."""
    clock = SandboxClock(datetime(2026, 3, 1, tzinfo=UTC), running=False)
    async with SandboxServer(rate_limits=False, clock=clock) as server:
        yield server


@pytest.fixture
async def merchant(sandbox: SandboxServer) -> AsyncIterator[Merchant]:
    """Logged in, with two equal orders: reserved, and for refunds captured in part."""
    async with merchant_at(sandbox.url) as opened:
        for order_id in ("acme-1", "acme-2"):
            await opened.initiate(order_id)
            await sandbox.approve(order_id)
        yield opened


async def _perform(merchant: Merchant, operation: str, order_id: str, key: str = "key-1") -> Answer:
    if operation == "cancel":
        return await merchant.cancel(order_id, release=True)
    call: Callable[..., Awaitable[Answer]] = getattr(merchant, operation)
    return await call(order_id, AMOUNT, key=key)


async def _prepare(merchant: Merchant, operation: str) -> None:
    if operation == "refund":
        for order_id in ("acme-1", "acme-2"):
            await merchant.capture(order_id, 2 * AMOUNT, key="key-0")


def _effect(payment: PaymentSnapshot, operation: str) -> bool:
    return bool(payment.moved({"capture": "CAPTURE", "cancel": "VOID", "refund": "REFUND"}[operation])) and (
        operation != "capture" or payment.captured == AMOUNT
    )


def _masked(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body, without what differs from one honest answer to the next."""
    headers = [(name, value) for name, value in answer.headers.items() if name != "Date"]
    ids = rb'"contextId":"[0-9a-f-]{36}"|"transactionId":"[0-9]+"|acme-[0-9]'
    return answer.status, headers, re.sub(ids, b"", answer.body)


def _shape(value: Any) -> Any:
    """What kinds of values stand where, in order."""
    if isinstance(value, dict):
        return [(name, _shape(part)) for name, part in value.items()]
    return [_shape(part) for part in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("operation", CODES)
@pytest.mark.parametrize("fault", UNSETTLED, ids=lambda fault: fault.value)
async def test_an_answer_that_settles_nothing_takes_effect_as_its_name_says(
    sandbox: SandboxServer, merchant: Merchant, fault: Fault, operation: str
) -> None:
    """Each such kind moves money or not, whatever it answers; the same key then moves it, or has moved it, once."""
    await _prepare(merchant, operation)
    sandbox.faults.script(operation, fault)
    answer = await _perform(merchant, operation, "acme-1")
    assert answer.status in {400, 402, 403, 409, 422, 500}
    assert _effect(sandbox.payment("acme-1"), operation) is fault.value.endswith("_AFTER")
    await _perform(merchant, operation, "acme-1")
    assert _effect(sandbox.payment("acme-1"), operation)


@pytest.mark.parametrize("status", [400, 402, 403, 409, 422, 500])
@pytest.mark.parametrize("operation", CODES)
async def test_what_settles_nothing_comes_with_any_status_and_with_its_own_code(
    sandbox: SandboxServer, merchant: Merchant, operation: str, status: int
) -> None:
    """63, 52 or 74, 92, and 99 in a group that can be chosen: the status says nothing about them."""
    sandbox.faults.unsettled_status, sandbox.faults.unsettled_group = status, "Merchant"
    sandbox.faults.script(
        operation, Fault.UNSETTLED_FAILED_BEFORE, Fault.UNSETTLED_92_BEFORE, Fault.UNSETTLED_99_BEFORE
    )
    answers = [await _perform(merchant, operation, "acme-1") for _ in range(3)]
    assert [answer.status for answer in answers] == [status] * 3
    codes = [("Payment", CODES[operation]), ("VippsError", "92"), ("Merchant", "99")]
    assert [answer.codes for answer in answers] == [[code] for code in codes]


async def test_scripted_variants_come_one_after_the_other(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Without a choice each of the six statuses, and each of the three groups, has its turn."""
    sandbox.faults.script("capture", *[Fault.UNSETTLED_99_BEFORE] * 18)
    answers = [await merchant.capture("acme-1") for _ in range(18)]
    assert [answer.status for answer in answers[:6]] == [400, 402, 403, 409, 422, 500]
    assert {group for answer in answers for group, _ in answer.codes} == {"Payment", "VippsError", "Merchant"}


async def _honest_92(merchant: Merchant) -> Answer:
    await merchant.cancel("acme-2")
    return await merchant.cancel("acme-2")


async def _honest_52(merchant: Merchant) -> Answer:
    # Test amount 201: its reservation is not known for an hour.
    await merchant.initiate("acme-3", 201)
    await merchant.force_approve("acme-3")
    return await merchant.cancel("acme-3")


async def _honest_error(merchant: Merchant) -> Answer:
    return await merchant.capture("acme-2", 10_000_000)


async def _honest_99(merchant: Merchant) -> Answer:
    return await merchant.call("POST", "/ecomm/v2/payments/acme-2/cancel", b"{")


async def _honest_gateway(merchant: Merchant) -> Answer:
    return await merchant.call("GET", "/ecomm/v2/payments/a/details", headers={"Ocp-Apim-Subscription-Key": None})


async def _honest_401(merchant: Merchant) -> Answer:
    return await merchant.call("GET", "/ecomm/v2/payments/acme-1/details", headers={"Authorization": "Bearer x"})


@pytest.mark.parametrize(
    ("fault", "honest"),
    [(Fault.UNSETTLED_92_BEFORE, _honest_92), (Fault.TOKEN_EXPIRED_401, _honest_401)],
    ids=lambda value: getattr(value, "value", ""),
)
async def test_a_fault_answers_byte_for_byte_like_an_honest_answer(
    sandbox: SandboxServer, merchant: Merchant, fault: Fault, honest: Callable[[Merchant], Awaitable[Answer]]
) -> None:
    """Where Vipps itself gives that answer, status, headers and body are the same but for ids."""
    sandbox.faults.unsettled_status = 400
    wanted = await honest(merchant)
    sandbox.faults.script("cancel", fault)
    assert _masked(await merchant.cancel("acme-1")) == _masked(wanted)


@pytest.mark.parametrize(
    ("fault", "honest"),
    [
        (Fault.UNSETTLED_FAILED_BEFORE, _honest_error),
        (Fault.UNSETTLED_FAILED_AFTER, _honest_error),
        (Fault.UNSETTLED_92_AFTER, _honest_92),
        (Fault.UNSETTLED_99_BEFORE, _honest_error),
        (Fault.UNSETTLED_99_AFTER, _honest_error),
        (Fault.UNSETTLED_402_BEFORE, _honest_gateway),
        (Fault.UNSETTLED_402_AFTER, _honest_gateway),
        (Fault.UNSETTLED_1000_BEFORE, _honest_401),
        (Fault.UNSETTLED_1000_AFTER, _honest_401),
        (Fault.FAILED_ENTRY, _honest_error),
        (Fault.LOCKED_94, _honest_error),
        (Fault.HTTP_429, _honest_gateway),
        (Fault.HTTP_503_BEFORE, _honest_401),
        (Fault.HELD_504, _honest_401),
    ],
    ids=lambda value: getattr(value, "value", ""),
)
async def test_a_fault_answers_in_the_shape_of_honest_answers(
    sandbox: SandboxServer, merchant: Merchant, fault: Fault, honest: Callable[[Merchant], Awaitable[Answer]]
) -> None:
    """Names and types in the body, their order, and the headers are those of Vipps' own answers of that shape."""
    wanted = await honest(merchant)
    sandbox.faults.script("capture", fault)
    answer = await merchant.capture("acme-1", AMOUNT)
    assert _shape(answer.json) == _shape(wanted.json)
    assert list(answer.headers) == list(wanted.headers)
    assert answer.headers["Content-Type"] == wanted.headers["Content-Type"]


async def test_a_402_comes_from_the_gateway_and_from_the_api(sandbox: SandboxServer, merchant: Merchant) -> None:
    """One has the gateway's shape, the next the API's."""
    sandbox.faults.script("capture", Fault.UNSETTLED_402_BEFORE, Fault.UNSETTLED_402_BEFORE)
    gateway, api = await merchant.capture("acme-1"), await merchant.capture("acme-1")
    assert (gateway.status, gateway.json["statusCode"]) == (402, 402)
    assert (api.status, api.codes) == (402, [("Payment", "42")])


async def test_a_throttled_answer_says_how_long_to_wait_as_an_honest_one_does() -> None:
    """The limit per order and the fault answer the same, but for the seconds."""
    clock = SandboxClock(running=False)
    async with SandboxServer(clock=clock) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        await merchant.initiate("acme-1")
        honest = await merchant.initiate("acme-1")
        sandbox.faults.retry_after = 60
        sandbox.faults.script("initiate", Fault.HTTP_429_RETRY_AFTER)
        assert _masked(await merchant.initiate("acme-2")) == _masked(honest)


@pytest.mark.parametrize("fault", [Fault.FAILED_ENTRY, Fault.FAILED_ENTRY_RESET, Fault.FAILURE_STATUS_BEFORE])
@pytest.mark.parametrize("operation", CODES)
async def test_a_failed_entry_ends_an_attempt_and_not_its_key(
    sandbox: SandboxServer, merchant: Merchant, operation: str, fault: Fault
) -> None:
    """It stands in details as failed, nothing moves, and the same key succeeds later: both entries then stand there."""
    await _prepare(merchant, operation)
    sandbox.faults.script(operation, fault)
    if fault is Fault.FAILED_ENTRY_RESET:
        if operation == "cancel":
            # aiohttp itself repeats a PUT whose connection was reset.
            sandbox.faults.script(operation, Fault.RESET_BEFORE_EFFECT)
        with pytest.raises(aiohttp.ClientOSError):
            await _perform(merchant, operation, "acme-1")
    else:
        await _perform(merchant, operation, "acme-1")
    assert not _effect(sandbox.payment("acme-1"), operation)
    assert (await _perform(merchant, operation, "acme-1")).status == 200
    newest, failed = (await merchant.details("acme-1")).json["transactionLogHistory"][:2]
    assert (newest["operationSuccess"], failed["operationSuccess"]) == (True, False)
    assert newest["requestId"] == failed["requestId"] == ("" if operation == "cancel" else "key-1")
    assert newest["transactionId"] != failed["transactionId"]


@pytest.mark.parametrize("fault", [Fault.FAILURE_STATUS_BEFORE, Fault.FAILURE_STATUS_AFTER, Fault.UNKNOWN_STATUS_AFTER])
@pytest.mark.parametrize("operation", CODES)
async def test_another_status_stands_in_an_answer_that_is_right_otherwise(
    sandbox: SandboxServer, merchant: Merchant, operation: str, fault: Fault
) -> None:
    """Only the word differs from an honest answer (and, where nothing moved, the sums); it is never the right one."""
    await _prepare(merchant, operation)
    sandbox.faults.script(operation, fault)
    wrong = await _perform(merchant, operation, "acme-1")
    right = await _perform(merchant, operation, "acme-2")
    where = "transaction" if operation == "refund" else "transactionInfo"
    assert _shape(wrong.json) == _shape(right.json)
    assert wrong.json[where]["status"] != WORDS[operation]
    assert _effect(sandbox.payment("acme-1"), operation) is fault.value.endswith("_AFTER")
    said = wrong.body.replace(wrong.json[where]["status"].encode(), WORDS[operation].encode())
    if fault.value.endswith("_AFTER"):
        headers = dict(wrong.headers) | {"Content-Length": right.headers["Content-Length"]}
        assert _masked(Answer(200, headers, said)) == _masked(right)


@pytest.mark.parametrize("fault", [Fault.FAILURE_STATUS_BEFORE, Fault.FAILURE_STATUS_AFTER])
@pytest.mark.parametrize("operation", CODES)
async def test_no_word_of_failure_is_the_operations_own_word(
    sandbox: SandboxServer, merchant: Merchant, operation: str, fault: Fault
) -> None:
    """In none of its variants: "Cancelled" is another operation's failure, and a cancel's success."""
    words = set()
    for order_id in ("variant-1", "variant-2", "variant-3", "variant-4"):
        await merchant.initiate(order_id)
        await sandbox.approve(order_id)
        if operation == "refund":
            await merchant.capture(order_id, AMOUNT, key="key-0")
        sandbox.faults.script(operation, fault)
        said = (await _perform(merchant, operation, order_id)).json
        words.add(said["transaction" if operation == "refund" else "transactionInfo"]["status"])
    assert words == {"Failed", "FAILED", "Rejected", "Cancelled"} - {WORDS[operation]}


async def test_a_request_refused_in_its_own_right_is_refused_as_ever(
    sandbox: SandboxServer, merchant: Merchant
) -> None:
    """A fault that would let it fail, or answer another word, changes nothing: too much is 61."""
    sandbox.faults.script("capture", Fault.FAILED_ENTRY, Fault.FAILURE_STATUS_BEFORE, Fault.OTHER_AMOUNT_AFTER)
    for _ in range(3):
        assert (await merchant.capture("acme-1", 10_000_000)).codes == [("Payment", "61")]
    assert [entry.success for entry in sandbox.payment("acme-1").history] == [True, True, False, False, False]


@pytest.mark.parametrize("operation", CODES)
async def test_an_answer_with_another_amount(sandbox: SandboxServer, merchant: Merchant, operation: str) -> None:
    """What moved is what was asked for; only the amount in the answer is another one."""
    await _prepare(merchant, operation)
    sandbox.faults.script(operation, Fault.OTHER_AMOUNT_AFTER)
    wrong = await _perform(merchant, operation, "acme-1")
    right = await _perform(merchant, operation, "acme-2")
    where = "transaction" if operation == "refund" else "transactionInfo"
    assert wrong.json[where]["amount"] != right.json[where]["amount"]
    assert _shape(wrong.json) == _shape(right.json)
    assert _effect(sandbox.payment("acme-1"), operation)


@pytest.mark.parametrize("operation", ["capture", "refund"])
async def test_half_of_the_amount_moves_and_all_agree(
    sandbox: SandboxServer, merchant: Merchant, operation: str
) -> None:
    """Answer, history and sums name the same half."""
    await _prepare(merchant, operation)
    sandbox.faults.script(operation, Fault.OTHER_AMOUNT_MOVED)
    answer = await _perform(merchant, operation, "acme-1")
    assert answer.json["transaction" if operation == "refund" else "transactionInfo"]["amount"] == AMOUNT // 2
    payment = sandbox.payment("acme-1")
    assert payment.history[-1].amount == AMOUNT // 2
    assert (payment.captured, payment.refunded) == (
        (AMOUNT // 2, 0) if operation == "capture" else (2 * AMOUNT, AMOUNT // 2)
    )


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.EMPTY_200_BEFORE, 200, b""),
        (Fault.EMPTY_200_AFTER, 200, b""),
        (Fault.REDIRECT_302_BEFORE, 302, b""),
        (Fault.REDIRECT_302_AFTER, 302, b""),
    ],
)
async def test_success_that_says_nothing(
    sandbox: SandboxServer, merchant: Merchant, fault: Fault, status: int, body: bytes
) -> None:
    """Nothing in it, or a place to go to."""
    sandbox.faults.script("capture", fault)
    url = f"{merchant.url}/ecomm/v2/payments/acme-1/capture"
    headers = {"Authorization": f"Bearer {merchant.token}", "Ocp-Apim-Subscription-Key": "k", "X-Request-Id": "key-1"}
    asked = merchant._body(AMOUNT, "Shipped.")
    async with merchant.session.post(url, json=asked, headers=headers, allow_redirects=False) as response:
        assert (response.status, await response.read()) == (status, body)
        assert ("Location" in response.headers) is (status == 302)
    assert _effect(sandbox.payment("acme-1"), "capture") is fault.value.endswith("_AFTER")


async def test_half_of_the_json_has_a_length_that_fits(sandbox: SandboxServer, merchant: Merchant) -> None:
    """It arrives as a whole answer, cut where its JSON is not."""
    sandbox.faults.script("capture", Fault.CUT_200_AFTER)
    cut = await merchant.capture("acme-1", AMOUNT)
    whole = await merchant.capture("acme-2", AMOUNT)
    assert cut.headers["Content-Length"] == str(len(cut.body)) == str(len(whole.body) // 2)
    assert whole.body.replace(b"acme-2", b"acme-1").startswith(cut.body[:60])


async def test_success_without_a_transaction(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The rest of the answer is there."""
    sandbox.faults.script("capture", Fault.NO_TRANSACTION_AFTER)
    answer = (await merchant.capture("acme-1", AMOUNT)).json
    assert "transactionInfo" not in answer
    assert answer["transactionSummary"]["capturedAmount"] == AMOUNT


@pytest.mark.parametrize(
    ("fault", "media", "begins"),
    [
        (Fault.REFUSAL_WITH_BOM, "application/json;charset=UTF-8", b'\xef\xbb\xbf[{"errorGroup":"Payment"'),
        (
            Fault.REFUSAL_AS_XML,
            "application/xml; charset=utf-8",
            b"<error><errorGroup>Payment</errorGroup><errorCode>61</errorCode>",
        ),
        (Fault.REFUSAL_AS_FORM, "application/x-www-form-urlencoded", b"errorGroup=Payment&errorCode=61"),
        (Fault.REFUSAL_AS_TEXT, "text/plain; charset=utf-8", b"Refused for "),
    ],
)
async def test_a_refusal_in_another_dress(
    sandbox: SandboxServer, merchant: Merchant, fault: Fault, media: str, begins: bytes
) -> None:
    """Its status and code are its own; what would have been done is refused with 94 and leaves no trace."""
    sandbox.faults.script("capture", fault, fault)
    refused = await merchant.capture("acme-1", 10_000_000)
    assert (refused.status, refused.headers["Content-Type"]) == (400, media)
    assert refused.body.startswith(begins)
    locked = await merchant.capture("acme-1", AMOUNT, key="key-1")
    assert (locked.status, b"94" in locked.body) == (409, True)
    assert [entry.success for entry in sandbox.payment("acme-1").history] == [True, True, False]
    assert (await merchant.capture("acme-1", AMOUNT, key="key-1")).status == 200


async def test_throttled_for_a_time_that_makes_no_sense(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Nine variants, none of which is a number of seconds that anyone should wait."""
    sandbox.faults.script("capture", *[Fault.ABSURD_RETRY_AFTER] * 9)
    answers = [await merchant.capture("acme-1") for _ in range(9)]
    assert {answer.status for answer in answers} == {429}
    said = {answer.headers["Retry-After"] for answer in answers}
    assert len(said) == 9
    assert not [text for text in said if text.isdigit() and len(text) < 6]
    assert sandbox.payment("acme-1").captured == 0

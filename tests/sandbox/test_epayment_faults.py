"""Faults meet ePayment as they meet eCom: by script and by seed, with the effect that the name says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tests.sandbox.driver import Answer, Merchant, merchant_at, until
from tests.sandbox.epayment_driver import PAYMENTS, REFERENCE, Epayment, code, epayment_at, values
from tests.sandbox.test_faults import AFTER_EFFECT, REQUEST_FAULTS
from vipps_async.sandbox import Fault, PaymentSnapshot, SandboxClock, SandboxServer
from vipps_async.sandbox.wire.fault import HELD, Kind

OPERATIONS = ("capture", "refund", "cancel")
SUMS = {"capture": "captured", "refund": "refunded", "cancel": "released"}
AMOUNT = 10_000
OTHER = "acme-shop-2"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a clock that stands still, so that answers made one after the other have the same times in them."""
    clock = SandboxClock(datetime(2026, 3, 1, tzinfo=UTC), running=False)
    async with SandboxServer(rate_limits=False, clock=clock, token_lifetime=30 * 86_400) as server:
        faults = server.faults
        faults.stall_seconds = faults.drip_seconds = faults.refusal_seconds = 0.1
        yield server


@pytest.fixture
async def shop(sandbox: SandboxServer, merchant: Merchant) -> Epayment:
    """With two equal payments of 499 NOK that are authorized."""
    opened = Epayment(merchant)
    for reference in (REFERENCE, OTHER):
        await opened.create(reference)
        await sandbox.approve(reference)
    return opened


async def _prepare(shop: Epayment, operation: str) -> None:
    if operation == "refund":
        for reference in (REFERENCE, OTHER):
            await shop.capture(2 * AMOUNT, reference, key="key-0")


async def _perform(shop: Epayment, operation: str, reference: str = REFERENCE) -> Answer:
    if operation == "cancel":
        return await shop.cancel(reference)
    call = shop.capture if operation == "capture" else shop.refund
    return await call(AMOUNT, reference, key="key-1")


def _moved(payment: PaymentSnapshot, operation: str) -> int:
    moved: int = getattr(payment, SUMS[operation])
    return moved


def _masked(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body, without what differs from one honest answer to the next."""
    headers = [(name, value) for name, value in answer.headers.items() if name != "Date"]
    ids = rb'"traceId":"[0-9a-f]{32}"|"pspReference":"[0-9a-f-]{36}"|acme-shop-[0-9]'
    return answer.status, headers, re.sub(ids, b"", answer.body)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", REQUEST_FAULTS, ids=lambda fault: fault.value)
async def test_money_moves_if_and_only_if_the_name_says_so(
    sandbox: SandboxServer, shop: Epayment, fault: Fault, operation: str
) -> None:
    """A fault before the effect moves nothing, one after it moves it once; a repetition has moved it exactly once."""
    await _prepare(shop, operation)
    sandbox.faults.script(operation, fault)
    with contextlib.suppress(aiohttp.ClientError):
        await _perform(shop, operation)
    whole = 49_900 if operation == "cancel" else AMOUNT
    assert _moved(sandbox.payment(REFERENCE), operation) == (whole if fault in AFTER_EFFECT else 0)
    if fault is Fault.CONNECTION_REFUSED:
        await asyncio.sleep(sandbox.faults.refusal_seconds)
        await until(lambda: sandbox._listener._reopening is None)
    repeated = await _perform(shop, operation)
    if operation == "cancel" and fault in AFTER_EFFECT:
        assert code(repeated) == "6190"
    else:
        assert repeated.status == 200
    assert _moved(sandbox.payment(REFERENCE), operation) == whole


@pytest.mark.parametrize(
    "fault", [fault for fault in REQUEST_FAULTS if Kind.CREATES in fault.kinds], ids=lambda f: f.value
)
async def test_a_create_is_made_once(sandbox: SandboxServer, merchant: Merchant, fault: Fault) -> None:
    """Whatever meets it, the same key then gives the payment with its redirectUrl, and there is one."""
    shop = Epayment(merchant)
    sandbox.faults.script("create", fault)
    with contextlib.suppress(aiohttp.ClientError):
        await shop.create(key="k")
    assert len(sandbox.payments) == (1 if fault in AFTER_EFFECT else 0)
    if fault is Fault.CONNECTION_REFUSED:
        await asyncio.sleep(sandbox.faults.refusal_seconds)
        await until(lambda: sandbox._listener._reopening is None)
    created = await shop.create(key="k")
    assert (created.status, created.json["redirectUrl"]) == (201, sandbox.landing_url(REFERENCE))
    assert len(sandbox.payments) == 1


async def test_answers_that_settle_nothing_have_codes_of_epayment(sandbox: SandboxServer, shop: Epayment) -> None:
    """By any status: the one for what failed, for what was done before, and the internal error."""
    sandbox.faults.unsettled_status = 409
    for operation, codes in (
        ("capture", ["6280", "6170", "3010"]),
        ("refund", ["3010", "6180", "3010"]),
        ("cancel", ["3010", "6190", "3010"]),
    ):
        sandbox.faults.script(
            operation, Fault.UNSETTLED_FAILED_BEFORE, Fault.UNSETTLED_92_BEFORE, Fault.UNSETTLED_99_BEFORE
        )
        answers = [await _perform(shop, operation) for _ in codes]
        assert [code(answer) for answer in answers] == codes
        assert {answer.status for answer in answers} == {answer.json["status"] for answer in answers} == {409}
    sandbox.faults.script("capture", *[Fault.UNSETTLED_402_BEFORE] * 2, Fault.UNSETTLED_1000_BEFORE)
    answers = [await _perform(shop, "capture") for _ in range(3)]
    assert [set(answer.json) & {"statusCode", "traceId", "responseInfo"} for answer in answers] == [
        {"statusCode"},
        {"traceId"},
        {"responseInfo"},
    ]


async def _honest(shop: Epayment, operation: str) -> Answer:
    if operation == "cancel":
        await shop.cancel(OTHER)
        return await shop.cancel(OTHER)
    await (shop.capture(49_900, OTHER) if operation == "capture" else shop.capture(100, OTHER))
    if operation == "capture":
        return await shop.capture(AMOUNT, OTHER)
    await shop.refund(100, OTHER)
    return await shop.refund(AMOUNT, OTHER)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_settles_nothing_is_byte_for_byte_like_an_honest_refusal(
    sandbox: SandboxServer, shop: Epayment, operation: str
) -> None:
    """No client can tell by status, headers or body which of the two it got."""
    sandbox.faults.unsettled_status = 400
    sandbox.faults.script(operation, Fault.UNSETTLED_92_BEFORE)
    dishonest = await _perform(shop, operation)
    honest = await _honest(shop, operation)
    assert _masked(dishonest) == _masked(honest)


async def test_what_locks_and_fails_is_byte_for_byte_the_same_each_time(sandbox: SandboxServer, shop: Epayment) -> None:
    """Whether the request was read before or not, and whether it left an event or not."""
    sandbox.faults.unsettled_status = 400
    for first, second, wanted in (
        (Fault.LOCKED_94, Fault.LOCKED_94, (423, "6160")),
        (Fault.FAILED_ENTRY, Fault.UNSETTLED_FAILED_BEFORE, (400, "6280")),
    ):
        sandbox.faults.script("capture", first, second)
        answers = [await _perform(shop, "capture") for _ in range(2)]
        assert _masked(answers[0]) == _masked(answers[1])
        assert (answers[0].status, code(answers[0])) == wanted


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_contradictions(sandbox: SandboxServer, shop: Epayment, operation: str) -> None:
    """Another sum, state, reference or none: each in an answer that is right otherwise, and the money has moved."""
    await _prepare(shop, operation)
    name = {"capture": "captured", "refund": "refunded", "cancel": "cancelled"}[operation]
    right = (await _perform(shop, operation, OTHER)).json
    # Each fault on a payment of its own.
    for number, fault in enumerate(
        (
            Fault.OTHER_AMOUNT_AFTER,
            Fault.FAILURE_STATUS_AFTER,
            Fault.UNKNOWN_STATUS_AFTER,
            Fault.NO_TRANSACTION_AFTER,
            Fault.NO_TRANSACTION_AFTER,
            Fault.FAILURE_STATUS_BEFORE,
        )
    ):
        reference = f"acme-shop-1{number}"
        await shop.create(reference)
        await sandbox.approve(reference)
        if operation == "refund":
            await shop.capture(2 * AMOUNT, reference)
        sandbox.faults.script(operation, fault)
        answer = await _perform(shop, operation, reference)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json;charset=UTF-8")
        said, moved = answer.json, _moved(sandbox.payment(reference), operation)
        whole = right["aggregate"][f"{name}Amount"]["value"]
        assert moved == (0 if fault is Fault.FAILURE_STATUS_BEFORE else whole)
        if fault is Fault.OTHER_AMOUNT_AFTER:
            assert said["aggregate"][f"{name}Amount"]["value"] != whole
        elif fault is Fault.FAILURE_STATUS_AFTER:
            assert said["state"] in {"ABORTED", "EXPIRED", "CREATED"}
        elif fault is Fault.UNKNOWN_STATUS_AFTER:
            assert said["state"] in {"CAPTURED", "PROCESSING", "FAILED"}
        elif fault is Fault.NO_TRANSACTION_AFTER:
            assert ("aggregate" in said) == (said["reference"] != reference)
        else:
            assert values(answer).get(name, 0) == 0
            assert (await shop.names(reference))[-1][2] is False


async def test_a_request_refused_in_its_own_right_is_refused_as_ever(sandbox: SandboxServer, shop: Epayment) -> None:
    """A contradiction has nothing to contradict in a refusal."""
    sandbox.faults.script("capture", Fault.FAILURE_STATUS_BEFORE, Fault.OTHER_AMOUNT_AFTER, Fault.EMPTY_200_AFTER)
    answers = [await shop.capture(49_901, key=str(number)) for number in range(3)]
    assert [code(answer) for answer in answers] == ["6090"] * 3


async def test_half_of_the_amount_moves_and_all_agree(sandbox: SandboxServer, shop: Epayment) -> None:
    """Only if asked for by name."""
    sandbox.faults.script("capture", Fault.OTHER_AMOUNT_MOVED)
    assert values(await _perform(shop, "capture"))["captured"] == AMOUNT // 2
    assert (await shop.names())[-1] == ("CAPTURED", AMOUNT // 2, True)


@pytest.mark.parametrize("fault", [Fault.EMPTY_200_AFTER, Fault.CUT_200_AFTER, Fault.HTML_200_AFTER])
async def test_success_that_says_nothing_of_a_create(sandbox: SandboxServer, merchant: Merchant, fault: Fault) -> None:
    """Nothing, half, or a page, and the payment is there."""
    sandbox.faults.script("create", fault)
    answer = await Epayment(merchant).create()
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body)
    assert answer.status < 300
    assert len(sandbox.payments) == 1


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault in HELD], ids=lambda fault: fault.value)
@pytest.mark.parametrize("operation", ["create", *OPERATIONS])
async def test_held_requests(sandbox: SandboxServer, shop: Epayment, fault: Fault, operation: str) -> None:
    """They take effect later by the sandbox's clock, once, also where the client has repeated them meanwhile."""
    await _prepare(shop, operation)
    sandbox.faults.held_seconds = 600
    sandbox.faults.script(operation, fault, None, fault)
    for _ in range(3):
        with contextlib.suppress(aiohttp.ClientError):
            await (shop.create("acme-shop-3", key="k") if operation == "create" else _perform(shop, operation))
    assert sandbox.held == 2
    sandbox.clock.advance(601)
    assert sandbox.held == 0
    if operation == "create":
        assert len(sandbox.payments) == 3
    else:
        assert _moved(sandbox.payment(REFERENCE), operation) == (49_900 if operation == "cancel" else AMOUNT)


@pytest.mark.parametrize("read", ["get", "events"])
async def test_reads_lag_and_are_stale(sandbox: SandboxServer, shop: Epayment, read: str) -> None:
    """An entry shows later than its answer tells of it; a stale view is one that was right before."""

    async def shown() -> bytes:
        return (await (shop.get() if read == "get" else shop.events())).body

    before = await shown()
    sandbox.faults.lag_seconds = sandbox.faults.stale_seconds = 30
    sandbox.faults.script("capture", Fault.LATE_ENTRY)
    assert values(await _perform(shop, "capture"))["captured"] == AMOUNT
    assert await shown() == before
    sandbox.clock.advance(31)
    after = await shown()
    assert after != before
    await shop.refund(100)
    sandbox.clock.advance(10)
    sandbox.faults.script(read, Fault.STALE_DETAILS)
    assert await shown() == after
    assert await shown() != after


async def test_a_view_from_before_the_approval_knows_no_customer(sandbox: SandboxServer, merchant: Merchant) -> None:
    """State, sums, card and profile are those of then."""
    shop = Epayment(merchant)
    await shop.create(profile={"scope": "name"})
    before = await shop.get()
    sandbox.clock.advance(60)
    await sandbox.approve(REFERENCE)
    sandbox.clock.advance(10)
    sandbox.faults.stale_seconds = 30
    sandbox.faults.script("get", Fault.STALE_DETAILS)
    assert (await shop.get()).json == before.json
    assert (await shop.get()).json["state"] == "AUTHORIZED"


async def test_events_in_other_shapes(sandbox: SandboxServer, shop: Epayment) -> None:
    """In no order, without keys, with other types: the same events."""
    await shop.capture(100, key="123")
    await shop.capture(100, key="key")
    right: list[dict[str, Any]] = (await shop.events()).json
    sandbox.faults.script("events", Fault.UNORDERED_DETAILS, Fault.DETAILS_WITHOUT_KEYS, Fault.DETAILS_ODD_TYPES)
    unordered, bare, odd = [(await shop.events()).json for _ in range(3)]
    assert unordered != right
    assert sorted(unordered, key=right.index) == right
    assert not any({"idempotencyKey", "pspReference"} & event.keys() for event in bare)
    assert [event["name"] for event in odd] == [event["name"] for event in right]
    assert not any("reference" in event for event in odd)
    assert odd[2]["idempotencyKey"] == 123
    assert odd[0]["timestamp"] == "2026-03-01T00:00:00.0000000+00:00"


async def test_a_payment_in_other_shapes(sandbox: SandboxServer, shop: Epayment) -> None:
    """Without its pspReference, or its own reference and with sums as text."""
    sandbox.faults.script("get", Fault.DETAILS_WITHOUT_KEYS, Fault.DETAILS_ODD_TYPES, Fault.UNORDERED_DETAILS)
    bare, odd, right = [(await shop.get()).json for _ in range(3)]
    assert "pspReference" not in bare
    assert "reference" not in odd
    assert odd["aggregate"]["authorizedAmount"]["value"] == "49900"
    assert right == (await shop.get()).json


async def test_refusals_in_another_dress(sandbox: SandboxServer, shop: Epayment) -> None:
    """The API's own words as XML, form and text, and behind a byte order mark."""
    dresses = (Fault.REFUSAL_WITH_BOM, Fault.REFUSAL_AS_XML, Fault.REFUSAL_AS_FORM, Fault.REFUSAL_AS_TEXT)
    sandbox.faults.script("capture", *dresses)
    answers = [await shop.capture(49_901, key=str(number)) for number in range(4)]
    assert answers[0].body.startswith(b"\xef\xbb\xbf{")
    assert b"<ErrorCode>6090</ErrorCode>" in answers[1].body
    assert b"ErrorCode=6090" in answers[2].body
    assert b"Capture amount too high 6090" in answers[3].body
    sandbox.faults.script("capture", Fault.REFUSAL_AS_XML)
    headers = {"Merchant-Serial-Number": None}
    path = f"{PAYMENTS}/{REFERENCE}/capture"
    async with merchant_at(sandbox.url) as bare:
        answer = await bare.call("POST", path, {}, headers=headers)
    assert b"<title>Bad Request</title>" in answer.body


async def _storm(url: str, number: int) -> list[str]:
    """Return what a client saw that tries everything three times."""
    seen = []
    async with epayment_at(url) as shop:
        reference = f"acme-shop-{number}"
        calls: tuple[Callable[[], Awaitable[Answer]], ...] = (
            lambda: shop.create(reference, key=reference),
            lambda: shop.capture(AMOUNT, reference, key="k"),
            lambda: shop.get(reference),
            lambda: shop.events(reference),
            lambda: shop.refund(100, reference, key="k"),
            lambda: shop.cancel(reference, key=reference),
        )
        for call in calls:
            for _ in range(3):
                try:
                    answer = await call()
                    seen.append(f"{answer.status}")
                except aiohttp.ClientError as error:
                    seen.append(type(error).__name__)
    return seen


async def test_a_seed_replays_over_the_wire() -> None:
    """The same work meets the same faults, in whatever order it comes."""
    kinds = [fault for fault in Fault if fault not in HELD | {Fault.CONNECTION_REFUSED} and "STALL" not in fault.value]
    kinds = [fault for fault in kinds if not re.search("RESET|HALF|REDIRECT", fault.value)]
    runs = []
    for order in ((0, 1, 2), (2, 1, 0)):
        async with SandboxServer(rate_limits=False) as sandbox:
            sandbox.faults.drip_seconds = 0.01
            sandbox.faults.randomise(
                rate=0.5, seed=17, kinds=kinds, operations=["create", "get", "events", "capture", "refund", "cancel"]
            )
            seen = {number: await _storm(sandbox.url, number) for number in order}
            runs.append((dict(sorted(seen.items())), sandbox.faults.counts))
    assert runs[0] == runs[1]
    assert len(runs[0][1]) > 10

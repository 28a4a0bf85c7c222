"""Each fault does what its name says, on a real socket: what the client sees, and whether money moved."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import aiohttp
import pytest

from tests.sandbox.driver import Merchant, Shop, merchant_at, until
from vipps_async.sandbox import Fault, Faults, SandboxServer
from vipps_async.sandbox.network import faults as faults_module

AFTER_EFFECT = {
    Fault.RESET_AFTER_EFFECT,
    Fault.HEADERS_CUT_IN_HALF,
    Fault.ANSWER_CUT_IN_HALF,
    Fault.STALL_AFTER_EFFECT,
    Fault.SLOW_DRIP,
    Fault.HTTP_500_AFTER,
    Fault.HTTP_502_AFTER,
    Fault.HTTP_503_AFTER,
    Fault.HTTP_504_AFTER,
    Fault.HTML_200_AFTER,
    Fault.HTML_502_AFTER,
    Fault.WRONG_CONTENT_TYPE,
    Fault.UNSETTLED_FAILED_AFTER,
    Fault.UNSETTLED_92_AFTER,
    Fault.UNSETTLED_99_AFTER,
    Fault.UNSETTLED_402_AFTER,
    Fault.UNSETTLED_1000_AFTER,
    Fault.LATE_ENTRY,
    Fault.LATE_ENTRY_RESET,
    Fault.OTHER_AMOUNT_AFTER,
    Fault.FAILURE_STATUS_AFTER,
    Fault.UNKNOWN_STATUS_AFTER,
    Fault.NO_TRANSACTION_AFTER,
    Fault.EMPTY_200_AFTER,
    Fault.CUT_200_AFTER,
    Fault.REDIRECT_302_AFTER,
}
CALLBACK = {Fault.CALLBACK_TWICE, Fault.CALLBACK_LOST}
DETAILS = {Fault.STALE_DETAILS, Fault.UNORDERED_DETAILS, Fault.DETAILS_WITHOUT_KEYS, Fault.DETAILS_ODD_TYPES}
REQUEST_FAULTS = [fault for fault in Fault if fault not in CALLBACK | DETAILS and fault is not Fault.OTHER_AMOUNT_MOVED]


@pytest.fixture
async def reserved(sandbox: SandboxServer, merchant: Merchant) -> SandboxServer:
    """An order acme-1 with 49900 øre reserved, and short waits."""
    sandbox.faults.stall_seconds = 0.1
    sandbox.faults.drip_seconds = 0.1
    sandbox.faults.refusal_seconds = 0.1
    await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    return sandbox


@pytest.mark.parametrize("fault", REQUEST_FAULTS, ids=lambda fault: fault.value)
async def test_money_moves_if_and_only_if_the_name_says_so(
    reserved: SandboxServer, merchant: Merchant, fault: Fault
) -> None:
    """A fault before the effect moves nothing, one after it moves the amount once; a repeat moves it exactly once."""
    reserved.faults.script("capture", fault)
    with contextlib.suppress(aiohttp.ClientError):
        await merchant.capture("acme-1", 10000, key="key-1")
    expected = 10000 if fault in AFTER_EFFECT else 0
    assert reserved.payment("acme-1").captured == expected
    assert reserved.faults.counts == {fault: 1}
    if fault is Fault.CONNECTION_REFUSED:
        await asyncio.sleep(reserved.faults.refusal_seconds)
        await until(lambda: reserved._listener._reopening is None)
    assert (await merchant.capture("acme-1", 10000, key="key-1")).status == 200
    assert reserved.payment("acme-1").captured == 10000
    capture = next(record for record in reserved.requests if record.operation == "capture")
    assert capture.fault == fault.value


@pytest.mark.parametrize(
    "fault",
    [
        Fault.CONNECTION_REFUSED,
        Fault.RESET_BEFORE_READ,
        Fault.RESET_BEFORE_EFFECT,
        Fault.RESET_AFTER_EFFECT,
        Fault.STALL_BEFORE_EFFECT,
        Fault.STALL_AFTER_EFFECT,
    ],
    ids=lambda fault: fault.value,
)
async def test_resets_are_resets(reserved: SandboxServer, merchant: Merchant, fault: Fault) -> None:
    """The client sees ECONNRESET, not an orderly end, and the record has no status."""
    reserved.faults.script("capture", fault)
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await merchant.capture("acme-1")
    assert isinstance(caught.value, ConnectionResetError) or caught.value.errno == 104
    assert reserved.requests[-1].status is None


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.HTTP_500_BEFORE, 500),
        (Fault.HTTP_500_AFTER, 500),
        (Fault.HTTP_502_BEFORE, 502),
        (Fault.HTTP_502_AFTER, 502),
        (Fault.HTTP_503_BEFORE, 503),
        (Fault.HTTP_503_AFTER, 503),
        (Fault.HTTP_504_BEFORE, 504),
        (Fault.HTTP_504_AFTER, 504),
        (Fault.HTTP_429, 429),
        (Fault.HTTP_429_RETRY_AFTER, 429),
        (Fault.LOCKED_94, 409),
        (Fault.TOKEN_EXPIRED_401, 401),
        (Fault.HTML_200_BEFORE, 200),
        (Fault.HTML_200_AFTER, 200),
        (Fault.HTML_502_BEFORE, 502),
        (Fault.HTML_502_AFTER, 502),
    ],
)
async def test_answers_in_the_place_of_the_right_one(
    reserved: SandboxServer, merchant: Merchant, fault: Fault, status: int
) -> None:
    """Status, content type, Retry-After and error code are what the name says."""
    reserved.faults.retry_after = 7
    reserved.faults.script("capture", fault)
    answer = await merchant.capture("acme-1")
    assert answer.status == status
    is_page = fault.value.startswith("HTML")
    assert answer.headers["Content-Type"].startswith("text/html" if is_page else "application/json")
    assert answer.headers.get("Retry-After") == ("7" if fault is Fault.HTTP_429_RETRY_AFTER else None)
    assert not is_page or b"<html>" in answer.body
    assert fault is not Fault.LOCKED_94 or answer.codes == [("VippsError", "94")]


async def test_an_answer_cut_in_half(reserved: SandboxServer, merchant: Merchant) -> None:
    """Status and length arrive, and half of the body."""
    reserved.faults.script("capture", Fault.ANSWER_CUT_IN_HALF)
    with pytest.raises(aiohttp.ClientPayloadError):
        await merchant.capture("acme-1")
    assert reserved.requests[-1].status == 200


async def test_an_answer_cut_in_its_headers(reserved: SandboxServer, merchant: Merchant) -> None:
    """The connection ends, in order, before the headers do."""
    reserved.faults.script("capture", Fault.HEADERS_CUT_IN_HALF)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await merchant.capture("acme-1")


async def test_a_slow_answer_is_a_right_one(reserved: SandboxServer, merchant: Merchant) -> None:
    """It takes its time and arrives whole."""
    reserved.faults.script("capture", Fault.SLOW_DRIP)
    begun = time.monotonic()
    answer = await merchant.capture("acme-1", 10000)
    assert time.monotonic() - begun >= 0.1
    assert answer.json["transactionInfo"]["amount"] == 10000


async def test_a_wrong_content_type_has_the_right_body(reserved: SandboxServer, merchant: Merchant) -> None:
    """The JSON is there, under another name."""
    reserved.faults.script("capture", Fault.WRONG_CONTENT_TYPE)
    answer = await merchant.capture("acme-1", 10000)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.json["transactionInfo"]["amount"] == 10000


async def test_faults_on_an_answer_without_a_body(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Force approve has no body to cut or drip: it is answered as it is."""
    await merchant.initiate("acme-1")
    sandbox.faults.script("approve", Fault.ANSWER_CUT_IN_HALF)
    assert (await merchant.force_approve("acme-1")).status == 200


async def test_a_stall_ends_when_the_client_goes(reserved: SandboxServer, merchant: Merchant) -> None:
    """A client that gives up sets its stalled request free."""
    reserved.faults.stall_seconds = 60
    reserved.faults.script("details", Fault.STALL_BEFORE_EFFECT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await merchant.details("acme-1")
    await until(lambda: reserved.requests[-1].operation == "details")


@pytest.mark.parametrize("fault", [Fault.STALL_BEFORE_EFFECT, Fault.STALL_AFTER_EFFECT, Fault.SLOW_DRIP])
async def test_closing_ends_what_stalls(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox with a stalled or dripping request closes at once, not only when its patience ends."""
    monkeypatch.setattr("vipps_async.sandbox.network.listener._SHUTDOWN_TIMEOUT", 60)
    async with SandboxServer() as sandbox, merchant_at(sandbox.url) as merchant:
        sandbox.faults.stall_seconds = sandbox.faults.drip_seconds = 600
        await merchant.initiate("acme-1")
        sandbox.faults.script("details", fault)
        request = asyncio.create_task(merchant.details("acme-1"))
        await until(lambda: bool(sandbox.faults.counts))
        begun = time.monotonic()
        await sandbox.aclose()
        assert time.monotonic() - begun < 30
        with pytest.raises(aiohttp.ClientError):
            await request


async def test_connections_are_refused(reserved: SandboxServer, merchant: Merchant) -> None:
    """While the listener is closed nobody connects, though a connection was open before; then all is as it was."""
    async with reserved.refusing_connections():
        with pytest.raises(aiohttp.ClientConnectorError):
            await merchant.capture("acme-1")
    assert (await merchant.capture("acme-1")).status == 200


async def test_the_fault_of_refusal_closes_the_listener(reserved: SandboxServer, merchant: Merchant) -> None:
    """Who connects after the fault is refused for a while; a second such fault meanwhile changes nothing."""
    reserved.faults.refusal_seconds = 30
    async with merchant_at(reserved.url) as second:
        reserved.faults.script("details", Fault.STALL_BEFORE_EFFECT, Fault.CONNECTION_REFUSED)
        reserved.faults.stall_seconds = 0.3
        stalled = asyncio.create_task(second.details("acme-1"))
        await until(lambda: bool(reserved.faults.counts))
        with pytest.raises(aiohttp.ClientOSError):
            await merchant.details("acme-1")
        await reserved._listener.refuse_for_a_while()
        with pytest.raises(aiohttp.ClientConnectorError):
            await merchant.details("acme-1")
        with pytest.raises(aiohttp.ClientOSError):
            await stalled


async def test_refusals_add_up(reserved: SandboxServer, merchant: Merchant) -> None:
    """A refusal that ends inside another one opens nothing; the last one opens the listener again."""
    async with reserved.refusing_connections():
        async with reserved.refusing_connections():
            pass
        with pytest.raises(aiohttp.ClientConnectorError):
            await merchant.details("acme-1")
    assert (await merchant.details("acme-1")).status == 200


async def test_a_request_under_way_is_answered_though_connections_are_refused(
    reserved: SandboxServer, merchant: Merchant
) -> None:
    """Its connection is closed with the answer."""
    reserved.faults.script("capture", Fault.SLOW_DRIP)
    request = asyncio.create_task(merchant.capture("acme-1"))
    await until(lambda: bool(reserved.faults.counts))
    async with reserved.refusing_connections():
        assert (await request).status == 200


async def test_refusing_needs_a_running_sandbox() -> None:
    """There is no listener to close before the start."""
    sandbox = SandboxServer()
    with pytest.raises(RuntimeError, match="not running"):
        async with sandbox.refusing_connections():
            pass
    await sandbox._listener.refuse_for_a_while()


# -- callbacks -----------------------------------------------------------------------------------------------------


async def test_callbacks_twice_and_lost(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """One arrives twice, one never, the next as usual; the records tell."""
    sandbox.faults.script("callback", Fault.CALLBACK_TWICE, Fault.CALLBACK_LOST, None)
    for number in range(3):
        await merchant.initiate(f"acme-{number}", merchantInfo={"callbackPrefix": place.url})
        await sandbox.approve(f"acme-{number}")
        await sandbox.callbacks_delivered()
    assert [body["orderId"] for _, _, _, body in place.received] == ["acme-0", "acme-0", "acme-2"]
    assert [record.failure for record in sandbox.callbacks] == ["", "", "lost by a fault", ""]
    assert sandbox.faults.counts == {Fault.CALLBACK_TWICE: 1, Fault.CALLBACK_LOST: 1}


# -- scripts and chance --------------------------------------------------------------------------------------------


async def test_a_script_is_used_up(reserved: SandboxServer, merchant: Merchant) -> None:
    """One entry for each request, None lets one pass, and other operations are left alone."""
    reserved.faults.script("capture", Fault.HTTP_503_BEFORE, None, Fault.LOCKED_94)
    assert (await merchant.details("acme-1")).status == 200
    statuses = [(await merchant.capture("acme-1", 100)).status for _ in range(4)]
    assert statuses == [503, 200, 409, 200]
    assert not reserved.faults.active


async def test_a_script_for_one_order(reserved: SandboxServer, merchant: Merchant) -> None:
    """Requests for other orders pass; it goes before a script for all. An initiate's order stands in its body."""
    reserved.faults.script("initiate", Fault.HTTP_503_BEFORE, order_id="acme-2")
    reserved.faults.script("initiate", Fault.HTTP_502_BEFORE)
    assert (await merchant.initiate("acme-2")).status == 503
    assert (await merchant.initiate("acme-2")).status == 502
    assert (await merchant.initiate("acme-2")).status == 200


async def test_bodies_that_name_no_order_meet_faults_too(sandbox: SandboxServer, merchant: Merchant) -> None:
    """An initiate that cannot be read is refused as ever, or meets the fault for all."""
    sandbox.faults.script("initiate", Fault.HTTP_503_BEFORE, order_id="acme-1")
    for body in (b"{", b"[]", b'{"transaction": 1}', b'{"transaction": {"orderId": 1}}', b" " * 300_000):
        assert (await merchant.call("POST", "/ecomm/v2/payments", body)).status in {400, 413, 500}
    sandbox.faults.script("initiate", Fault.HTTP_502_BEFORE)
    assert (await merchant.call("POST", "/ecomm/v2/payments", b"{")).status == 502


def _drawn(faults: Faults, calls: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], list[Fault | None]]:
    drawn: dict[tuple[str, str, str], list[Fault | None]] = {}
    for call in calls:
        drawn.setdefault(call, []).append(faults.pick(*call))
    return drawn


def test_a_seed_replays_in_any_order() -> None:
    """What happens to the n-th attempt of a call does not depend on what else arrives, nor when."""
    calls = [("capture", f"acme-{number}", f"key-{number}") for number in range(50)] * 3
    first, second, other = Faults(), Faults(), Faults()
    first.randomise(rate=0.5, seed=7)
    second.randomise(rate=0.5, seed=7)
    other.randomise(rate=0.5, seed=8)
    straight = _drawn(first, calls)
    assert _drawn(second, list(reversed(calls))) == straight
    assert _drawn(other, calls) != straight
    assert len({str(faults) for faults in straight.values()}) > 10


def test_each_key_and_each_attempt_has_its_own_fate() -> None:
    """Neither two keys of one order nor two attempts with one key share their draw."""
    faults = Faults()
    faults.randomise(rate=0.5, seed=7)
    assert len({faults.pick("capture", "acme-1", f"key-{number}") for number in range(50)}) > 5
    assert len({faults.pick("capture", "acme-1", "key") for _ in range(50)}) > 5


def test_the_rate_is_kept() -> None:
    """About the part that was asked for fails, by every kind that fits; 0 and 1 are none and all."""
    faults = Faults()
    faults.randomise(rate=0.1, seed=1)
    calls = [("capture", f"acme-{number}", "key") for number in range(20_000)]
    failed = [fault for drawn in _drawn(faults, calls).values() for fault in drawn if fault is not None]
    assert 0.09 < len(failed) / 20_000 < 0.11
    assert set(failed) == set(Fault) - CALLBACK - DETAILS - {Fault.CONNECTION_REFUSED, Fault.OTHER_AMOUNT_MOVED}
    assert sum(faults.counts.values()) == len(failed)
    for rate, part in ((0, 0), (1, 100)):
        faults.randomise(rate=rate, seed=1, kinds=[Fault.HTTP_429])
        assert sum(faults.pick("capture", str(number), "") is not None for number in range(100)) == part


def test_chance_keeps_to_operations_and_kinds() -> None:
    """Only the chosen operations fail, and each only by what fits it."""
    faults = Faults()
    faults.randomise(rate=1, seed=1, operations=["capture", "callback", "token"], kinds=[Fault.LOCKED_94])
    assert faults.pick("capture", "acme-1", "key") is Fault.LOCKED_94
    assert faults.pick("refund", "acme-1", "key") is None
    assert faults.pick("token", "", "") is None
    faults.randomise(rate=1, seed=1)
    assert {faults.pick("callback", str(number), "") for number in range(50)} == CALLBACK
    assert Fault.TOKEN_EXPIRED_401 not in {faults.pick("token", str(number), "") for number in range(500)}
    faults.clear()
    assert faults.pick("capture", "acme-1", "key") is None
    assert faults.randomness is None


def test_names_do_for_faults() -> None:
    """A fault may be given by its name, in scripts and to chance."""
    faults = Faults()
    faults.script("capture", "HTTP_429", None, Fault.LOCKED_94)
    assert faults.scripts == {("capture", None): (Fault.HTTP_429, None, Fault.LOCKED_94)}
    faults.randomise(rate=1, seed=1, kinds=["HTTP_429"])
    assert faults.randomness is not None
    assert faults.randomness.kinds == (Fault.HTTP_429,)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([Fault.HTTP_429], TypeError, "a fault is one of Fault or its name, each an argument of its own"),
        (429, TypeError, "not 429"),
        ("HTTP_418", ValueError, "'HTTP_418' is no fault; there are CONNECTION_REFUSED, "),
    ],
)
def test_what_is_no_fault_is_refused(given: Any, error: type[Exception], words: str) -> None:
    """With what it must be; nothing of the script is taken."""
    faults = Faults()
    with pytest.raises(error, match=words):
        faults.script("capture", Fault.HTTP_429, given)
    with pytest.raises(error, match=words):
        faults.randomise(rate=1, seed=1, kinds=[given])
    with pytest.raises(TypeError, match="order_id is text, not 7"):
        faults.script("capture", Fault.HTTP_429, order_id=7)  # type: ignore[arg-type]
    assert not faults.active


def test_what_makes_no_sense_is_refused() -> None:
    """Unknown operations, rates out of range, kinds that fit nowhere, endless scripts."""
    faults = Faults()
    with pytest.raises(ValueError, match="'pay' is no operation"):
        faults.script("pay", Fault.HTTP_429)
    with pytest.raises(ValueError, match="LOCKED_94 does not fit details"):
        faults.script("details", Fault.LOCKED_94)
    with pytest.raises(ValueError, match="at most"):
        faults.script("details", *[None] * 10_001)
    with pytest.raises(ValueError, match="from 0 to 1"):
        faults.randomise(rate=1.5, seed=1)
    with pytest.raises(ValueError, match="no operation"):
        faults.randomise(rate=0.5, seed=1, operations=["pay"])
    with pytest.raises(ValueError, match="none of these kinds"):
        faults.randomise(rate=0.5, seed=1, operations=["capture"], kinds=[Fault.CALLBACK_LOST])
    faults.script("details")
    assert not faults.active


def test_counted_attempts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long storm does not fill the memory."""
    monkeypatch.setattr(faults_module, "_MAX_COUNTED", 10)
    faults = Faults()
    faults.randomise(rate=0.5, seed=1)
    for number in range(100):
        faults.pick("capture", str(number), "key")
    assert len(faults._attempts) == 10


async def test_a_storm_over_the_wire_replays() -> None:
    """Two sandboxes with the same seed and the same calls, made at once, end with the same money and faults."""
    kinds = [Fault.HTTP_503_BEFORE, Fault.HTTP_503_AFTER, Fault.RESET_AFTER_EFFECT, Fault.RESET_BEFORE_READ]
    results = []
    for _ in range(2):
        async with SandboxServer(rate_limits=False) as sandbox, merchant_at(sandbox.url) as merchant:
            for number in range(20):
                await merchant.initiate(f"acme-{number}")
                await sandbox.approve(f"acme-{number}")
            sandbox.faults.randomise(rate=0.5, seed=3, operations=["capture"], kinds=kinds)

            async def capture(merchant: Merchant, number: int) -> None:
                with contextlib.suppress(aiohttp.ClientError):
                    await merchant.capture(f"acme-{number}", 100, key=f"key-{number}")

            async with asyncio.TaskGroup() as tasks:
                for number in range(20):
                    tasks.create_task(capture(merchant, number))
            results.append(
                (
                    dict(sandbox.faults.counts),
                    {payment.order_id: payment.captured for payment in sandbox.payments},
                )
            )
    assert results[0] == results[1]
    assert 0 < sum(results[0][1].values()) < 2000


# -- the control endpoint ------------------------------------------------------------------------------------------

CONTROL = "/sandbox/faults"


async def _control(merchant: Merchant, body: Any = None, **headers: str) -> tuple[int, Any]:
    method = "GET" if body is None else "POST"
    data = None if body is None else json.dumps(body).encode()
    wanted = {"Content-Type": "application/json", **headers}
    async with merchant.session.request(method, merchant.url + CONTROL, data=data, headers=wanted) as response:
        return response.status, await response.json()


async def test_faults_over_http(sandbox: SandboxServer, merchant: Merchant) -> None:
    """The endpoint scripts, randomises, clears and tells, as the object does."""
    status, state = await _control(
        merchant,
        {
            "script": {"details": ["HTTP_503_BEFORE", None]},
            "randomise": {"rate": 0.5, "seed": 7, "operations": ["capture"], "kinds": ["HTTP_429"]},
        },
    )
    assert status == 200
    assert state["script"] == [{"operation": "details", "orderId": None, "faults": ["HTTP_503_BEFORE", None]}]
    assert state["randomise"] == {"rate": 0.5, "seed": 7, "operations": ["capture"], "kinds": ["HTTP_429"]}
    assert (await merchant.details("acme-1")).status == 503
    assert (await _control(merchant))[1]["counts"] == {"HTTP_503_BEFORE": 1}
    _, state = await _control(merchant, {"clear": True, "randomise": {"rate": 0.1, "seed": 1}})
    assert state["script"] == []
    assert len(state["randomise"]["kinds"]) == len(Fault) - 2
    assert (await _control(merchant, {"clear": True}))[1]["randomise"] is None
    assert sandbox.faults.randomness is None


async def test_what_is_held_over_http(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Another process says how long requests are held, sees how many are, and has them delivered."""
    wanted = {"held_seconds": 7200, "lag_seconds": 0.5, "unsettled_status": 402, "unsettled_group": "Merchant"}
    _, state = await _control(merchant, {"set": wanted, "script": {"initiate": ["HELD_504", "UNSETTLED_99_BEFORE"]}})
    assert {name: state["set"][name] for name in wanted} == wanted
    assert (sandbox.faults.held_seconds, sandbox.faults.lag_seconds) == (7200, 0.5)
    assert (await merchant.initiate("acme-1")).status == 504
    refused = await merchant.initiate("acme-2")
    assert (refused.status, refused.codes) == (402, [("Merchant", "99")])
    assert (await _control(merchant))[1]["held"] == 1
    assert (await _control(merchant, {"deliver": True}))[1]["held"] == 0
    assert (await merchant.details("acme-1")).status == 200
    assert (await _control(merchant, {"set": {"held_seconds": None}}))[1]["set"]["held_seconds"] is None


@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        {"scripts": {}},
        {"script": {"pay": ["HTTP_429"]}},
        {"script": {"details": ["HTTP_418"]}},
        {"script": []},
        {"randomise": {"rate": 0.1}},
        {"randomise": {"rate": "much", "seed": 1}},
        {"randomise": {"rate": 0.1, "seed": 1, "kinds": ["X"]}},
        {"clear": True, "script": {"details": ["LOCKED_94"]}},
        {"set": {"held_minutes": 1}},
        {"set": {"held_seconds": "long"}},
        {"set": {"held_seconds": -1}},
        {"set": {"lag_seconds": True}},
        {"set": {"stall_seconds": None}},
        {"set": {"retry_after": 1.5}},
        {"set": {"unsettled_status": 200}},
        {"set": {"unsettled_group": []}},
        {"set": {"unsettled_group": "User"}},
        {"set": []},
    ],
)
async def test_what_the_endpoint_cannot_read_is_400(merchant: Merchant, body: Any) -> None:
    """A body that makes no sense is refused with the reason."""
    status, answer = await _control(merchant, body)
    assert (status, answer["statusCode"]) == (400, 400)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "sandbox.example.com"},
        {"Host": "127.0.0.1.example.com"},
        {"Host": "[::1"},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
    ],
)
async def test_the_endpoint_is_for_this_machine(merchant: Merchant, headers: dict[str, str]) -> None:
    """A page from elsewhere can neither read nor set faults, whatever name it gave this address."""
    for body in (None, {"clear": True}):
        status, _ = await _control(merchant, body, **headers)
        assert status in {400, 403}
    assert (await _control(merchant, {"clear": True}, Origin=merchant.url))[0] == 200


async def test_a_form_cannot_set_faults(sandbox: SandboxServer, merchant: Merchant) -> None:
    """What a browser sends without asking, it sends as another content type."""
    status, _ = await _control(merchant, {"script": {"details": [None]}}, **{"Content-Type": "text/plain"})
    assert status == 400
    assert not sandbox.faults.active

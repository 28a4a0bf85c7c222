"""Webhooks of the sandbox: registrations as at Vipps, deliveries signed, in order, and repeated by the schedule."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field

from tests.sandbox.driver import Merchant, merchant_at
from tests.sandbox.epayment_driver import REFERENCE, Epayment
from vipps_async.sandbox import Fault, SandboxClock, SandboxCredentials, SandboxServer, SandboxSettings
from vipps_async.sandbox.network import webhooks as webhooks_module
from vipps_async.sandbox.network.webhooks import pause_before

HOOKS = "/webhooks/v1/webhooks"
CREATED, AUTHORIZED, CAPTURED = (f"epayments.payment.{name}.v1" for name in ("created", "authorized", "captured"))


@define
class Listener:
    """A merchant's URL: keeps what came, and answers the next status it is told to, else 200."""

    url: str = ""
    received: list[tuple[str, Mapping[str, str], bytes]] = field(factory=list)
    statuses: list[int] = field(factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Take a delivery."""
        self.received.append((request.raw_path, request.headers.copy(), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def names(self) -> list[str]:
        """The events' names, in the order in which they came."""
        return [json.loads(body)["name"] for _, _, body in self.received]


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """Listen on loopback."""
    listener = Listener()
    app = web.Application()
    app.router.add_post("/{path:.*}", listener.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks?shop=1"
    yield listener
    await runner.cleanup()


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a clock that only the test moves."""
    async with SandboxServer(
        settings=SandboxSettings(sub_delay=0.0), rate_limits=False, clock=SandboxClock(running=False)
    ) as server:
        yield server


async def _register(merchant: Merchant, url: str, *events: str) -> Any:
    answer = await merchant.call("POST", HOOKS, {"url": url, "events": list(events)})
    assert answer.status == 201
    return answer.json


async def _listed(merchant: Merchant) -> Any:
    return (await merchant.call("GET", HOOKS)).json["webhooks"]


# -- registrations -----------------------------------------------------------------------------------------------------


async def test_a_registration(merchant: Merchant) -> None:
    """It answers id and a secret of 88 characters, is listed without the secret, and is deleted once."""
    made = await _register(merchant, "https://shop.example.com/hooks", CREATED, CAPTURED, CREATED)
    assert made.keys() == {"id", "secret"}
    assert (len(made["secret"]), len(base64.b64decode(made["secret"]))) == (88, 64)
    listed = {"id": made["id"], "url": "https://shop.example.com/hooks", "events": [CREATED, CAPTURED]}
    assert await _listed(merchant) == [listed]
    statuses = [(await merchant.call("DELETE", f"{HOOKS}/{made['id']}")).status for _ in range(2)]
    assert statuses == [204, 404]
    assert await _listed(merchant) == []


async def test_registrations_are_the_sales_unit_s(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Another sales unit neither sees nor deletes them."""
    made = await _register(merchant, "https://shop.example.com/", CREATED)
    async with merchant_at(sandbox.url, "654321") as other:
        assert await _listed(other) == []
        assert (await other.call("DELETE", f"{HOOKS}/{made['id']}")).status == 404
    assert (await merchant.call("GET", HOOKS, headers={"Merchant-Serial-Number": None})).status == 400
    assert (await merchant.call("GET", HOOKS, headers={"Vipps-System-Name": "x" * 31})).status == 400


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"url": "https://shop.example.com/", "events": ["epayment.payment.captured.v1", CREATED]}, ["Events"]),
        ({"url": "https://shop.example.com/", "events": []}, ["events"]),
        ({"url": "https://shop.example.com/", "events": CREATED}, ["events"]),
        ({"url": "https://shop.example.com/", "events": [5]}, ["events"]),
        ({"url": "http://shop.example.com/", "events": [CREATED]}, ["url"]),
        ({"url": "https://shop/", "events": [CREATED]}, ["url"]),
        ({"url": "https://shop.example.com:8443/", "events": [CREATED]}, ["url"]),
        ({"url": "https://a:b@shop.example.com/", "events": [CREATED]}, ["url"]),
        ({"url": "https://shop.example.com/#x", "events": [CREATED]}, ["url"]),
        ({"url": "https://shop.example.com/" + "x" * 2_000, "events": [CREATED]}, ["url"]),
        ({"url": 5, "events": [CREATED]}, ["url"]),
        ({}, ["url", "events"]),
        (b"{", ["body"]),
    ],
)
async def test_what_is_refused(merchant: Merchant, body: Any, names: list[str]) -> None:
    """A problem names each field, and which events are unknown; its type is a trace id."""
    answer = await merchant.call("POST", HOOKS, body)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json["type"] == answer.json["traceId"]
    assert [part["name"] for part in answer.json["extraDetails"]] == names
    if names == ["Events"]:
        assert answer.json["extraDetails"][0]["reason"] == "Unsupported values: epayment.payment.captured.v1"
    assert await _listed(merchant) == []


async def test_what_is_ignored(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A field that is not known is ignored and counted; a strict sandbox refuses it."""
    body = {"url": "https://shop.example.com/", "events": ["donations.agreement-created.v1"], "secret": "mine"}
    assert (await merchant.call("POST", HOOKS, body)).status == 201
    assert ("register_webhook", "secret", "unknown") in sandbox.ignored
    sandbox.settings.strict = True
    assert (await merchant.call("POST", HOOKS, body)).status == 400


async def test_the_limit(merchant: Merchant) -> None:
    """Twenty-five for one event, equal ones included; one for check-ins; other events have their own."""
    for _ in range(25):
        await _register(merchant, "https://shop.example.com/", CREATED)
    answer = await merchant.call("POST", HOOKS, {"url": "https://shop.example.com/", "events": [CAPTURED, CREATED]})
    assert answer.status == 400
    assert answer.json["extraDetails"][0]["reason"].endswith(f": {CREATED}")
    await _register(merchant, "https://shop.example.com/", CAPTURED, "user.checked-in.v1")
    answer = await merchant.call("POST", HOOKS, {"url": "https://b.example.com/", "events": ["user.checked-in.v1"]})
    assert answer.status == 400


async def test_an_id_that_is_none(merchant: Merchant) -> None:
    """What is no UUID is a wrong request, not an unknown registration."""
    assert (await merchant.call("DELETE", f"{HOOKS}/x")).status == 400


async def test_keys_of_another_sales_unit() -> None:
    """Keys that are not for the sales unit are refused."""
    keys = SandboxCredentials(
        client_id="client-id",
        client_secret="client-secret",
        subscription_key="subscription-key",
        merchant_serial_numbers={"123456"},
    )
    async with (
        SandboxServer(settings=SandboxSettings(credentials=[keys])) as sandbox,
        merchant_at(sandbox.url, "654321") as merchant,
    ):
        assert (await merchant.call("GET", HOOKS)).status == 403


# -- deliveries --------------------------------------------------------------------------------------------------------


def _assert_signed(listener: Listener, secret: str, number: int = -1) -> None:
    path, headers, body = listener.received[number]
    content = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert headers["x-ms-content-sha256"] == content
    text = f"POST\n{path}\n{headers['x-ms-date']};{headers['Host']};{content}"
    signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
    start = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
    assert headers["Authorization"] == start + signature


async def test_a_payment_s_events(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """Each event comes once, in order, signed, with the registration's id, and as the event log has it."""
    events = [f"epayments.payment.{name}.v1" for name in ("created", "authorized", "captured", "refunded", "cancelled")]
    made = await _register(merchant, listener.url, *events)
    shop = Epayment(merchant)
    await shop.create(key="create-key", profile={"scope": "name"})
    await sandbox.approve(REFERENCE)
    await shop.capture(10_000, key="c1")
    await shop.refund(4_000, key="r1")
    await shop.cancel()
    await sandbox.callbacks_delivered()
    assert listener.names == ["CREATED", "AUTHORIZED", "CAPTURED", "REFUNDED", "CANCELLED"]
    log = (await shop.events()).json
    for number, (path, headers, body) in enumerate(listener.received):
        _assert_signed(listener, made["secret"], number)
        assert (path, headers["Webhook-Id"], headers["Content-Type"]) == (
            "/hooks?shop=1",
            made["id"],
            "application/json;charset=UTF-8",
        )
        said = json.loads(body)
        assert said.pop("msn") == "123456"
        assert {key: said[key] for key in log[number]} == log[number]
    authorized = json.loads(listener.received[1][2])
    assert authorized["userDetails"].keys() == {"firstName", "lastName"}
    assert {"captureGuaranteedUntil", "sub"} < authorized.keys()
    assert "idempotencyKey" not in json.loads(listener.received[4][2])
    records = sandbox.callbacks
    assert [(record.kind, record.order_id, record.delivered) for record in records] == [
        ("webhook", REFERENCE, True)
    ] * 5
    assert "Signature" not in repr(records)


async def test_only_what_is_registered(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """Other events, other sales units, what is deleted and payments of eCom send nothing."""
    made = await _register(merchant, listener.url, AUTHORIZED)
    await merchant.initiate("ecom-made-1")
    await sandbox.approve("ecom-made-1")
    await Epayment(merchant).create("acme-shop-2")
    async with merchant_at(sandbox.url, "654321") as other:
        await Epayment(other).create()
    await sandbox.approve(REFERENCE)
    assert (await merchant.call("DELETE", f"{HOOKS}/{made['id']}")).status == 204
    await sandbox.approve("acme-shop-2")
    await sandbox.callbacks_delivered()
    assert listener.received == []


async def test_a_failed_capture_is_told_of(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """An operation that failed is an event without success."""
    await _register(merchant, listener.url, CAPTURED)
    shop = Epayment(merchant)
    await shop.create()
    await sandbox.approve(REFERENCE)
    sandbox.faults.script("capture", Fault.FAILED_ENTRY)
    await shop.capture(10_000)
    await sandbox.callbacks_delivered()
    assert [json.loads(body)["success"] for _, _, body in listener.received] == [False]


async def test_each_registration_gets_its_own(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """Two registrations of one URL each deliver the event, signed by their own secrets."""
    made = {one["id"]: one["secret"] for one in [await _register(merchant, listener.url, CREATED) for _ in range(2)]}
    await Epayment(merchant).create()
    await sandbox.callbacks_delivered()
    assert {headers["Webhook-Id"] for _, headers, _ in listener.received} == made.keys()
    for number, (_, headers, _) in enumerate(listener.received):
        _assert_signed(listener, made[headers["Webhook-Id"]], number)


def test_the_schedule() -> None:
    """Attempts 2 to 4 after 2 s each, then 60 s, 120 s, hourly to attempt 29, then daily."""
    pauses = [pause_before(attempt).total_seconds() for attempt in (2, 3, 4, 5, 6, 7, 29, 30, 31)]
    assert pauses == [2, 2, 2, 60, 120, 3_600, 3_600, 86_400, 86_400]


async def _later(sandbox: SandboxServer, seconds: float) -> None:
    sandbox.clock.advance(seconds)
    await sandbox.callbacks_delivered()


async def test_a_refused_event_holds_back_the_next(
    sandbox: SandboxServer, merchant: Merchant, listener: Listener
) -> None:
    """A refused AUTHORIZED comes again, signed anew, before its CAPTURED; other payments are not held back."""
    made = await _register(merchant, listener.url, AUTHORIZED, CAPTURED)
    listener.statuses = [500, 404]
    shop = Epayment(merchant)
    await shop.create()
    await shop.create("acme-shop-2")
    await sandbox.approve(REFERENCE)
    await shop.capture(10_000)
    await sandbox.callbacks_delivered()
    assert listener.names == ["AUTHORIZED"]
    await _later(sandbox, 1.9)
    assert listener.names == ["AUTHORIZED"]
    await _later(sandbox, 0.1)
    await sandbox.approve("acme-shop-2")
    await sandbox.callbacks_delivered()
    assert listener.names == ["AUTHORIZED"] * 3
    await _later(sandbox, 2)
    assert listener.names == ["AUTHORIZED"] * 4 + ["CAPTURED"]
    for number in range(5):
        _assert_signed(listener, made["secret"], number)
    dates = [headers["x-ms-date"] for _, headers, _ in listener.received]
    assert parsedate_to_datetime(dates[3]) - parsedate_to_datetime(dates[0]) == timedelta(seconds=4)


async def test_seven_days(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """What is never taken is given up after seven days, and what it held back comes then."""
    await _register(merchant, listener.url, CREATED, AUTHORIZED)
    listener.statuses = [503] * 200
    begun = sandbox.clock.now()
    await Epayment(merchant).create()
    await sandbox.approve(REFERENCE)
    await sandbox.callbacks_delivered()
    for attempt in range(2, 40):
        if "AUTHORIZED" in listener.names:
            break
        await _later(sandbox, pause_before(attempt).total_seconds())
    attempts = listener.names.count("CREATED")
    assert listener.names == ["CREATED"] * attempts + ["AUTHORIZED"]
    # 29 attempts take 23 hours; six more days have one each.
    assert attempts == 29 + 6
    assert sandbox.clock.now() - begun < timedelta(days=7)


async def test_what_is_deleted_is_dropped(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """A delivery that waits for its next attempt is dropped with its registration."""
    made = await _register(merchant, listener.url, CREATED, AUTHORIZED)
    listener.statuses = [500]
    await Epayment(merchant).create()
    await sandbox.approve(REFERENCE)
    await sandbox.callbacks_delivered()
    await merchant.call("DELETE", f"{HOOKS}/{made['id']}")
    await _later(sandbox, 3_600)
    assert listener.names == ["CREATED"]


async def test_silence_is_a_refusal(
    sandbox: SandboxServer, merchant: Merchant, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer in time, and no server at all, are repeated like a refusal; a redirect is not followed."""
    monkeypatch.setattr(webhooks_module, "_TIMEOUT", 0.05)
    await _register(merchant, listener.url, CREATED)
    gone = await _register(merchant, "http://127.0.0.1:1/", CREATED)
    listener.statuses = [302]
    await Epayment(merchant).create()
    await sandbox.callbacks_delivered()
    for _ in range(2):
        await _later(sandbox, 2)
    assert listener.names == ["CREATED"] * 2
    failures = [one.failure for one in sandbox.callbacks if one.headers.get("Webhook-Id") == gone["id"]]
    assert failures == ["no answer: ClientConnectorError"] * 3


async def test_duplicates_and_losses(sandbox: SandboxServer, merchant: Merchant, listener: Listener) -> None:
    """By script, an event comes twice, or never, and what comes after it is not held back."""
    await _register(merchant, listener.url, CREATED, AUTHORIZED, CAPTURED)
    sandbox.faults.script("callback", Fault.CALLBACK_TWICE, Fault.CALLBACK_LOST, order_id=REFERENCE)
    shop = Epayment(merchant)
    await shop.create()
    await sandbox.approve(REFERENCE)
    await shop.capture(10_000)
    await sandbox.callbacks_delivered()
    assert listener.names == ["CREATED", "CREATED", "CAPTURED"]
    assert [one.failure for one in sandbox.callbacks] == ["", "", "lost by a fault", ""]


async def test_faults_by_chance_replay(listener: Listener) -> None:
    """The same seed makes the same events come twice and get lost."""
    seen = []
    for _ in range(2):
        listener.received.clear()
        async with SandboxServer(rate_limits=False) as sandbox, merchant_at(sandbox.url) as merchant:
            sandbox.faults.randomise(rate=0.7, seed=7, operations=["callback"])
            await _register(merchant, listener.url, CREATED)
            for number in range(20):
                await Epayment(merchant).create(f"acme-shop-{number}")
            await sandbox.callbacks_delivered()
        seen.append(sorted(json.loads(body)["reference"] for _, _, body in listener.received))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) < 20 < 20 + len(seen[0]) - len(set(seen[0]))


async def test_too_many_are_lost(
    sandbox: SandboxServer, merchant: Merchant, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing piles up without bound: beyond so many that wait, an event is lost, and recorded as such."""
    monkeypatch.setattr(webhooks_module, "_MAX_WAITING", 1)
    await _register(merchant, listener.url, CREATED)
    listener.statuses = [500]
    await Epayment(merchant).create()
    await sandbox.callbacks_delivered()
    await Epayment(merchant).create("acme-shop-2")
    assert sandbox.callbacks[-1].failure == "lost: too many webhooks are waiting"
    await _later(sandbox, 2)
    assert listener.names == ["CREATED", "CREATED"]


async def test_hosts_that_are_not_called(sandbox: SandboxServer, merchant: Merchant) -> None:
    """A public host may be registered, and is not called unless it was allowed by name."""
    await _register(merchant, "https://shop.example.com/hooks", CREATED)
    await Epayment(merchant).create()
    await sandbox.callbacks_delivered()
    assert [one.failure for one in sandbox.callbacks] == ["not called: a name reserved for examples"]


async def test_closing_and_starting_again(listener: Listener) -> None:
    """Closing drops what waits, twice is once, and a sandbox that starts again tells its registrations."""
    sandbox = SandboxServer(rate_limits=False, clock=SandboxClock(running=False))
    await sandbox.callbacks_delivered()
    async with sandbox, merchant_at(sandbox.url) as merchant:
        await _register(merchant, listener.url, CREATED)
        listener.statuses = [500]
        await Epayment(merchant).create()
        await sandbox.callbacks_delivered()
    await sandbox.aclose()
    async with sandbox, merchant_at(sandbox.url) as merchant:
        sandbox.clock.advance(10)
        await Epayment(merchant).create("acme-shop-2")
        await sandbox.callbacks_delivered()
    assert [json.loads(body)["reference"] for _, _, body in listener.received] == [REFERENCE, "acme-shop-2"]
    assert not asyncio.all_tasks() - {asyncio.current_task()}

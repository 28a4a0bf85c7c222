"""Webhooks, both sides: requests, answers, problems and deliveries against the vendor's descriptions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson

from tests.contract.schema import validate
from tests.contract.vendor import specification
from tests.sandbox.driver import Merchant, merchant_at
from tests.sandbox.driver import shop as shop_at
from tests.sandbox.epayment_driver import REFERENCE, Epayment
from tests.webhooks.test_client import CAPTURED, KEYS, URL, Vipps
from vipps_async import PAYMENT_EVENTS, EventName, SystemInfo, VippsSession
from vipps_async.sandbox import SandboxServer, SandboxSettings
from vipps_async.testing import ScriptedTransport, answer

HOOKS, ONE = "/v1/webhooks", "/v1/webhooks/{id}"
#: Undeclared on the wire: what the gateway before every API wants, and JSON's own.
COMMON = {"Authorization", "Accept", "Content-Type"}


def _spec() -> Any:
    return specification("webhooks-v1.yaml")


async def test_what_the_client_sends() -> None:
    """Each operation has a declared path, only declared headers by their rules, and a body by its schema."""
    transport, spec = Vipps(), _spec()
    async with VippsSession(KEYS, transport=transport, system=SystemInfo(name="acme", version="1")) as vipps:
        hook = await vipps.webhooks.register(URL, PAYMENT_EVENTS)
        await vipps.webhooks.list()
        await vipps.webhooks.delete(hook.id)
    for request in transport.requests:
        path = spec.template_for(urlsplit(request.url).path.removeprefix("/webhooks"))
        rules = spec.header_rules(path, request.method)
        assert set(request.headers) - COMMON <= set(rules)
        assert {name for name, (required, _) in rules.items() if required} <= set(request.headers)
        for name, (_, schema) in rules.items():
            if name in request.headers:
                validate(request.headers[name], schema)
        if request.body is not None:
            validate(orjson.loads(request.body), spec.request_body_schema(path, request.method))
    assert len(transport.requests) == 3


async def test_the_client_reads_the_description_s_examples() -> None:
    """What the vendor shows as answers is read: a secret that is a UUID, events of other products."""
    spec = _spec()
    shown = {name: spec.schema(name)["properties"] for name in ("RegisterResponse", "Webhook")}
    name = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
    secret = shown["RegisterResponse"]["secret"]["example"]
    listed = {"id": name, "url": shown["Webhook"]["url"]["example"], "events": shown["Webhook"]["events"]["example"]}
    transport = ScriptedTransport().on(
        "/webhooks", answer(201, {"id": name, "secret": secret}), answer(200, {"webhooks": [listed]})
    )
    async with VippsSession(KEYS, transport=transport) as vipps:
        assert (await vipps.webhooks.register(URL, [CAPTURED])).secret == secret
        (hook,) = await vipps.webhooks.list()
    assert {"id": hook.id, "url": hook.url, "events": list(hook.events)} == listed


async def _problem(merchant: Merchant, method: str, path: str, body: Any = None) -> Any:
    refused = await merchant.call(method, f"/webhooks{path}", body)
    assert refused.status in {400, 404}
    return refused.json


async def test_what_the_sandbox_answers() -> None:
    """Answers of success and problems are as described."""
    spec = _spec()
    async with SandboxServer() as sandbox, merchant_at(sandbox.url) as merchant:
        body = {"url": "http://127.0.0.1:9/hooks", "events": [str(event) for event in PAYMENT_EVENTS]}
        made = await merchant.call("POST", "/webhooks/v1/webhooks", body)
        validate(made.json, spec.response_schema(HOOKS, "post", made.status))
        listed = await merchant.call("GET", "/webhooks/v1/webhooks")
        validate(listed.json, spec.response_schema(HOOKS, "get", listed.status))
        problem = spec.response_schema(HOOKS, "post", 400)
        validate(await _problem(merchant, "POST", HOOKS, {"url": 5}), problem)
        validate(await _problem(merchant, "POST", HOOKS, {**body, "events": ["epayment.x"]}), problem)
        validate(await _problem(merchant, "DELETE", f"{HOOKS}/x"), problem)
        gone = await merchant.call("DELETE", f"/webhooks{HOOKS}/{made.json['id']}")
        assert (gone.status, gone.body) == (204, b"")


async def test_what_the_sandbox_delivers() -> None:
    """Each of the eight events is as ePayment describes it, under a name that the client knows."""
    event = specification("epayment-v1.yaml").schema("WebhookEvent")
    async with (
        SandboxServer(settings=SandboxSettings(sub_delay=0.0)) as sandbox,
        merchant_at(sandbox.url) as merchant,
        shop_at() as place,
    ):
        body = {"url": f"{place.url}/hooks", "events": [str(event) for event in PAYMENT_EVENTS]}
        await merchant.call("POST", "/webhooks/v1/webhooks", body)
        shop = Epayment(merchant)
        await shop.create(profile={"scope": "name email phoneNumber address birthDate"})
        await sandbox.approve(REFERENCE)
        await shop.capture(10_000)
        await shop.refund(1_000)
        await shop.cancel()
        for name in ("aborted", "expired", "terminated"):
            await shop.create(f"acme-{name}")
        await sandbox.reject("acme-aborted")
        await sandbox.expire("acme-expired")
        await shop.cancel("acme-terminated")
        await sandbox.callbacks_delivered()
        said = [one for _, _, _, one in place.received]
    for one in said:
        validate(one, event)
    assert {one["name"] for one in said} == {str(name) for name in EventName}

"""The vendor's two SDKs of npm, run themselves against the sandbox where Node and the packages are there.

``VIPPS_NPM_DIR`` names the folder where ``npm install @vippsmobilepay/sdk@2.4.2 @vippsno/vipps-sdk@0.9.13`` was run.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.end_to_end.outsider import KEYS
from tests.missing import skip_without
from vipps_async.sandbox import SandboxServer, SandboxSettings

_FOLDER_VARIABLE = "VIPPS_NPM_DIR"
_DRIVER = Path(__file__).with_name("npm_client.cjs")
#: Seconds that Node may take for anything: far more than it needs.
_PATIENCE = 20.0
CREATION = {
    "amount": {"currency": "NOK", "value": 1000},
    "paymentMethod": {"type": "WALLET"},
    "customer": {"phoneNumber": "4712345678"},
    "returnUrl": "https://example.com/result",
    "userFlow": "WEB_REDIRECT",
    "paymentDescription": "One pair of socks.",
}
APPROVAL = {"customer": {"phoneNumber": "4712345678"}}


def _amount(value: int) -> dict[str, Any]:
    return {"modificationAmount": {"currency": "NOK", "value": value}}


@frozen
class Client:
    """A client in a process of its own."""

    process: asyncio.subprocess.Process

    async def call(self, name: str, *given: Any) -> Any:
        """Call a method, such as ``payment.create``; its result, or what it threw."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name.split("."), given]).encode() + b"\n")
        said = json.loads(await asyncio.wait_for(self.process.stdout.readline(), _PATIENCE))
        return said["thrown"] if "thrown" in said else said["result"]


@asynccontextmanager
async def _client(url: str, package: str, **settings: Any) -> AsyncIterator[Client]:
    node, folder = shutil.which("node"), os.environ.get(_FOLDER_VARIABLE)
    modules = Path(folder or ".", "node_modules")
    if node is None or folder is None or not (modules / package).is_dir():
        skip_without("npm", f"{_FOLDER_VARIABLE} does not name a folder with {package} of npm, or there is no Node")
    settings = {"subscriptionKey": "key", "merchantSerialNumber": "123456", "useTestMode": True, **settings}
    process = await asyncio.create_subprocess_exec(
        *(node, str(_DRIVER), url, package, json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"NODE_PATH": str(modules), "PATH": os.environ["PATH"]},
    )
    try:
        yield Client(process)
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that looks at the keys, and whose sales unit may do everything."""
    unit = {"123456"}
    async with SandboxServer(
        settings=SandboxSettings(
            credentials=[KEYS], sub_delay=0.0, skip_landing_page=unit, express=unit, long_living=unit
        )
    ) as server:
        yield server


def _sums(answer: Any) -> dict[str, int]:
    return {name.removesuffix("Amount"): amount["value"] for name, amount in answer["aggregate"].items()}


async def test_the_sdk_from_token_to_webhooks(sandbox: SandboxServer) -> None:
    """`@vippsmobilepay/sdk`: each of its methods for ePayment and webhooks, and how it reads refusals."""
    async with _client(sandbox.url, "@vippsmobilepay/sdk", retryRequests=False) as sdk:
        answer = await sdk.call("auth.getToken", "client-id", "client-secret")
        assert answer["ok"] is True
        token = answer["data"]["access_token"]

        async def good(name: str, *given: Any) -> Any:
            answer = await sdk.call(name, token, *given)
            assert answer["ok"] is True, answer
            return answer["data"]

        async def code(name: str, *given: Any) -> str:
            answer = await sdk.call(name, token, *given)
            assert answer["ok"] is False
            (part,) = answer["error"]["extraDetails"]
            return f"{answer['error']['status']}/{part['reason']}"

        reference = (await good("payment.create", CREATION))["reference"]
        assert (await good("payment.info", reference))["redirectUrl"] == sandbox.landing_url(reference)
        assert await code("payment.capture", reference, _amount(1000)) == "400/6080"
        # What has no body it reads as an empty text.
        assert await good("payment.forceApprove", reference, APPROVAL) == {"text": ""}
        await good("payment.capture", reference, _amount(600))
        await good("payment.refund", reference, _amount(100))
        cancelled = await good("payment.cancel", reference)
        assert _sums(cancelled) == {"authorized": 1000, "cancelled": 400, "captured": 600, "refunded": 100}
        names = [event["name"] for event in await good("payment.history", reference) if event["success"]]
        assert names == ["CREATED", "AUTHORIZED", "CAPTURED", "REFUNDED", "CANCELLED"]
        assert await code("payment.create", {**CREATION, "reference": reference}) == "409/4150"
        assert await code("payment.info", "no-such-payment") == "404/5090"
        hook = await good("webhook.register", {"url": "https://example.com/hook", "events": ["user.checked-in.v1"]})
        assert [one["id"] for one in (await good("webhook.list"))["webhooks"]] == [hook["id"]]
        # 204 it reads as an empty object.
        assert await good("webhook.delete", hook["id"]) == {}
        # And 403 as a sentence of its own.
        refused = await sdk.call("payment.create", token, {**CREATION, "profile": {"scope": "nin"}})
        assert "credentials are not authorized" in refused["error"]["message"]


_LINE = {
    "name": "Socks",
    "id": "1",
    "totalAmount": 1000,
    "totalAmountExcludingTax": 800,
    "totalTaxAmount": 200,
    "taxRate": 2500,
    "unitInfo": {"unitPrice": 500, "quantity": "2", "quantityUnit": "PCS"},
}
RECEIPT = {"orderLines": [_LINE], "bottomLine": {"currency": "NOK", "posId": "till-1"}}
_OPTION = {"id": "home", "name": "Home", "amount": {"currency": "NOK", "value": 300}, "isDefault": True}
EXPRESS = {"fixedOptions": [{"type": "HOME_DELIVERY", "brand": "POSTEN", "isDefault": True, "options": [_OPTION]}]}
FLOWS: list[tuple[str, dict[str, Any]]] = [
    ("receipt", {"receipt": RECEIPT}),
    ("scope", {"profile": {"scope": "name phoneNumber address birthDate email"}}),
    (
        "till",
        {"customerInteraction": "CUSTOMER_PRESENT", "customer": {"personalQr": "https://qr.vipps.no/28/2/01/031"}},
    ),
    ("push", {"userFlow": "PUSH_MESSAGE"}),
    ("native", {"userFlow": "NATIVE_REDIRECT", "returnUrl": "acme://result"}),
    ("qr", {"userFlow": "QR", "qrFormat": {"format": "IMAGE/SVG+XML", "size": 1024}}),
    ("qr-target", {"userFlow": "QR", "qrFormat": {"format": "TEXT/TARGETURL", "size": None}}),
    ("card", {"paymentMethod": {"type": "CARD"}}),
    ("metadata", {"metadata": {"cart": "7"}, "minimumUserAge": 18, "receiptUrl": "https://example.com/receipt"}),
    ("express", {"profile": {"scope": "name phoneNumber address email"}, "shipping": EXPRESS}),
]


async def test_the_sdk_creates_what_its_types_allow(sandbox: SandboxServer) -> None:
    """Each user flow and part of a create; nothing but a push message is answered without a URL."""
    async with _client(sandbox.url, "@vippsmobilepay/sdk", retryRequests=False) as sdk:
        token = (await sdk.call("auth.getToken", "client-id", "client-secret"))["data"]["access_token"]
        expiry = (sandbox.clock.now() + timedelta(days=1)).isoformat()
        for name, parts in [*FLOWS, ("later", {"expiresAt": expiry, "receipt": RECEIPT})]:
            body = {**CREATION, **parts, "reference": f"acme-shop-{name}"}
            answer = await sdk.call("payment.create", token, body)
            assert answer["ok"] is True, (name, answer)
            assert ("redirectUrl" in answer["data"]) == (name != "push"), name


async def test_the_older_sdk_from_create_to_cancel(sandbox: SandboxServer) -> None:
    """`@vippsno/vipps-sdk`: each of its methods for ePayment; it asks for its token itself."""
    keys = {"clientId": "client-id", "clientSecret": "client-secret"}
    async with _client(sandbox.url, "@vippsno/vipps-sdk", **keys) as sdk:
        reference = "acme-shop-1"
        made = await sdk.call("ePayment.createPayment", {**CREATION, "reference": reference})
        assert made == {"reference": reference, "redirectUrl": sandbox.landing_url(reference)}
        assert await sdk.call("ePayment.forceApprovePayment", reference, APPROVAL) is None
        assert (await sdk.call("ePayment.getPayment", reference))["state"] == "AUTHORIZED"
        await sdk.call("ePayment.capturePayment", reference, _amount(600))
        await sdk.call("ePayment.refundPayment", reference, _amount(100))
        cancelled = await sdk.call("ePayment.cancelPayment", reference)
        assert _sums(cancelled) == {"authorized": 1000, "cancelled": 400, "captured": 600, "refunded": 100}
        names = [event["name"] for event in await sdk.call("ePayment.getPaymentEventLog", reference)]
        assert names == ["CREATED", "AUTHORIZED", "CAPTURED", "REFUNDED", "CANCELLED"]

"""Who may call: tokens, keys, headers and limits, each with the shape of error that belongs to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sandbox.driver import Merchant, merchant_at
from vipps_async.sandbox import SandboxClock, SandboxCredentials, SandboxServer, SandboxSettings
from vipps_async.sandbox.network.callers import TokenIssuer

KEYS = SandboxCredentials(
    client_id="client-id",
    client_secret="client-secret",
    subscription_key="subscription-key",
    merchant_serial_numbers={"123456"},
)
PARTNER = SandboxCredentials(
    client_id="partner-id", client_secret="partner-secret", subscription_key="partner-key", partner=True
)
DETAILS = "/ecomm/v2/payments/acme-1/details"


@pytest.fixture
async def strict() -> AsyncIterator[SandboxServer]:
    """Checks the keys of a merchant and of a partner."""
    async with SandboxServer(settings=SandboxSettings(credentials=[KEYS, PARTNER])) as server:
        yield server


async def test_a_token_answers_with_strings(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Numbers in the token's answer are strings, as Vipps sends them, and they agree with each other."""
    answer = (await merchant.log_in()).json
    assert (answer["token_type"], answer["expires_in"], answer["ext_expires_in"]) == ("Bearer", "3600", "3600")
    assert int(answer["expires_on"]) - int(answer["not_before"]) == 3600
    assert abs(int(answer["not_before"]) - sandbox.clock.now().timestamp()) < 5


async def test_the_other_spelling_of_the_token_path(merchant: Merchant) -> None:
    """`/accessToken/get` is the same endpoint."""
    headers = {"client_id": "a", "client_secret": "b"}
    assert (await merchant.call("POST", "/accessToken/get", headers=headers)).status == 200


async def test_a_slash_at_the_end_of_a_path_changes_nothing(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Each path is taken with and without it: the vendor's quick start initiates with one."""
    headers = {"client_id": "a", "client_secret": "b"}
    assert (await merchant.call("POST", "/accesstoken/get/", headers=headers)).status == 200
    assert (await merchant.call("POST", "/ecomm/v2/payments/", merchant.initiation("acme-1"))).status == 200
    await sandbox.approve("acme-1")
    body = merchant._body(100, "Socks.")
    for method, action in (("POST", "capture"), ("POST", "refund"), ("GET", "details"), ("GET", "status")):
        given = body if method == "POST" else None
        path = f"/ecomm/v2/payments/acme-1/{action}/"
        assert (await merchant.call(method, path, given, headers={"X-Request-Id": action})).status == 200
    assert [record.operation for record in sandbox.requests][-5:] == [
        *("initiate", "capture", "refund", "details", "status")
    ]


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({"client_id": None}, None, 400, "invalid_request"),
        ({"client_secret": None}, None, 400, "invalid_request"),
        ({}, {"grant_type": "client_credentials"}, 400, "invalid_request"),
        ({"client_id": "other"}, None, 400, "unauthorized_client"),
        ({"client_secret": "other"}, None, 401, "invalid_client"),
    ],
)
async def test_a_refused_token_has_the_oauth_shape(
    strict: SandboxServer, headers: dict[str, str | None], body: Any, status: int, error: str
) -> None:
    """What is wrong with client id, secret or body is told as OAuth tells it."""
    async with merchant_at(strict.url, log_in=False) as merchant:
        wanted = {"client_id": "client-id", "client_secret": "client-secret", **headers}
        answer = await merchant.call("POST", "/accesstoken/get", body, headers=wanted)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert set(answer.json) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
    }


@pytest.mark.parametrize("key", [None, "other"])
async def test_a_wrong_subscription_key_has_the_gateways_shape(strict: SandboxServer, key: str | None) -> None:
    """A missing or wrong subscription key answers statusCode and message, on every endpoint."""
    async with merchant_at(strict.url) as merchant:
        headers = {"Ocp-Apim-Subscription-Key": key, "client_id": "client-id", "client_secret": "client-secret"}
        for method, path in (("POST", "/accesstoken/get"), ("GET", DETAILS)):
            answer = await merchant.call(method, path, headers=headers)
            assert (answer.status, answer.json["statusCode"]) == (401, 401)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer other", "bearer {}", "{}", "Basic {}"]
)
async def test_a_wrong_token_has_the_gateways_long_shape(merchant: Merchant, authorization: str | None) -> None:
    """The token must be right, and the word Bearer spelt as it is."""
    value = None if authorization is None else authorization.format(merchant.token)
    answer = await merchant.call("GET", DETAILS, headers={"Authorization": value})
    assert answer.status == 401
    assert answer.json["responseInfo"] == {"responseCode": 401, "responseMessage": "Unauthorized"}


async def test_a_forged_token_is_refused(merchant: Merchant) -> None:
    """A token whose claims were changed, or that is no text at all, does not pass."""
    head, claims, signature = merchant.token.split(".")
    for forged in (f"{head}.{claims}x.{signature}", f"{head}.{claims}.", f"{claims}"):
        answer = await merchant.call("GET", DETAILS, headers={"Authorization": f"Bearer {forged}"})
        assert answer.status == 401
    raw = TokenIssuer(60).owner("a.b.\udcff", datetime.now(UTC))
    assert raw is None


async def test_a_token_expires_by_the_sandboxs_clock() -> None:
    """A token lives as long as its answer said; then a new one works."""
    async with SandboxServer(token_lifetime=60) as sandbox, merchant_at(sandbox.url) as merchant:
        assert (await merchant.details("acme-1")).status == 404
        sandbox.clock.advance(61)
        assert (await merchant.details("acme-1")).status == 401
        await merchant.log_in()
        assert (await merchant.details("acme-1")).status == 404


async def test_tokens_can_be_revoked(sandbox: SandboxServer, merchant: Merchant) -> None:
    """After `revoke_tokens` no token works that was issued before."""
    sandbox.revoke_tokens()
    assert (await merchant.details("acme-1")).status == 401
    await merchant.log_in()
    assert (await merchant.details("acme-1")).status == 404


async def test_keys_work_for_their_own_sales_units(strict: SandboxServer) -> None:
    """Initiating for another unit is 37, its orders are unknown, and a token of other keys is no token."""
    async with merchant_at(strict.url, "654321") as stranger, merchant_at(strict.url) as merchant:
        assert (await stranger.initiate("acme-1")).codes == [("Merchant", "37")]
        assert (await merchant.initiate("acme-1")).status == 200
        for answer in (await stranger.capture("acme-1"), await stranger.details("acme-1")):
            assert answer.codes == [("Merchant", "35")]
        nameless = await merchant.call("GET", DETAILS, headers={"Merchant-Serial-Number": None})
        assert nameless.status == 200
        merchant.headers["Ocp-Apim-Subscription-Key"] = "partner-key"
        assert (await merchant.details("acme-1")).status == 401


async def test_partner_keys_must_name_the_sales_unit(strict: SandboxServer) -> None:
    """With partner keys Merchant-Serial-Number is required; with it they act for any unit."""
    async with merchant_at(strict.url, "654321", log_in=False) as partner:
        partner.headers["Ocp-Apim-Subscription-Key"] = "partner-key"
        await partner.log_in("partner")
        assert (await partner.initiate("acme-1")).status == 200
        answer = await partner.call("GET", DETAILS, headers={"Merchant-Serial-Number": None})
        assert (answer.status, answer.codes) == (403, [("Merchant", "Unauthorized")])
        assert (await partner.details("acme-1")).status == 200


@pytest.mark.parametrize(
    "name",
    ["Vipps-System-Name", "Vipps-System-Version", "Vipps-System-Plugin-Name", "Vipps-System-Plugin-Version"],
)
async def test_system_headers_have_at_most_30_characters(merchant: Merchant, name: str) -> None:
    """30 pass, 31 are refused under the header's name."""
    assert (await merchant.call("GET", DETAILS, headers={name: "x" * 30})).codes == [("Merchant", "35")]
    assert (await merchant.call("GET", DETAILS, headers={name: "x" * 31})).codes == [("InvalidRequest", name)]


async def test_the_sales_unit_of_header_and_body_must_agree(merchant: Merchant) -> None:
    """A header that names another unit than the body, or none at all, is refused."""
    for wrong in ("654321", "12x456"):
        merchant.headers["Merchant-Serial-Number"] = wrong
        assert (await merchant.initiate("acme-1")).codes == [("InvalidRequest", "Merchant-Serial-Number")]


@pytest.mark.parametrize("key", [None, "", "k" * 41])
async def test_captures_and_refunds_need_a_key(merchant: Merchant, key: str | None) -> None:
    """Without X-Request-Id, or with one of more than 40 characters, nothing happens."""
    body = {"merchantInfo": {"merchantSerialNumber": "123456"}, "transaction": {"transactionText": "Shipped."}}
    for operation in ("capture", "refund"):
        path = f"/ecomm/v2/payments/acme-1/{operation}"
        answer = await merchant.call("POST", path, body, headers={"X-Request-Id": key})
        assert answer.codes == [("InvalidRequest", "X-Request-Id")]


async def test_bodies_must_be_json(merchant: Merchant) -> None:
    """The content type counts, whatever the body holds."""
    body = merchant.initiation("acme-1")
    answer = await merchant.call("POST", "/ecomm/v2/payments", body, headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.codes) == (415, [("InvalidRequest", "Content-Type")])


async def test_an_order_id_cannot_change_the_path(merchant: Merchant) -> None:
    """A slash or dot in an order id stays in it, and is refused."""
    for order_id in ("a%2Fb", "..%2Fx", "a%0A"):
        answer = await merchant.details(order_id)
        assert answer.codes == [("InvalidRequest", "orderId")]


async def test_unknown_paths_and_methods(merchant: Merchant) -> None:
    """They answer as the gateway does."""
    assert (await merchant.call("GET", "/ecomm/v1/nothing")).json["statusCode"] == 404
    assert (await merchant.call("DELETE", DETAILS)).json["statusCode"] == 405


async def test_a_body_without_end_is_refused(merchant: Merchant) -> None:
    """A body of more than 256 KiB is not read."""
    assert (await merchant.call("POST", "/ecomm/v2/payments", b" " * (256 * 1024 + 1))).status == 413


async def test_skipping_the_landing_page_and_nin_need_permission() -> None:
    """38 and 403/51 without; with permission both pass."""
    skip: dict[str, Any] = {"transaction": {"skipLandingPage": True}, "customerInfo": {"mobileNumber": "91234567"}}
    nin: dict[str, Any] = {"transaction": {"scope": "name nin"}}
    async with SandboxServer() as sandbox, merchant_at(sandbox.url) as merchant:
        assert (await merchant.initiate("acme-1", **skip)).codes == [("Merchant", "38")]
        answer = await merchant.initiate("acme-1", **nin)
        assert (answer.status, answer.codes) == (403, [("Merchant", "51")])
    async with (
        SandboxServer(settings=SandboxSettings(skip_landing_page={"123456"}, nin={"123456"})) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        assert (await merchant.initiate("acme-1", **skip)).status == 200
        assert (await merchant.initiate("acme-2", **nin)).status == 200


async def test_limits_for_each_order() -> None:
    """Two initiates, five captures, five cancels, five refunds and 120 reads a minute; other orders do not count."""
    clock = SandboxClock(running=False)
    async with SandboxServer(clock=clock) as sandbox, merchant_at(sandbox.url) as merchant:
        for _ in range(2):
            assert (await merchant.initiate("acme-1")).status in {200, 400}
        limited = await merchant.initiate("acme-1")
        assert (limited.status, limited.headers["Retry-After"]) == (429, "60")
        assert limited.json["statusCode"] == 429
        assert (await merchant.initiate("acme-2")).status == 200
        await sandbox.approve("acme-1")
        for call in (merchant.capture, merchant.refund):
            for _ in range(5):
                assert (await call("acme-1", 100)).status == 200
            clock.advance(1)
            assert (await call("acme-1", 100)).headers["Retry-After"] == "59"
        for _ in range(5):
            assert (await merchant.cancel("acme-1")).status == 400
        assert (await merchant.cancel("acme-1")).status == 429
        for _ in range(120):
            assert (await merchant.details("acme-1")).status == 200
        assert (await merchant.details("acme-1")).status == 429
        assert (await merchant.status("acme-1")).status == 200
        assert (await merchant.details("acme-2")).status == 200
        clock.advance(60)
        assert (await merchant.capture("acme-1", 100)).status == 200
        assert sandbox.payment("acme-1").captured == 600


def test_secrets_stay_out_of_reprs() -> None:
    """Neither secret nor subscription key is shown."""
    assert "secret" not in repr(KEYS).replace("client_secret", "")
    assert "subscription-key" not in repr(KEYS)


def test_remembered_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens are used, few are remembered, and all of them work."""
    monkeypatch.setattr("vipps_async.sandbox.network.callers._REMEMBERED", 2)
    issuer, now = TokenIssuer(60), datetime.now(UTC)
    for number in range(5):
        token = issuer.issue(f"client-{number}", now)["access_token"]
        assert issuer.owner(token, now) == f"client-{number}"
    assert len(issuer._verified) <= 2


async def test_text_that_is_none_is_refused(merchant: Merchant) -> None:
    """Half of a surrogate pair as an escape, or bytes that are no UTF-8, in a body or a header: refused."""
    body = json.dumps(merchant.initiation("acme-1")).encode()
    halves = {
        b"\\ud800": ("InvalidRequest", "body"),
        b"\xed\xa0\x80": ("VippsError", "99"),
        b"\xff": ("VippsError", "99"),
    }
    for half, code in halves.items():
        answer = await merchant.call("POST", "/ecomm/v2/payments", body.replace(b"socks", half))
        assert answer.codes == [code]
    good = await merchant.call("POST", "/ecomm/v2/payments", body.replace(b"socks", b"\\ud83e\\udde6"))
    assert good.status == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", int(merchant.url.rpartition(":")[2]))
    content = json.dumps(merchant._body(100, "Shipped.")).encode()
    head = (
        "POST /ecomm/v2/payments/acme-1/capture HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {merchant.token}\r\nOcp-Apim-Subscription-Key: k\r\nContent-Length: {len(content)}\r\n"
        "Connection: close\r\n"
    )
    writer.write(head.encode() + b"X-Request-Id: \xff\r\n\r\n" + content)
    assert b" 400 " in (await reader.read()).partition(b"\r\n")[0]
    writer.close()
    assert (await merchant.details("acme-1")).status == 200


@pytest.mark.parametrize(
    ("cost", "status"), [("1e999", 400), ("100000000000000000000000000", 400), ("-1", 400), ("NaN", 500)]
)
async def test_a_cost_that_no_number_holds(merchant: Merchant, cost: str, status: int) -> None:
    """Infinite, negative and enormous costs are refused: nobody could be answered with them."""
    body = merchant.initiation("acme-1")
    method = {"isDefault": "Y", "shippingCost": 4711, "shippingMethod": "Parcel", "shippingMethodId": "parcel"}
    body["merchantInfo"] |= {"paymentType": "eComm Express Payment", "consentRemovalPrefix": "https://example.com"}
    body["merchantInfo"]["staticShippingDetails"] = [method]
    answer = await merchant.call("POST", "/ecomm/v2/payments", json.dumps(body).replace("4711", cost).encode())
    assert answer.status == status

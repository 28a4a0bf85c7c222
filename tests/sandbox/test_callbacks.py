"""What Vipps calls at the merchant: once, in time, with the merchant's own token, and on record whatever came of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import pytest

from tests.sandbox.driver import Merchant, Shop, merchant_at, until
from vipps_async.sandbox import (
    Address,
    Customer,
    SandboxCredentials,
    SandboxError,
    SandboxServer,
    SandboxSettings,
    State,
)
from vipps_async.sandbox.network import callbacks as callbacks_module
from vipps_async.sandbox.wire import ecom as ecom_module
from vipps_async.sandbox.wire.face import CALLBACK_TIMEOUT, CallbackJob

DEAR = {"isDefault": "N", "priority": 1, "shippingCost": 99.5, "shippingMethod": "Fast", "shippingMethodId": "fast"}
CHEAP = {"isDefault": "Y", "priority": 2, "shippingCost": 0, "shippingMethod": "Slow", "shippingMethodId": "slow"}


def _calls_back(place: Shop) -> dict[str, Any]:
    return {"callbackPrefix": f"{place.url}/callbacks", "authToken": "the merchant's token"}


def _express(place: Shop, **parts: Any) -> dict[str, Any]:
    return {
        **_calls_back(place),
        "paymentType": "eComm Express Payment",
        "consentRemovalPrefix": f"{place.url}/consents",
        **parts,
    }


async def test_a_regular_callback(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """One POST after approval, with the auth token verbatim and the regular shape."""
    await merchant.initiate("acme-1", merchantInfo=_calls_back(place))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    ((method, path, headers, body),) = place.received
    assert (method, path) == ("POST", "/callbacks/v2/payments/acme-1")
    assert headers["Authorization"] == "the merchant's token"
    assert body["merchantSerialNumber"] == "123456"
    assert body["transactionInfo"]["status"] == "RESERVED"
    assert body["transactionInfo"]["amount"] == 49900
    assert "userDetails" not in body
    (record,) = sandbox.callbacks
    assert (record.status, record.failure, record.delivered, record.kind) == (200, "", True, "payment")
    assert "token" not in repr(record)


async def test_no_auth_token_no_header(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """A merchant that gave no token gets no Authorization; a slash at the end of the prefix doubles, as at Vipps."""
    await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": f"{place.url}/callbacks/"})
    await sandbox.reject("acme-1")
    await sandbox.callbacks_delivered()
    ((_, path, headers, body),) = place.received
    assert path == "/callbacks//v2/payments/acme-1"
    assert "Authorization" not in headers
    assert body["transactionInfo"]["status"] == "CANCELLED"
    assert body["transactionInfo"]["transactionId"]


async def test_a_time_out_is_told_as_rejected(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Nobody acted: REJECTED with error 45 of the group PAYMENTS, and no transaction id if nobody even looked."""
    await merchant.initiate("acme-1", merchantInfo=_calls_back(place))
    sandbox.clock.advance(301)
    await sandbox.callbacks_delivered()
    ((_, _, _, body),) = place.received
    assert body["transactionInfo"]["status"] == "REJECTED"
    assert "transactionId" not in body["transactionInfo"]
    assert (body["errorInfo"]["errorGroup"], body["errorInfo"]["errorCode"]) == ("PAYMENTS", "45")


async def test_a_refused_reservation_is_told(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """A test amount that the bank refuses: RESERVE_FAILED with the bank's reason."""
    await merchant.initiate("acme-1", 186, merchantInfo=_calls_back(place))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    ((_, _, _, body),) = place.received
    assert (body["transactionInfo"]["status"], body["errorInfo"]["errorCode"]) == ("RESERVE_FAILED", "44")


async def test_direct_capture_is_told_as_sale(place: Shop) -> None:
    """SALE, or SALE_FAILED; and the sales unit as a number, if asked to."""
    async with (
        SandboxServer(settings=SandboxSettings(direct_capture={"123456"}, numeric_callback_msn=True)) as sandbox,
        merchant_at(sandbox.url) as merchant,
    ):
        await merchant.initiate("acme-1", merchantInfo=_calls_back(place))
        await merchant.initiate("acme-2", 151, merchantInfo=_calls_back(place))
        await sandbox.approve("acme-1")
        await sandbox.callbacks_delivered()
        await sandbox.approve("acme-2")
        await sandbox.callbacks_delivered()
    bodies = [body for _, _, _, body in place.received]
    assert [body["transactionInfo"]["status"] for body in bodies] == ["SALE", "SALE_FAILED"]
    assert bodies[0]["merchantSerialNumber"] == 123456


async def test_an_unknown_reservation_is_told_when_it_is_known(
    sandbox: SandboxServer, merchant: Merchant, place: Shop
) -> None:
    """Nothing for an hour, then RESERVED."""
    await merchant.initiate("acme-1", 201, merchantInfo=_calls_back(place))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    assert place.received == []
    sandbox.clock.advance(3600)
    await sandbox.callbacks_delivered()
    assert place.received[0][3]["transactionInfo"]["status"] == "RESERVED"


async def test_the_merchants_own_cancel_calls_nobody(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """The merchant knows what it did itself."""
    await merchant.initiate("acme-1", merchantInfo=_calls_back(place))
    await merchant.cancel("acme-1")
    await sandbox.callbacks_delivered()
    assert place.received == []


async def test_express_with_static_shipping(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """RESERVE, the customer, and the chosen shipping with zipCode; details say postCode, and expire after 7 days."""
    await merchant.initiate("acme-1", merchantInfo=_express(place, staticShippingDetails=[DEAR, CHEAP]))
    customer = Customer(first_name="Ola", address=Address(line1="Gata 2", postal_code="5003", city="Bergen"))
    await sandbox.approve("acme-1", customer=customer)
    await sandbox.callbacks_delivered()
    ((_, _, _, body),) = place.received
    assert body["transactionInfo"]["status"] == "RESERVE"
    assert body["userDetails"]["firstName"] == "Ola"
    shipping = body["shippingDetails"]
    assert (shipping["shippingMethodId"], shipping["shippingCost"]) == ("slow", 0)
    assert (shipping["address"]["zipCode"], shipping["address"]["country"]) == ("5003", "Norway")
    details = (await merchant.details("acme-1")).json
    assert details["shippingDetails"]["address"]["postCode"] == "5003"
    assert details["userDetails"] == body["userDetails"]
    sandbox.clock.advance(7 * 86400 + 1)
    await merchant.log_in()
    details = (await merchant.details("acme-1")).json
    assert details["userDetails"]["firstName"] == "[Expired]"
    assert details["shippingDetails"]["address"]["city"] == "[Expired]"


async def test_the_customer_may_choose_the_shipping(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """Any method that is offered, and no other."""
    await merchant.initiate("acme-1", merchantInfo=_express(place, staticShippingDetails=[DEAR, CHEAP]))
    with pytest.raises(SandboxError, match="no shipping method 'drone', only fast, slow"):
        await sandbox.approve("acme-1", shipping_method_id="drone")
    await sandbox.approve("acme-1", shipping_method_id="fast")
    assert (await merchant.details("acme-1")).json["shippingDetails"]["shippingMethodId"] == "fast"


async def test_express_with_dynamic_shipping(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """The merchant is asked for shipping methods before the payment is approved."""
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [DEAR]}
    await merchant.initiate("acme-1", merchantInfo=_express(place, shippingDetailsPrefix=f"{place.url}/shipping"))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    (_, path, headers, question), (_, _, _, told) = place.received
    assert path == "/shipping/v2/payments/acme-1/shippingDetails"
    assert headers["Authorization"] == "the merchant's token"
    assert (question["addressId"], question["postCode"], question["country"]) == (100, "0155", "NO")
    assert told["shippingDetails"]["shippingMethodId"] == "fast"
    assert [record.kind for record in sandbox.callbacks] == ["shippingDetails", "payment"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {}), "HTTP 500"),
        ((200, b"<html>"), "no JSON"),
        ((200, []), "no JSON object"),
        ((200, {"addressId": 100, "orderId": "acme-1", "shippingDetails": []}), "must be a list"),
        ((200, {"addressId": 101, "orderId": "acme-1", "shippingDetails": [DEAR]}), "addressId must be the one"),
        ((200, {"addressId": 100, "orderId": "acme-2", "shippingDetails": [DEAR]}), "orderId must be the one"),
    ],
)
async def test_without_shipping_methods_nothing_is_approved(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, answer: tuple[int, Any], reason: str
) -> None:
    """A merchant that answers wrongly keeps the customer from paying; the error says why."""
    place.status, place.answer = answer
    await merchant.initiate("acme-1", merchantInfo=_express(place, shippingDetailsPrefix=place.url))
    with pytest.raises(SandboxError, match=reason):
        await sandbox.approve("acme-1")
    assert sandbox.payment("acme-1").state is State.INITIATE


async def test_a_silent_merchant_has_no_shipping_methods(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time limit the customer sees an error."""
    monkeypatch.setattr(ecom_module, "SHIPPING_TIMEOUT", 0.05)
    place.awake.clear()
    await merchant.initiate("acme-1", merchantInfo=_express(place, shippingDetailsPrefix=place.url))
    with pytest.raises(SandboxError, match="gave no answer"):
        await sandbox.approve("acme-1")


async def test_a_payment_may_end_while_the_merchant_thinks(
    sandbox: SandboxServer, merchant: Merchant, place: Shop
) -> None:
    """A cancel that arrives while shipping methods are asked for wins: nothing is reserved afterwards."""
    place.awake.clear()
    place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": [DEAR]}
    await merchant.initiate("acme-1", merchantInfo=_express(place, shippingDetailsPrefix=place.url))
    approval = asyncio.create_task(sandbox.approve("acme-1"))
    await until(lambda: bool(place.received))
    await merchant.cancel("acme-1")
    place.awake.set()
    with pytest.raises(SandboxError, match="it is CANCEL"):
        await approval
    assert sandbox.payment("acme-1").reserved == 0


async def test_a_scope_gives_the_shape_of_express(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """RESERVE and the customer, but no shipping."""
    await merchant.initiate("acme-1", merchantInfo=_calls_back(place), transaction={"scope": "name"})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    ((_, _, _, body),) = place.received
    assert body["transactionInfo"]["status"] == "RESERVE"
    assert body["userDetails"]["lastName"] == "Nordmann"
    assert "shippingDetails" not in body


async def test_consent_removal(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """A DELETE whose user id is URL-encoded base64, with the characters that need it."""
    await merchant.initiate("acme-1", merchantInfo=_express(place, staticShippingDetails=[CHEAP]))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    user_id = place.received.pop()[3]["userDetails"]["userId"]
    assert base64.b64decode(user_id, validate=True)
    assert {"+", "/", "="} <= set(user_id)
    await sandbox.remove_consent(user_id)
    ((method, path, headers, _),) = place.received
    assert method == "DELETE"
    assert path.startswith("/consents/v2/consents/%2B%2F")
    assert unquote(path.rpartition("/")[2]) == user_id
    assert headers["Authorization"] == "the merchant's token"
    with pytest.raises(SandboxError, match="no express order"):
        await sandbox.remove_consent("nobody")


async def test_consent_removal_by_http(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """A test in any language lets a customer take the consent back, and is told what the merchant said."""

    async def remove(body: Any, **headers: str) -> tuple[int, Any]:
        url = f"{merchant.url}/sandbox/consents/remove"
        async with merchant.session.post(url, json=body, headers=headers) as answer:
            return answer.status, await answer.json() if answer.ok else None

    await merchant.initiate("acme-1", merchantInfo=_express(place, staticShippingDetails=[CHEAP]))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    user_id = place.received.pop()[3]["userDetails"]["userId"]
    for body, status in (({"userId": "nobody"}, 404), ({"userId": 1}, 400), ({}, 400), ([], 400)):
        assert (await remove(body))[0] == status
    assert (await remove({"userId": user_id}, Origin="https://evil.example"))[0] == 403
    assert place.received == []
    status, answer = await remove({"userId": user_id})
    assert status == 200
    ((method, path, _, _),) = place.received
    (told,) = answer["callbacks"]
    assert (method, told["kind"], told["status"]) == ("DELETE", "consentRemoval", 200)
    assert path == urlsplit(told["url"]).path


# -- what can go wrong ---------------------------------------------------------------------------------------------


async def test_redirects_are_not_followed(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """A redirect is an answer like any other, and no success."""
    place.status, place.headers = 307, {"Location": f"{place.url}/elsewhere"}
    await merchant.initiate("acme-1", merchantInfo=_calls_back(place))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    assert len(place.received) == 1
    assert (sandbox.callbacks[0].status, sandbox.callbacks[0].delivered) == (307, False)


async def test_one_attempt_with_a_time_limit(sandbox: SandboxServer, place: Shop) -> None:
    """A merchant that does not answer in time is not asked again."""
    assert CALLBACK_TIMEOUT == 3.0
    place.awake.clear()
    job = CallbackJob(kind="payment", order_id="acme-1", method="POST", url=place.url, auth_token=None, timeout=0.05)
    assert await sandbox._sender.call(job) is None
    assert sandbox.callbacks[0].failure == "no answer within 0.05 seconds"
    assert len(place.received) == 1


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_broken_connection_is_not_tried_again(sandbox: SandboxServer, method: str) -> None:
    """A merchant that hangs up gets no second request, whatever the HTTP method."""
    seen: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    job = CallbackJob(kind="payment", order_id="a", method=method, url=url, auth_token=None)
    assert await sandbox._sender.call(job) is None
    server.close()
    await server.wait_closed()
    assert len(seen) == 1
    assert sandbox.callbacks[0].failure == "no answer: ServerDisconnectedError"


@pytest.mark.parametrize(
    ("prefix", "failure"),
    [
        ("https://example.com/callbacks", "not called: a name reserved for examples"),
        ("https://shop.test", "not called: a name reserved for examples"),
        ("myapp://callbacks", "not called: neither https nor http on loopback"),
        ("http://192.0.2.1/", "not called: neither https nor http on loopback"),
        ("https://[", "not called: neither https nor http on loopback"),
    ],
)
async def test_only_https_and_loopback_are_called(
    sandbox: SandboxServer, merchant: Merchant, prefix: str, failure: str
) -> None:
    """Anything else, and names that are reserved for examples, are recorded and left alone."""
    await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": prefix, "isApp": True})
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    (record,) = sandbox.callbacks
    assert (record.status, record.failure) == (None, failure)


@pytest.mark.parametrize("host", ["10.0.0.1", "metadata.internal", "shop.no", "127.0.0.1.nip.io"])
async def test_strangers_are_registered_and_not_called(sandbox: SandboxServer, merchant: Merchant, host: str) -> None:
    """A payment may name any https URL, but only hosts that the sandbox was allowed to call are called."""
    assert (await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": f"https://{host}/x"})).status == 200
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    (record,) = sandbox.callbacks
    assert record.status is None
    assert record.failure == f"not called: {host} is none of the hosts that may be called (--callback-hosts)"


async def test_hosts_that_may_be_called() -> None:
    """They pass the URL rules, with http and as bare names, and are called."""
    async with SandboxServer(callback_hosts=["shop", "No.Such.Host.Invalid"]) as sandbox:
        async with merchant_at(sandbox.url) as merchant:
            urls = {"callbackPrefix": "http://shop:1/vipps", "fallBack": "http://SHOP:1/thanks"}
            assert (await merchant.initiate("acme-1", merchantInfo=urls)).status == 200
            assert (await merchant.initiate("acme-2", merchantInfo={"callbackPrefix": "http://bag/x"})).status == 400
            async with merchant.session.post(
                sandbox.landing_url("acme-1"),
                data={"token": sandbox.landing_url("acme-1").partition("token=")[2], "answer": "approve"},
                allow_redirects=False,
            ) as back:
                assert back.headers["Location"] == "http://SHOP:1/thanks?status=100"
        await sandbox.callbacks_delivered()
        (record,) = sandbox.callbacks
        assert record.failure.startswith("no answer: ")


async def test_beyond_loopback_nobody_is_called_unless_named(place: Shop) -> None:
    """Whoever reaches a sandbox on the network must not make it call what listens on its machine alone."""
    async with SandboxServer(host="0.0.0.0") as sandbox, merchant_at(sandbox.url) as merchant:  # noqa: S104
        await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": place.url})
        await sandbox.approve("acme-1")
        await sandbox.callbacks_delivered()
        assert sandbox.callbacks[0].failure.startswith("not called: 127.0.0.1 is none of the hosts")
    named = SandboxServer(host="0.0.0.0", callback_hosts=["127.0.0.1"])  # noqa: S104
    async with named as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1", merchantInfo={"callbackPrefix": place.url})
        await sandbox.approve("acme-1")
        await sandbox.callbacks_delivered()
        assert sandbox.callbacks[0].status == 200


async def test_closing_delivers_what_waits(place: Shop) -> None:
    """Callbacks that wait when the sandbox is closed are still attempted."""
    async with SandboxServer(rate_limits=False) as sandbox, merchant_at(sandbox.url) as merchant:
        for number in range(30):
            await merchant.initiate(f"acme-{number}", merchantInfo=_calls_back(place))
            await sandbox.approve(f"acme-{number}")
    assert len(place.received) == 30


async def test_closing_does_not_wait_for_ever(place: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead merchant holds up is given up and recorded."""
    monkeypatch.setattr(callbacks_module, "_DRAIN_TIMEOUT", 0.05)
    monkeypatch.setattr(callbacks_module, "_WORKERS", 1)
    place.awake.clear()
    async with SandboxServer() as sandbox, merchant_at(sandbox.url) as merchant:
        for order_id in ("acme-1", "acme-2"):
            await merchant.initiate(order_id, merchantInfo=_calls_back(place))
            await sandbox.approve(order_id)
        await until(lambda: bool(place.received))
    assert [record.failure for record in sandbox.callbacks] == [
        "cancelled: the sandbox was closed",
        "not attempted: the sandbox was closed",
    ]
    assert (
        await sandbox._sender.call(
            CallbackJob(kind="payment", order_id="a", method="POST", url=place.url, auth_token=None)
        )
        is None
    )
    assert sandbox.callbacks[-1].failure == "not attempted: the sandbox is not running"
    await sandbox.callbacks_delivered()


async def test_too_many_callbacks_are_lost(place: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded; what does not fit is lost, as callbacks may be, and recorded."""
    monkeypatch.setattr(callbacks_module, "_MAX_WAITING", 1)
    async with SandboxServer(rate_limits=False) as sandbox, merchant_at(sandbox.url) as merchant:
        for order_id in ("acme-1", "acme-2"):
            await merchant.initiate(order_id, merchantInfo=_calls_back(place))
        sandbox._customers.reject(sandbox._book.only("acme-1"))
        sandbox._customers.reject(sandbox._book.only("acme-2"))
        assert [record.failure for record in sandbox.callbacks] == ["lost: too many callbacks are waiting"]


# -- user info -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def slow_sub() -> AsyncIterator[SandboxServer]:
    """A sandbox where `sub` takes two seconds of its clock to appear."""
    async with SandboxServer(settings=SandboxSettings(sub_delay=2.0, nin={"123456"}), rate_limits=False) as server:
        yield server


async def test_sub_appears_a_while_after_approval(slow_sub: SandboxServer) -> None:
    """Details lack it at first; then user info answers what the scope allows, and only that."""
    async with merchant_at(slow_sub.url) as merchant:
        await merchant.initiate(
            "acme-1", transaction={"scope": "name phoneNumber"}, customerInfo={"mobileNumber": "98765432"}
        )
        await slow_sub.approve("acme-1")
        details = (await merchant.details("acme-1")).json
        assert "sub" not in details
        assert details["userDetails"]["mobileNumber"] == "98765432"
        slow_sub.clock.advance(3)
        sub = (await merchant.details("acme-1")).json["sub"]
        answer = await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")
        assert answer.json == {
            "sid": answer.json["sid"],
            "sub": sub,
            "name": "Kari Nordmann",
            "given_name": "Kari",
            "family_name": "Nordmann",
            "phone_number": "4798765432",
            "phone_number_verified": True,
        }


async def test_user_info_has_every_claim_and_expires(slow_sub: SandboxServer) -> None:
    """All six words of the scope have their claims; after seven days their values are gone."""
    async with merchant_at(slow_sub.url) as merchant:
        await merchant.initiate("acme-1", transaction={"scope": "name address email phoneNumber birthDate nin"})
        await slow_sub.approve("acme-1")
        slow_sub.clock.advance(2)
        sub = (await merchant.details("acme-1")).json["sub"]
        claims = (await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")).json
        assert claims["address"]["formatted"] == "Storgata 1\n0155 OSLO\nNORWAY"
        assert claims["email_verified"] is True
        assert {"nin", "birthdate", "email", "phone_number", "other_addresses"} < set(claims)
        slow_sub.clock.advance(7 * 86400)
        await merchant.log_in()
        expired = (await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")).json
        assert set(expired) == set(claims)
        assert (expired["name"], expired["address"]["region"], expired["sub"]) == ("[Expired]", "[Expired]", sub)


async def test_an_unknown_sub_has_the_shape_of_the_newer_apis(slow_sub: SandboxServer) -> None:
    """404 as application/problem+json; a sub that may not be seen yet is unknown, too."""
    async with merchant_at(slow_sub.url) as merchant:
        await merchant.initiate("acme-1", transaction={"scope": "name"})
        await slow_sub.approve("acme-1")
        early = slow_sub._book.only("acme-1").sub
        for sub in ("unknown", early):
            answer = await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")
            assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
            assert answer.json["title"] == "Not Found"


def test_personal_data_stay_out_of_reprs() -> None:
    """A customer's repr shows nothing of the person."""
    assert repr(Customer()) == "Customer()"


async def test_user_agents_are_told_apart(sandbox: SandboxServer, merchant: Merchant, place: Shop) -> None:
    """The sandbox calls itself by its own name, not by its HTTP library's."""
    await merchant.initiate("acme-1", merchantInfo=_calls_back(place))
    await sandbox.approve("acme-1")
    await sandbox.callbacks_delivered()
    assert place.received[0][2]["User-Agent"] == "Vipps-Sandbox"
    assert aiohttp.http.SERVER_SOFTWARE not in place.received[0][2].values()


async def test_an_error_in_the_workers_is_seen(
    sandbox: SandboxServer, merchant: Merchant, place: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that fails makes waiting and closing fail, instead of waiting for ever."""
    async with SandboxServer() as healthy:
        sender = healthy._sender

    async def broken(_job: object) -> None:
        raise LookupError("broken on purpose")

    monkeypatch.setattr(callbacks_module, "_WORKERS", 1)
    monkeypatch.setattr(sender, "call", broken)
    await sender.start()
    for _ in range(2):
        sender._queue.put_nowait(
            CallbackJob(kind="payment", order_id="a", method="POST", url=place.url, auth_token=None)
        )
    with pytest.raises(ExceptionGroup):
        await sender.delivered()
    with pytest.raises(ExceptionGroup):
        await sender.aclose()


async def test_a_large_answer_is_not_read_to_its_end(sandbox: SandboxServer, place: Shop) -> None:
    """A merchant cannot fill the sandbox's memory."""
    place.answer = b"x" * (600 * 1024)
    job = CallbackJob(kind="payment", order_id="a", method="POST", url=place.url, auth_token=None)
    answer = await sandbox._sender.call(job)
    assert answer is not None
    assert len(answer[1]) == 256 * 1024


async def test_user_info_belongs_to_the_sales_unit() -> None:
    """Keys of another sales unit learn nothing of the customer."""
    mine, other = (
        SandboxCredentials(
            client_id=f"{name}-id",
            client_secret=f"{name}-secret",
            subscription_key=f"{name}-key",
            merchant_serial_numbers={msn},
        )
        for name, msn in (("client", "123456"), ("other", "654321"))
    )
    async with SandboxServer(settings=SandboxSettings(credentials=[mine, other], sub_delay=0.0)) as sandbox:
        async with merchant_at(sandbox.url, log_in=False) as merchant:
            merchant.headers["Ocp-Apim-Subscription-Key"] = "client-key"
            await merchant.log_in()
            await merchant.initiate("acme-1", transaction={"scope": "email address"})
            await sandbox.approve("acme-1")
            sub = (await merchant.details("acme-1")).json["sub"]
            claims = (await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")).json
            assert set(claims) == {"sid", "sub", "email", "email_verified", "address", "other_addresses"}
        async with merchant_at(sandbox.url, "654321", log_in=False) as stranger:
            stranger.headers["Ocp-Apim-Subscription-Key"] = "other-key"
            await stranger.log_in("other")
            assert (await stranger.call("GET", f"/vipps-userinfo-api/userinfo/{sub}")).status == 404

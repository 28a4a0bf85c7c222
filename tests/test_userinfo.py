"""The Userinfo API."""

from __future__ import annotations

import orjson
import pytest

from tests.ecom.scripted_runner import ScriptedRunner
from tests.support.rows import each_row
from vipps_async import Credentials, VippsSession
from vipps_async.core.converter import decode
from vipps_async.core.operation import Repeat
from vipps_async.ecom.details import PaymentDetails
from vipps_async.errors import InvalidInputError
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.userinfo import USERINFO, UserAccount, UserAddress, UserInfo, UserinfoApi

FULL = {
    "sub": "c06c4afe",
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "email": "user@example.com",
    "email_verified": "true",
    "phone_number": 4791234567,
    "birthdate": "1815-12-10",
    "nin": "10121500000",
    "sid": "7d78a726",
    "address": {
        "address_type": "home",
        "country": "NO",
        "formatted": "Gate 5\n0154\nOslo\nNO",
        "postal_code": "0154",
        "region": "Oslo",
        "street_address": "Gate 5",
    },
    "other_addresses": [{"address_type": "work", "region": "Bergen"}],
    "phone_number_verified": True,
    "accounts": [{"account_name": "Savings", "account_number": 86011117947, "bank_name": "ACME Bank"}],
}


def test_everything_is_read() -> None:
    """All that a customer can share is read, under OpenID Connect's own names."""
    info = decode(orjson.dumps(FULL), UserInfo)
    home = UserAddress(
        address_type="home",
        country="NO",
        formatted="Gate 5\n0154\nOslo\nNO",
        postal_code="0154",
        region="Oslo",
        street_address="Gate 5",
    )
    assert info == UserInfo(
        sub="c06c4afe",
        name="Ada Lovelace",
        given_name="Ada",
        family_name="Lovelace",
        email="user@example.com",
        email_verified=True,
        phone_number="4791234567",
        birthdate="1815-12-10",
        nin="10121500000",
        sid="7d78a726",
        address=home,
        other_addresses=(UserAddress(address_type="work", region="Bergen"),),
        phone_number_verified=True,
        accounts=(UserAccount(account_name="Savings", account_number="86011117947", bank_name="ACME Bank"),),
    )


@each_row("name", [name for name in FULL if name != "sub"])
def test_what_cannot_be_read_is_as_if_it_were_not_shared(name: str) -> None:
    """One field of another shape than expected takes nothing else with it."""
    info = decode(orjson.dumps(FULL | {name: [[1.5]]}), UserInfo)
    assert getattr(info, name) in (None, ())
    assert info.sub == "c06c4afe"


def test_what_is_not_shared_is_missing() -> None:
    """A customer who shares nothing but an id is read."""
    assert decode(b'{"sub":"x"}', UserInfo) == UserInfo(sub="x")


async def test_get() -> None:
    """The customer's id stands in the path as one segment, and is marked as secret."""
    info = UserInfo(sub="x")
    runner = ScriptedRunner([info])
    assert await UserinfoApi(runner).get("uiJskNQ6/qNN1+iwN891uuob==") is info
    call = runner.only
    assert call.path == "/vipps-userinfo-api/userinfo/uiJskNQ6%2FqNN1%2BiwN891uuob%3D%3D"
    assert call.secrets == ("uiJskNQ6/qNN1+iwN891uuob==",)
    assert (call.operation, call.payment, call.body) == (USERINFO, None, None)
    assert call.operation.repeat is Repeat.SAFE


async def test_the_subscription_key_stays_at_home() -> None:
    """User info is asked with the token alone; every other call goes with the subscription key, before and after."""
    transport = ScriptedTransport()
    transport.on("/x", answer(200, {"sub": "x"}))
    transport.on("/details", answer(200, {"orderId": "acme-1"}))
    credentials = Credentials(
        client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456"
    )
    async with VippsSession(credentials, transport=transport) as vipps:
        await vipps.userinfo.get("x")
        await vipps.ecom.details("acme-1")
    sent = [*transport.token_requests, *transport.requests]
    assert [request.headers.get("Ocp-Apim-Subscription-Key") for request in sent] == ["key", None, "key"]


@pytest.mark.parametrize("sub", ["", "..", "a/../b", "a b", None])
async def test_get_refuses(sub: str) -> None:
    """What cannot be an id is not asked for."""
    runner = ScriptedRunner()
    with pytest.raises(InvalidInputError, match="sub"):
        await UserinfoApi(runner).get(sub)
    assert not runner.calls


async def test_the_customer_of_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Details are asked until they have the customer's id, which comes late, and then what was shared."""
    monkeypatch.setattr("vipps_async.userinfo._PAUSE", 0.001)
    info = UserInfo(sub="c06c4afe")
    runner = ScriptedRunner([PaymentDetails(), PaymentDetails(), PaymentDetails(sub="c06c4afe"), info])
    assert await UserinfoApi(runner).of_order("acme-1") is info
    assert [call.operation.name for call in runner.calls] == [
        "ecom.details",
        "ecom.details",
        "ecom.details",
        "userinfo.get",
    ]


async def test_a_customer_who_has_no_id() -> None:
    """Without an id within the time-out it ends, after at least one question."""
    runner = ScriptedRunner([PaymentDetails(), PaymentDetails()])
    with pytest.raises(TimeoutError, match="acme-1 had no sub"):
        await UserinfoApi(runner).of_order("acme-1", timeout=0.001)
    assert runner.calls


@pytest.mark.parametrize("given", [("acme/1", 10.0), ("acme-1", 0.0), ("acme-1", float("inf"))])
async def test_wrong_arguments_about_an_order(given: tuple[str, float]) -> None:
    """A wrong order id or time-out is refused before anything is asked."""
    order_id, timeout = given
    runner = ScriptedRunner()
    with pytest.raises(InvalidInputError):
        await UserinfoApi(runner).of_order(order_id, timeout=timeout)
    assert runner.calls == []

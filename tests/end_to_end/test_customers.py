"""Customers who share data: express checkout, scopes and user info, with a merchant who answers and listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from attrs import define, field

from tests.end_to_end.checkout import FAST
from tests.support.payments import PRICE, initiate
from vipps_async import ApiError, ExpressCheckout, Scope, ShippingDetails, VippsSession, nok
from vipps_async.sandbox import Address, Customer, SandboxSettings
from vipps_async.testing import Sandbox

ORDER = "acme-shop-1"
CUSTOMER = Customer(
    first_name="Ola",
    last_name="Hansen",
    email="ola.hansen@example.org",
    mobile_number="41234567",
    address=Address(line1="Havnegata 7", postal_code="7010", city="Trondheim"),
)


@define
class Merchant:
    """A shop on loopback: answers with ways of shipping, and keeps what it is told."""

    url: str = ""
    received: asyncio.Queue[tuple[str, str, dict[str, Any] | None]] = field(factory=asyncio.Queue)
    #: What `Authorization` said, call by call.
    tokens: list[str | None] = field(factory=list)

    async def shipping(self, request: web.Request) -> web.Response:
        """Offer parcels that cost more the farther north."""
        question = await self._hear(request)
        assert question is not None
        cost = 99.5 if question["postCode"] < "5000" else 149
        return web.json_response(
            {
                "addressId": question["addressId"],
                "orderId": request.match_info["order_id"],
                "shippingDetails": [
                    _method("pickup", "Pick it up", 0, default="N"),
                    _method("parcel", "Parcel", cost, default="Y"),
                ],
            }
        )

    async def listen(self, request: web.Request) -> web.Response:
        """Take a callback."""
        await self._hear(request)
        return web.Response()

    async def _hear(self, request: web.Request) -> dict[str, Any] | None:
        body = await request.read()
        self.tokens.append(request.headers.get("Authorization"))
        message = orjson.loads(body) if body else None
        self.received.put_nowait((request.method, request.rel_url.raw_path, message))
        return message

    async def next(self) -> tuple[str, str, dict[str, Any] | None]:
        """Wait for the next call of Vipps."""
        return await asyncio.wait_for(self.received.get(), 5)


def _method(method_id: str, name: str, cost: float, *, default: str) -> dict[str, Any]:
    return {"shippingMethodId": method_id, "shippingMethod": name, "shippingCost": cost, "isDefault": default}


@pytest_asyncio.fixture
async def merchant(nothing_is_left_behind: None) -> AsyncIterator[Merchant]:
    """A merchant who listens on loopback."""
    shop = Merchant()
    app = web.Application()
    app.add_routes(
        [
            web.post("/shipping/v2/payments/{order_id}/shippingDetails", shop.shipping),
            web.post("/callbacks/v2/payments/{order_id}", shop.listen),
            web.delete("/consents/v2/consents/{user_id}", shop.listen),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield shop
    finally:
        await runner.cleanup()


async def _initiate_express(vipps: VippsSession, merchant: Merchant, **express: Any) -> None:
    await initiate(
        vipps,
        callback_prefix=f"{merchant.url}/callbacks",
        auth_token="the-merchants-own",
        express=ExpressCheckout(consent_removal_prefix=f"{merchant.url}/consents", **express),
    )


async def test_express_checkout_with_dynamic_shipping(
    sandbox: Sandbox, vipps: VippsSession, merchant: Merchant
) -> None:
    """The merchant is asked for ways of shipping, and details tell what the customer chose, and who it is."""
    await _initiate_express(vipps, merchant, shipping_details_prefix=f"{merchant.url}/shipping")
    await sandbox.approve(ORDER, customer=CUSTOMER)

    method, path, question = await merchant.next()
    assert (method, path) == ("POST", f"/shipping/v2/payments/{ORDER}/shippingDetails")
    assert question is not None
    assert question["postCode"] == "7010"
    method, path, callback = await merchant.next()
    assert (method, path) == ("POST", f"/callbacks/v2/payments/{ORDER}")
    assert callback is not None
    assert callback["transactionInfo"]["status"] == "RESERVE"
    assert set(merchant.tokens) == {"the-merchants-own"}

    details = await vipps.ecom.details(ORDER)
    assert details.is_reserved
    assert details.shipping_details is not None
    assert details.shipping_details.shipping_method_id == "parcel"
    assert str(details.shipping_details.shipping_cost) in {"149", "149.0"}
    assert details.shipping_details.address is not None
    assert details.shipping_details.address.post_code == "7010"
    assert details.shipping_details.address.city == "Trondheim"
    assert details.user_details is not None
    assert details.user_details.email == "ola.hansen@example.org"
    assert details.user_details.mobile_number == "41234567"


async def test_express_checkout_with_static_shipping(sandbox: Sandbox, vipps: VippsSession, merchant: Merchant) -> None:
    """Ways of shipping that are given with the payment need no question; their cost is in NOK with decimals."""
    methods = [
        ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost=nok("79.90"), is_default=True),
        ShippingDetails(shipping_method_id="bike", shipping_method="Bike", shipping_cost=nok("129.5"), priority=2),
    ]
    await _initiate_express(vipps, merchant, static_shipping_details=methods)
    await sandbox.approve(ORDER, customer=CUSTOMER, shipping_method_id="bike")

    _, path, callback = await merchant.next()
    assert path == f"/callbacks/v2/payments/{ORDER}"
    assert callback is not None
    assert callback["shippingDetails"]["shippingCost"] == 129.5
    details = await vipps.ecom.details(ORDER)
    assert details.shipping_details is not None
    assert details.shipping_details.shipping_method == "Bike"
    assert str(details.shipping_details.shipping_cost) == "129.5"


async def test_express_data_expire_and_consent_can_be_withdrawn(
    sandbox: Sandbox, vipps: VippsSession, merchant: Merchant
) -> None:
    """After seven days personal data read [Expired]; a customer who withdraws consent is named to the merchant."""
    method = ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost=nok(79), is_default=True)
    await _initiate_express(vipps, merchant, static_shipping_details=[method])
    await sandbox.approve(ORDER, customer=CUSTOMER)
    await merchant.next()
    user = (await vipps.ecom.details(ORDER)).user_details
    assert user is not None
    assert user.user_id is not None
    await sandbox.remove_consent(user.user_id)
    called, path, _ = await merchant.next()
    assert called == "DELETE"
    assert path.startswith("/consents/v2/consents/")
    sandbox.clock.advance(timedelta(days=7, seconds=1))

    details = await vipps.ecom.details(ORDER)
    assert details.user_details is not None
    assert details.user_details.email == "[Expired]"
    assert details.remaining_to_capture == PRICE + 7_900


async def test_a_late_callback_changes_nothing_that_details_say(
    sandbox: Sandbox, vipps: VippsSession, merchant: Merchant
) -> None:
    """A regular payment's callback says RESERVED in the short shape, and details agree."""
    await initiate(vipps, callback_prefix=f"{merchant.url}/callbacks")
    await sandbox.approve(ORDER)
    _, _, callback = await merchant.next()
    assert callback is not None
    assert callback["transactionInfo"]["status"] == "RESERVED"
    assert "userDetails" not in callback
    assert (await vipps.ecom.details(ORDER)).is_reserved


async def test_scope_and_user_info(sandbox: Sandbox, vipps: VippsSession) -> None:
    """With a scope, details get a `sub` some moments after the approval, and user info tells what was asked for."""
    await initiate(vipps, scope=[Scope.NAME, Scope.EMAIL, Scope.PHONE_NUMBER, Scope.ADDRESS, Scope.BIRTH_DATE])
    await sandbox.approve(ORDER, customer=CUSTOMER)
    assert (await vipps.ecom.details(ORDER)).sub is None
    sandbox.clock.advance(1)
    sub = (await vipps.ecom.details(ORDER)).sub
    assert sub is not None

    user = await vipps.userinfo.get(sub)
    assert await vipps.userinfo.of_order(ORDER) == user
    assert user.sub == sub
    assert user.name == "Ola Hansen"
    assert (user.given_name, user.family_name) == ("Ola", "Hansen")
    assert user.email == "ola.hansen@example.org"
    assert user.email_verified is True
    assert user.phone_number == "4741234567"
    assert user.birthdate == "1990-01-31"
    assert user.address is not None
    assert user.address.postal_code == "7010"
    assert user.address.street_address == "Havnegata 7"
    assert user.other_addresses == ()
    assert user.nin is None


async def test_user_info_gives_no_more_than_was_asked_for(sandbox: Sandbox, vipps: VippsSession) -> None:
    """A scope of one word shares one thing."""
    await initiate(vipps, scope="email")
    await sandbox.approve(ORDER, customer=CUSTOMER)
    sandbox.clock.advance(1)
    sub = (await vipps.ecom.details(ORDER)).sub
    assert sub is not None
    user = await vipps.userinfo.get(sub)
    assert (user.email, user.name, user.phone_number) == ("ola.hansen@example.org", None, None)


async def test_the_identity_number_needs_a_permission() -> None:
    """A sales unit that may ask for the national identity number gets it."""
    async with (
        Sandbox(settings=SandboxSettings(nin={"123456"}, sub_delay=0)) as sandbox,
        sandbox.session(retry=FAST) as vipps,
    ):
        await initiate(vipps, scope=[Scope.NIN])
        await sandbox.approve(ORDER, customer=CUSTOMER)
        sub = (await vipps.ecom.details(ORDER)).sub
        assert sub is not None
        assert (await vipps.userinfo.get(sub)).nin == CUSTOMER.nin


async def test_an_unknown_sub_is_refused_without_naming_it(vipps: VippsSession) -> None:
    """User info of nobody is an error in the shape of the newer APIs; the sub, which is personal, stays out of it."""
    sub = "1f0a2e9c-5d8b-4c1e-9b57-2c6d0f4b7a11"
    with pytest.raises(ApiError) as caught:
        await vipps.userinfo.get(sub)
    assert caught.value.status == 404
    assert "Not Found" in str(caught.value)
    assert sub not in str(caught.value)

"""Express checkout of ePayment: fixed and dynamic shipping, added to the amount, and what the shop learns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.driver import MSN, Merchant, Shop
from tests.sandbox.epayment_driver import REFERENCE, Epayment, code, epayment_at, fields, values
from vipps_async.sandbox import SandboxError, SandboxServer, SandboxSettings

SCOPE = {"scope": "name address email phoneNumber"}


def _option(name: str, cost: int, **parts: Any) -> dict[str, Any]:
    return {"id": name.lower(), "name": name, "amount": {"currency": "NOK", "value": cost}, **parts}


EURO = {**_option("A", 1), "amount": {"currency": "EUR", "value": 1}}
GROUPS: list[dict[str, Any]] = [
    {"type": "PICKUP_POINT", "brand": "POSTEN", "priority": 2, "options": [_option("Shop", 4_900)]},
    {
        "type": "HOME_DELIVERY",
        "brand": "BRING",
        "priority": 1,
        "isDefault": True,
        "options": [_option("Evening", 9_900), _option("Day", 7_900, isDefault=True, meta="8-16")],
    },
]


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """With a sales unit that may use express checkout."""
    async with SandboxServer(settings=SandboxSettings(sub_delay=0.0, express={MSN}), rate_limits=False) as server:
        yield server


@pytest.fixture
def shop(merchant: Merchant) -> Epayment:
    """Talks to the sandbox by ePayment."""
    return Epayment(merchant)


def _fixed(groups: Any = GROUPS) -> dict[str, Any]:
    return {"profile": SCOPE, "shipping": {"fixedOptions": groups}}


def _dynamic(place: Shop, **parts: Any) -> dict[str, Any]:
    return {"profile": SCOPE, "shipping": {"dynamicOptions": {"callbackUrl": f"{place.url}/shipping", **parts}}}


async def test_the_chosen_shipping_is_added(sandbox: SandboxServer, shop: Epayment) -> None:
    """Authorized is the amount and the default option of the default group; all of it can be captured."""
    await shop.create(**_fixed())
    assert not {"userDetails", "shippingDetails"} & (await shop.get()).json.keys()
    await sandbox.approve(REFERENCE)
    got = (await shop.get()).json
    assert got["amount"]["value"] == 49_900
    assert got["aggregate"]["authorizedAmount"]["value"] == 57_800
    assert got["shippingDetails"] == {
        "address": {"addressLine1": "Storgata 1", "city": "Oslo", "country": "NO", "postCode": "0155"},
        "shippingCost": 7_900,
        "shippingOptionId": "day",
        "shippingOptionName": "Day",
    }
    assert got["userDetails"] == {
        "firstName": "Kari",
        "lastName": "Nordmann",
        "email": "kari.nordmann@example.com",
        "mobileNumber": "4791234567",
        "addresses": [got["shippingDetails"]["address"]],
    }
    assert got["profile"]["sub"]
    assert code(await shop.capture(57_801)) == "6090"
    assert values(await shop.capture(57_800))["captured"] == 57_800
    assert (await shop.names())[:2] == [("CREATED", 49_900, True), ("AUTHORIZED", 57_800, True)]


async def test_the_customer_may_choose(sandbox: SandboxServer, shop: Epayment) -> None:
    """Any option of any group, by its id."""
    await shop.create(**_fixed())
    await sandbox.approve(REFERENCE, shipping_method_id="shop")
    assert (await shop.get()).json["shippingDetails"]["shippingCost"] == 4_900
    with pytest.raises(SandboxError, match="does not wait"):
        await sandbox.approve(REFERENCE)


async def test_without_a_default_the_first_is_shown_first(sandbox: SandboxServer, shop: Epayment) -> None:
    """By priority; what has none stands behind."""
    groups = [
        {"type": "OTHER", "brand": "OTHER", "options": [_option("Last", 300)]},
        {"type": "OTHER", "brand": "DHL", "priority": 1, "options": [_option("B", 200), _option("A", 100, priority=1)]},
    ]
    await shop.create(**_fixed(groups))
    await sandbox.approve(REFERENCE)
    assert (await shop.get()).json["shippingDetails"]["shippingOptionId"] == "a"


async def test_the_shop_is_asked_where_it_wants_to_be(sandbox: SandboxServer, shop: Epayment, place: Shop) -> None:
    """At the URL as given, with its token verbatim and fields in camel case; once."""
    place.answer = {"groups": GROUPS}
    created = await shop.create(**_dynamic(place, callbackAuthorizationToken="abc-123"))
    assert created.status == 201
    assert place.received == []
    await sandbox.approve(REFERENCE)
    ((method, path, headers, body),) = place.received
    assert (method, path, headers["Authorization"]) == ("POST", "/shipping", "abc-123")
    assert body == {
        "reference": REFERENCE,
        "addressLine1": "Storgata 1",
        "addressLine2": "",
        "city": "Oslo",
        "postCode": "0155",
        "country": "NO",
    }
    assert values(await shop.get())["authorized"] == 57_800
    assert sandbox.callbacks[-1].kind == "shippingDetails"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, {}), "HTTP 400"),
        ((200, b"<html>"), "no JSON"),
        ((200, []), "no JSON object"),
        ((200, {}), "groups is required"),
        ((200, {"groups": []}), "groups must be a list that is not empty"),
        ((200, {"groups": [{**GROUPS[0], "brand": "UPS"}]}), r"groups\[0\].brand must be one of"),
        ((200, {"groups": [{**GROUPS[0], "isDefault": "Y"}]}), r"groups\[0\].isDefault must be true or false"),
        ((200, {"groups": [{**GROUPS[0], "options": [EURO]}]}), "must have amounts in NOK"),
    ],
)
async def test_answers_of_a_shop_that_ship_nothing(
    sandbox: SandboxServer, shop: Epayment, place: Shop, answer: tuple[int, Any], words: str
) -> None:
    """The customer is told so, and the payment waits; a right answer later ships it."""
    await shop.create(**_dynamic(place))
    place.status, place.answer = answer
    with pytest.raises(SandboxError, match=words):
        await sandbox.approve(REFERENCE)
    assert (await shop.get()).json["state"] == "CREATED"
    place.status, place.answer = 200, {"groups": GROUPS}
    await sandbox.approve(REFERENCE)
    assert (await shop.get()).json["state"] == "AUTHORIZED"


async def test_nobody_at_the_shop(sandbox: SandboxServer, shop: Epayment) -> None:
    """No answer ships nothing."""
    body: dict[str, Any] = {"profile": SCOPE, "shipping": {"dynamicOptions": {"callbackUrl": "http://127.0.0.1:1/"}}}
    await shop.create(**body)
    with pytest.raises(SandboxError, match="gave no answer"):
        await sandbox.approve(REFERENCE)


async def test_what_express_wants(sandbox: SandboxServer, shop: Epayment, place: Shop) -> None:
    """A wallet, the four scopes in any order, one kind of shipping in the payment's currency, a permission."""
    dynamic = _dynamic(place)["shipping"]
    for number, (parts, field) in enumerate(
        (
            ({**_fixed(), "paymentMethod": {"type": "CARD"}}, "paymentMethod.type"),
            ({**_fixed(), "profile": {"scope": "name"}}, "profile.scope"),
            ({**_fixed(), "profile": {"scope": f"{SCOPE['scope']} birthDate"}}, "profile.scope"),
            ({**_fixed(), "shipping": {**dynamic, "fixedOptions": GROUPS}}, "shipping"),
            ({**_fixed(), "shipping": {"allowedCountries": ["NO"]}}, "shipping"),
            (_fixed([{**GROUPS[0], "options": []}]), "shipping.fixedOptions[0].options"),
            (_fixed([{**GROUPS[0], "options": [EURO]}]), "shipping.fixedOptions"),
        )
    ):
        assert fields(await shop.create(f"acme-shop-{number}", **parts)) == [field]
    assert (await shop.create(**_fixed(), key="k")).status == 201
    assert (
        await shop.create("acme-shop-8", **{**_fixed(), "profile": {"scope": "phoneNumber email address name"}})
    ).status
    assert code(await shop.approve()) == "10020"
    bad: dict[str, Any] = {"profile": SCOPE, "shipping": {"dynamicOptions": {"callbackUrl": "http://example.com"}}}
    assert code(await shop.create("acme-shop-9", **bad)) == "4090"
    shop.merchant.msn = "654321"
    assert code(await shop.create(**_fixed())) == "5020"


async def test_a_scope_shares_what_it_names_and_no_more(sandbox: SandboxServer, shop: Epayment) -> None:
    """User details hold the parts of the scope; sub opens user info; both end seven days after."""
    await shop.create(profile={"scope": "name birthDate"})
    await sandbox.approve(REFERENCE)
    got = (await shop.get()).json
    assert got["userDetails"] == {"firstName": "Kari", "lastName": "Nordmann", "dateOfBirth": "1990-1-31"}
    info = await shop.merchant.call("GET", f"/vipps-userinfo-api/userinfo/{got['profile']['sub']}")
    assert info.json["given_name"] == "Kari"
    await shop.create("acme-shop-2")
    await sandbox.approve("acme-shop-2")
    bare = (await shop.get("acme-shop-2")).json
    assert bare["profile"] == {}
    assert "userDetails" not in bare
    sandbox.clock.advance(8 * 86_400)
    await shop.merchant.log_in()
    assert "userDetails" not in (await shop.get()).json


async def test_shipping_survives_a_restart(tmp_path: Path) -> None:
    """The options, the choice, and whom to ask."""
    file = tmp_path / "state.db"
    async with (
        SandboxServer(settings=SandboxSettings(express={MSN}), state=file) as sandbox,
        epayment_at(sandbox.url) as shop,
    ):
        await shop.create(**_fixed())
    async with SandboxServer(state=file) as sandbox, epayment_at(sandbox.url) as shop:
        await sandbox.approve(REFERENCE)
        assert (await shop.get()).json["shippingDetails"]["shippingOptionId"] == "day"
    async with SandboxServer(state=file) as sandbox, epayment_at(sandbox.url) as shop:
        assert values(await shop.get()) == {"authorized": 57_800}


async def test_in_the_app(sandbox: SandboxServer, shop: Epayment) -> None:
    """The page shows each option with the sum, and takes the choice."""
    url = (await shop.create(**_fixed())).json["redirectUrl"]
    token = url.rpartition("=")[2]
    path = "/dwo-api-application/v1/deeplink/vippsgateway"
    page = (await shop.merchant.call("GET", f"{path}/app?token={token}")).body.decode()
    for text in ("Evening", "598.00 NOK", "578.00 NOK", "548.00 NOK"):
        assert text in page
    form = {"token": token, "answer": "approve", "shipping": "evening"}
    async with shop.merchant.session.post(url, data=form, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "https://example.com/result")
    assert values(await shop.get()) == {"authorized": 59_800}

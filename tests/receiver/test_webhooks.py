"""Webhooks at a receiver: journalled, answered in time, handled once, delivered again until they are; all doors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from tests.receiver.served import KEYS
from tests.receiver.serving import FRAMEWORKS, serve
from tests.receiver.shop import until
from tests.webhooks.delivered import AUTHORIZED, ID, SECRET, URL, delivery
from vipps_async import Aggregate, CallbackError, Payment, PaymentState, VippsSession
from vipps_async.epayment.request_enums import ShippingBrand, ShippingType
from vipps_async.epayment.shipping import ShippingGroup, ShippingOption
from vipps_async.journals.memory import MemoryJournal
from vipps_async.money import nok
from vipps_async.receiver import EpaymentShipping, Limits, Receiver, Reply, ShippingQuestion, Webhooks
from vipps_async.testing import ScriptedTransport

PATH = "/vipps/webhooks?shop=1"
TOKEN = "shipping-token-1"
PERSONAL = ("Kari", "Nordmann", "kari@example.com", "4798765432", "Storgata", "c06c4afe", SECRET)


class _Epayment:
    """The ePayment API of a session: notes who is woken."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    async def get(self, reference: str) -> Any:
        """Have no payment."""
        raise AssertionError(reference)

    def notify(self, reference: str) -> None:
        """Note it."""
        self.woken.append(reference)


class _Shop:
    """Handlers that note what they are given."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self.events: list[Any] = []
        self.questions: list[ShippingQuestion] = []
        self.failures = 0
        self.confirms = False
        self.outcomes: list[Any] = []
        self.wait: asyncio.Event | None = None
        self.groups: Any = ()
        self.epayment = _Epayment()
        self.journal = journal
        self.receiver = Receiver(
            Webhooks(url=URL, secrets={ID: SECRET}, on_event=self.on_event),
            EpaymentShipping(path="/vipps/shipping", auth_tokens=TOKEN, on_shipping=self.on_shipping),
            limits=Limits(redeliver_after=0.01, drain_timeout=0.05),
        )

    def session(self) -> VippsSession:
        """Make a session whose ePayment API is this shop's."""
        session: Any = VippsSession(KEYS, transport=ScriptedTransport(), journal=self.journal)
        session.epayment.get = lambda reference: self.epayment.get(reference)  # noqa: PLW0108 - tests change it
        session.epayment.notify = self.epayment.notify
        return session  # type: ignore[no-any-return] # made above

    async def on_event(self, event: Any, vipps: Any) -> None:
        """Fail as often as told."""
        self.events.append(event)
        if self.confirms:
            self.outcomes.append(await event.confirm(vipps))
        if self.wait is not None:
            await self.wait.wait()
        if len(self.events) <= self.failures:
            raise KeyError

    async def on_shipping(self, question: ShippingQuestion, _: object) -> Any:
        """Return the shop's ways of shipping."""
        self.questions.append(question)
        return self.groups

    async def deliver(self, event: Any = AUTHORIZED, **options: Any) -> Reply:
        """Let a delivery come in."""
        headers, body = delivery(event, **options)
        return await self.receiver.handle("POST", PATH, headers, body)

    async def ask(self, body: Any, token: str = TOKEN) -> Reply:
        """Let a question about shipping come in."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.receiver.handle("POST", "/vipps/shipping", {"Authorization": token}, raw)


@pytest_asyncio.fixture
async def shop(journal: MemoryJournal) -> AsyncIterator[_Shop]:
    """Return a shop that serves with a journal."""
    shop = _Shop(journal)
    async with shop.session() as session, shop.receiver.serving(session):
        yield shop


def _has_handled(shop: _Shop, handled: int) -> bool:
    return (shop.receiver.running, shop.receiver.counts.handled) == (0, handled)


# -- events ------------------------------------------------------------------------------------------------------------


async def test_a_delivery_is_handled_once(shop: _Shop, journal: MemoryJournal) -> None:
    """It is noted, handled and wakes who waits; delivered again, it is answered 200 and not handled again."""
    assert (await shop.deliver()).status == 200
    await until(lambda: shop.receiver.counts.handled)
    await journal.flush()
    for again in (AUTHORIZED, AUTHORIZED | {"timestamp": "2026-02-02T02:02:02Z"}):
        assert (await shop.deliver(again)).status == 200
    assert (await shop.deliver(AUTHORIZED | {"name": "CAPTURED"})).status == 200
    await until(lambda: shop.receiver.counts.handled == 2)
    assert [event.name for event in shop.events] == ["AUTHORIZED", "CAPTURED"]
    assert shop.receiver.counts.duplicates == 2
    assert set(shop.epayment.woken) == {AUTHORIZED["reference"]}


async def test_it_is_redelivered_until_it_succeeds(shop: _Shop) -> None:
    """Vipps is told that it has arrived; the handler is called until it succeeds."""
    shop.failures = 2
    assert (await shop.deliver()).status == 200
    await until(lambda: shop.receiver.counts.handled)
    assert [(event.reference, event.is_redelivered) for event in shop.events] == [
        (AUTHORIZED["reference"], False),
        (AUTHORIZED["reference"], True),
        (AUTHORIZED["reference"], True),
    ]


async def test_a_pending_event_is_redelivered(shop: _Shop) -> None:
    """An event whose payment does not show it yet is called again, though its handler did not raise."""
    seen: list[Any] = []

    async def get(reference: str) -> Any:
        seen.append(reference)
        names = ("cancelled_amount", "captured_amount", "refunded_amount")
        sums = Aggregate(authorized_amount=nok("499.00"), **{name: nok(0) for name in names})
        state = PaymentState.CREATED if len(seen) == 1 else PaymentState.AUTHORIZED
        return Payment(reference=reference, state=state, aggregate=sums, amount=nok("499.00"))

    shop.epayment.get = get  # type: ignore[method-assign]
    shop.confirms = True
    assert (await shop.deliver()).status == 200
    await until(lambda: shop.receiver.counts.handled)
    assert [type(one).__name__ for one in shop.outcomes] == ["NotificationContradicted", "NotificationConfirmed"]


async def test_the_answer_does_not_wait_for_the_handler(shop: _Shop) -> None:
    """The answer is there while the handler hangs, and so is that to the same delivery again."""
    shop.wait = asyncio.Event()
    async with asyncio.timeout(5):
        assert [(await shop.deliver()).status for _ in range(3)] == [200, 200, 200]
    await until(lambda: shop.events)
    assert (len(shop.events), shop.receiver.running) == (1, 1)
    shop.wait.set()


async def test_without_a_journal_it_is_handled_once_as_well() -> None:
    """Duplicates of what was handled are known in memory, too; what has failed is handled when it comes again."""
    shop = _Shop()
    async with shop.session() as session, shop.receiver.serving(session):
        shop.failures = 1
        for handled in (0, 1, 1):
            assert (await shop.deliver()).status == 200
            await until(partial(_has_handled, shop, handled))
        assert len(shop.events) == 2


async def test_recovery_leaves_events_alone(shop: _Shop, journal: MemoryJournal) -> None:
    """An open event is the receiver's: recovery of payments neither sends nor reports it."""
    shop.failures = 1_000
    await shop.deliver()
    await until(lambda: shop.receiver.counts.failed)
    session: Any = shop.session()
    async with session:
        report = await session.recover()
        assert (report.proven, report.sent_again, report.stays_open) == (0, 0, 0)
        assert await session.unfinished(AUTHORIZED["reference"]) == []
    assert [entry.intent.name async for entry in journal.open_entries()] == ["webhooks.event"]


async def test_other_products_are_handled(shop: _Shop) -> None:
    """An event of another product is journalled and handled as it came, and wakes nobody."""
    assert (await shop.deliver({"eventType": "recurring.charge-captured.v1"})).status == 200
    await until(lambda: shop.receiver.counts.handled)
    assert [event.data for event in shop.events] == [{"eventType": "recurring.charge-captured.v1"}]
    assert shop.epayment.woken == []


async def test_what_is_not_signed_is_answered_401(shop: _Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A forged delivery is counted, logged without what it held, and neither journalled nor handled."""
    caplog.set_level(logging.DEBUG)
    assert (await shop.deliver(secret="wrong")).status == 401
    assert (await shop.deliver()).status == 200
    await until(lambda: shop.receiver.counts.handled)
    shop.failures = 10
    await shop.deliver(AUTHORIZED | {"name": "REFUNDED"})
    await until(lambda: shop.receiver.counts.failed)
    assert shop.receiver.counts.invalid == 1
    logged = caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    assert "vipps.inbound" in logged
    assert not [word for word in PERSONAL if word in logged]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_every_door(framework: str, journal: MemoryJournal) -> None:
    """Over a real socket, the raw body and the headers get to the check in each framework."""
    shop = _Shop(journal)
    async with serve(framework, shop.session, shop.receiver) as url, aiohttp.ClientSession() as client:
        headers, body = delivery()
        del headers["Host"]
        # As it came, white space and all: it is the bytes that are signed.
        spaced, spaced_body = delivery(orjson.dumps(AUTHORIZED | {"name": "CAPTURED"}, option=orjson.OPT_INDENT_2))
        del spaced["Host"]
        statuses = []
        for given, data in ((headers, body), (spaced, spaced_body), (headers, body + b" ")):
            async with client.post(f"{url}{PATH}", data=data, headers=given) as response:
                statuses.append(response.status)
        assert statuses == [200, 200, 401]
        await until(lambda: shop.receiver.counts.handled == 2)
        assert [event.name for event in shop.events] == ["AUTHORIZED", "CAPTURED"]
        question = {"reference": "acme-shop-1", "addressLine1": "Storgata 1", "country": "NO"}
        async with client.post(f"{url}/vipps/shipping", json=question, headers={"Authorization": TOKEN}) as response:
            assert (response.status, await response.text()) == (400, "cannot ship there")


# -- shipping ----------------------------------------------------------------------------------------------------------

GROUP = ShippingGroup(
    type=ShippingType.HOME_DELIVERY,
    brand=ShippingBrand.POSTEN,
    options=[ShippingOption(id="post", amount=nok("49.00"), name="Posten", is_default=True)],
)
CAMEL = {
    "reference": "acme-shop-1",
    "addressLine1": "Storgata 1",
    "addressLine2": "c/o Kari",
    "city": "Oslo",
    "postCode": "0154",
    "country": "NO",
}


@pytest.mark.parametrize(
    "body",
    [
        CAMEL,
        {key[0].upper() + key[1:]: value for key, value in CAMEL.items()},
        {key.upper(): value for key, value in CAMEL.items()},
        CAMEL | {"AddressLine1": None, "postCode": "0154"},
    ],
)
async def test_a_question_in_any_case(shop: _Shop, body: dict[str, Any]) -> None:
    """Vipps' description and its plug-ins differ in capitals: all are read, and answered with the groups."""
    shop.groups = [GROUP]
    reply = await shop.ask(body)
    (question,) = shop.questions
    assert (question.reference, question.city, question.post_code, question.country) == (
        "acme-shop-1",
        "Oslo",
        "0154",
        "NO",
    )
    assert (question.address_line1, question.address_line2) == ("Storgata 1", "c/o Kari")
    assert "Storgata" not in repr(question)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json;charset=UTF-8")
    option = {"id": "post", "amount": {"currency": "NOK", "value": 4900}, "name": "Posten", "isDefault": True}
    assert orjson.loads(reply.body) == {"groups": [{"type": "HOME_DELIVERY", "brand": "POSTEN", "options": [option]}]}


@pytest.mark.parametrize("groups", [(), [], None, iter(())])
async def test_nothing_is_shipped_there(shop: _Shop, groups: Any) -> None:
    """Without ways of shipping the answer is 400, which Vipps shows as such; that is no failure of the handler."""
    shop.groups = groups
    reply = await shop.ask(CAMEL)
    assert (reply.status, reply.body) == (400, b"cannot ship there")
    assert (shop.receiver.counts.handled, shop.receiver.counts.failed) == (1, 0)


@pytest.mark.parametrize("groups", [GROUP, [GROUP, GROUP], "x", [1], {"groups": []}, 5])
async def test_groups_that_vipps_would_not_take(shop: _Shop, groups: Any) -> None:
    """What breaks a rule is a failure of the handler, answered 500: Vipps never gets it."""
    shop.groups = groups
    assert (await shop.ask(CAMEL)).status == 500
    assert shop.receiver.counts.failed == 1


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("", 401), (f"Bearer {TOKEN}", 401), (TOKEN, 400)])
async def test_the_token_is_checked(shop: _Shop, token: str, status: int) -> None:
    """The token comes verbatim, and is checked before anything is asked of the shop."""
    assert (await shop.ask(CAMEL, token)).status == status
    assert len(shop.questions) == (status == 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"{}", b'{"city":"Oslo"}', b'{"reference":[]}'])
async def test_a_malformed_question(shop: _Shop, body: bytes) -> None:
    """Whatever else comes is refused."""
    reply = await shop.ask(body)
    assert (reply.status, shop.questions) == (400, [])


@pytest.mark.parametrize("path", ["", "shipping", "/a?b", None])
def test_a_wrong_path(path: Any) -> None:
    """The path is checked when the source is made."""
    with pytest.raises(ValueError, match="path must be"):
        EpaymentShipping(path=path, auth_tokens=TOKEN, on_shipping=lambda *_: None)


def test_questions_are_not_kept() -> None:
    """Nothing of a question can come out of a journal."""
    source: Any = EpaymentShipping(path="/s", auth_tokens=[TOKEN], on_shipping=lambda *_: None)
    source.notify(None, "acme-shop-1")
    with pytest.raises(CallbackError, match="not kept"):
        source.restore("shipping", b"{}")
    assert TOKEN not in repr(source)

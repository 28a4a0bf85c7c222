"""A sandbox calls a shop over real sockets, in each framework, and what it says comes out right."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import define

from tests.receiver.served import receiver_of
from tests.receiver.serving import FRAMEWORKS, serve
from tests.receiver.shop import Shop, until
from vipps_async import ExpressCheckout, RetryPolicy, SqliteJournal, VippsSession
from vipps_async.ecom.dialect import CALLBACK
from vipps_async.receiver import CallbackStatus, Confirmed, Contradicted, Receiver
from vipps_async.testing import Sandbox

TOKEN = "token-of-a-test"
PRICE = 49_900


@define
class Street:
    """A sandbox, a shop, and a session of the customer's side of the shop."""

    sandbox: Sandbox
    shop: Shop
    receiver: Receiver
    vipps: VippsSession
    prefix: str

    async def buy(self, order_id: str = "acme-1", *, auth_token: str = TOKEN, **further: Any) -> None:
        """Initiate a payment."""
        await self.vipps.ecom.initiate(
            order_id=order_id,
            amount=PRICE,
            transaction_text="Socks",
            callback_prefix=self.prefix,
            fall_back="https://example.com/back",
            auth_token=auth_token,
            **further,
        )

    async def handled(self, number: int = 1) -> None:
        """Wait for so many handlers to have succeeded."""
        await self.sandbox.callbacks_delivered()
        await until(lambda: self.receiver.counts.handled >= number)

    @property
    def statuses(self) -> list[int | None]:
        """What the shop answered."""
        return [record.status for record in self.sandbox.callbacks]


@contextlib.asynccontextmanager
async def street(framework: str, *, journal: Path | None = None, **options: Any) -> AsyncIterator[Street]:
    """Open a sandbox and a shop."""
    shop = Shop()
    shop.confirms = True
    receiver = receiver_of(shop, auth_token=TOKEN, **options)
    async with Sandbox(rate_limits=False) as sandbox:

        def open_session() -> VippsSession:
            notes = None if journal is None else SqliteJournal(journal)
            return sandbox.session(journal=notes, retry=RetryPolicy(base=0.001, cap=0.002))

        async with serve(framework, open_session, receiver) as url, sandbox.session() as vipps:
            yield Street(sandbox, shop, receiver, vipps, f"{url}/vipps")


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_regular_payment(framework: str) -> None:
    """The shop is told of the acceptance, answers at once, and details confirm it."""
    async with street(framework) as the:
        await the.buy()
        await the.sandbox.approve("acme-1")
        await the.handled()
        (event,), (outcome,) = the.shop.payments, the.shop.outcomes
        assert (event.claimed_status, event.claimed_amount) == (CallbackStatus.RESERVED, PRICE)
        assert isinstance(outcome, Confirmed)
        assert outcome.details.is_reserved
        assert the.statuses == [200]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_express_with_dynamic_shipping(framework: str) -> None:
    """The shop says what shipping costs, is told what the customer chose, and forgets the customer when asked to."""
    async with street(framework) as the:
        express = ExpressCheckout(consent_removal_prefix=the.prefix, shipping_details_prefix=the.prefix)
        await the.buy(express=express)
        await the.sandbox.approve("acme-1", shipping_method_id="pickup")
        await the.handled(2)
        ((question,), (event,), (outcome,)) = the.shop.questions, the.shop.payments, the.shop.outcomes
        assert (question.order_id, question.post_code) == ("acme-1", "0155")
        assert (event.claimed_status, event.claimed_amount) == (CallbackStatus.RESERVED, PRICE + 100)
        assert event.shipping_details is not None
        assert event.shipping_details.shipping_method_id == "pickup"
        assert event.shipping_details.shipping_cost == Decimal(1)
        assert isinstance(outcome, Confirmed)
        assert outcome.details.reserved_amount == PRICE + 100
        assert event.user_details is not None
        user_id = event.user_details.user_id
        assert user_id is not None
        assert user_id.startswith("+/")
        await the.sandbox.remove_consent(user_id)
        await the.handled(3)
        assert [removal.user_id for removal in the.shop.removals] == [user_id]
        assert the.statuses == [200, 200, 200]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_scope(framework: str) -> None:
    """A payment with a scope is told of in the shape of express checkout."""
    async with street(framework) as the:
        await the.buy(scope="name email")
        await the.sandbox.approve("acme-1")
        await the.handled()
        (event,) = the.shop.payments
        assert event.claimed_status is CallbackStatus.RESERVED
        assert event.user_details is not None


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_customer_declines_and_another_does_nothing(framework: str) -> None:
    """Both ends are told of and confirmed, and nobody takes them for an acceptance."""
    async with street(framework) as the:
        await the.buy("acme-1")
        await the.buy("acme-2")
        await the.sandbox.reject("acme-1")
        await the.sandbox.expire("acme-2")
        await the.handled(2)
        assert {event.claimed_status for event in the.shop.payments} == {
            CallbackStatus.CANCELLED,
            CallbackStatus.REJECTED,
        }
        assert all(isinstance(outcome, Confirmed) and not outcome.details.is_approved for outcome in the.shop.outcomes)
        assert {event.error_info.code for event in the.shop.payments if event.error_info} == {"45"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_card_is_refused(framework: str) -> None:
    """A refusal by the bank is told of with its code, and details agree."""
    async with street(framework) as the:
        await the.vipps.ecom.initiate(
            order_id="acme-1",
            amount=151,  # øre: the vendor's test amount for insufficient funds
            transaction_text="Socks",
            callback_prefix=the.prefix,
            fall_back="https://example.com/back",
            auth_token=TOKEN,
        )
        await the.sandbox.approve("acme-1")
        await the.handled()
        ((event,), (outcome,)) = the.shop.payments, the.shop.outcomes
        assert event.claimed_status is CallbackStatus.RESERVE_FAILED
        assert event.error_info is not None
        assert event.error_info.group == "Payment"
        assert isinstance(outcome, Confirmed)


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_wrong_token(framework: str) -> None:
    """What does not carry the shop's token is answered 401 and reaches no handler."""
    async with street(framework) as the:
        await the.buy(auth_token="somebody-elses")
        await the.sandbox.approve("acme-1")
        await the.sandbox.callbacks_delivered()
        assert the.statuses == [401]
        assert (the.receiver.counts.invalid, the.shop.payments) == (1, [])


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_wait_ends_when_the_callback_comes(framework: str) -> None:
    """Whoever waits in the shop's process is woken by the callback, long before the first question is due."""
    shop, woken = Shop(), asyncio.Event()
    waits: list[asyncio.Task[Any]] = []

    async with Sandbox() as sandbox:
        session = sandbox.session()
        receiver = receiver_of(shop, auth_token=TOKEN)
        async with serve(framework, lambda: session, receiver) as url:
            the = Street(sandbox, shop, receiver, session, f"{url}/vipps")
            await the.buy()
            waits.append(asyncio.create_task(session.ecom.wait_for("acme-1", timeout=600)))
            waits[0].add_done_callback(lambda _: woken.set())
            started = time.monotonic()
            await sandbox.approve("acme-1")
            async with asyncio.timeout(4):
                await woken.wait()
            assert waits[0].result().is_reserved
            assert time.monotonic() - started < 4


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_vipps_sends_a_callback_twice(framework: str, tmp_path: Path) -> None:
    """With a journal the handler runs once, also if the second delivery comes when the first has been handled."""
    async with street(framework, journal=tmp_path / "vipps.db") as the:
        await the.buy()
        await the.sandbox.approve("acme-1")
        await the.handled()
        (record,) = the.sandbox.callbacks
        async with (
            aiohttp.ClientSession() as client,
            client.post(record.url, data=record.body, headers=dict(record.headers)) as again,
        ):
            assert again.status == 200
        assert len(the.shop.payments) == 1
        assert the.receiver.counts.duplicates == 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("trouble", ["sleeps", "raises", "blocks a thread"])
async def test_handlers_in_trouble(framework: str, trouble: str) -> None:
    """A handler that sleeps for half a minute, raises or blocks does not keep Vipps waiting, and its failure shows."""
    shop = Shop()
    blocked = threading.Event()
    handler: Any = shop.on_payment
    if trouble == "sleeps":
        shop.trouble = lambda: asyncio.sleep(30)
    elif trouble == "raises":
        shop.trouble = lambda: 1 / 0
    else:

        def handler(event: Any, vipps: Any) -> None:
            shop.payments.append(event)
            blocked.wait(10)

    receiver = receiver_of(shop, auth_token=TOKEN, on_payment=handler, drain_timeout=0.05)
    async with Sandbox() as sandbox:
        async with serve(framework, sandbox.session, receiver) as url, sandbox.session() as vipps:
            the = Street(sandbox, shop, receiver, vipps, f"{url}/vipps")
            await the.buy()
            started = time.monotonic()
            await sandbox.approve("acme-1")
            await sandbox.callbacks_delivered()
            assert the.statuses == [200]
            assert time.monotonic() - started < 3
            await until(lambda: shop.payments)
        blocked.set()
    assert receiver.counts.failed == 1
    assert receiver.counts.handled == 0


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_shipping_that_takes_too_long(framework: str) -> None:
    """A handler that does not find ways of shipping in time gets cancelled, and Vipps gets an answer all the same."""
    async with street(framework, query_timeout=0.1) as the:
        the.shop.trouble = lambda: asyncio.sleep(30)
        express = ExpressCheckout(consent_removal_prefix=the.prefix, shipping_details_prefix=the.prefix)
        await the.buy(express=express)
        with pytest.raises(Exception, match="HTTP 503"):
            await the.sandbox.approve("acme-1")
        assert the.receiver.counts.failed == 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_crash_between_answer_and_handler(framework: str, tmp_path: Path) -> None:
    """A shop that dies while it handles a callback gets it again when it is back, though Vipps does not call again."""
    file = tmp_path / "vipps.db"
    async with Sandbox(rate_limits=False) as sandbox:
        first, second = Shop(), Shop()
        first.trouble = lambda: asyncio.sleep(30)
        second.confirms = True

        def open_session() -> VippsSession:
            return sandbox.session(journal=SqliteJournal(file))

        dying = receiver_of(first, auth_token=TOKEN, drain_timeout=0.01)
        async with sandbox.session() as vipps:
            async with serve(framework, open_session, dying) as url:
                await Street(sandbox, first, dying, vipps, f"{url}/vipps").buy()
                await sandbox.approve("acme-1")
                await until(lambda: first.payments)
            assert [record.status for record in sandbox.callbacks] == [200]
            again = receiver_of(second, auth_token=TOKEN)
            async with serve(framework, open_session, again):
                await until(lambda: again.counts.handled)
            (event,) = second.payments
            assert event.is_redelivered
            assert (event.order_id, event.dedup_key) == ("acme-1", first.payments[0].dedup_key)
            assert isinstance(second.outcomes[0], Confirmed)
        async with opened(file) as journal:
            assert [entry async for entry in journal.open_entries()] == []
            assert [entry.intent.operation async for entry in journal.recent_entries()] == [CALLBACK]


@contextlib.asynccontextmanager
async def opened(file: Path) -> AsyncIterator[SqliteJournal]:
    """Open a journal for a look."""
    journal = SqliteJournal(file)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.aclose()


async def test_a_forged_callback_convinces_nobody() -> None:
    """Even with the right token, a callback about a payment that nobody accepted is contradicted."""
    async with street("aiohttp") as the:
        await the.buy()
        body = {"orderId": "acme-1", "transactionInfo": {"amount": PRICE, "status": "RESERVED"}}
        async with (
            aiohttp.ClientSession(headers={"Authorization": TOKEN}) as client,
            client.post(f"{the.prefix}/v2/payments/acme-1", json=body) as answered,
        ):
            assert answered.status == 200
        await until(lambda: the.shop.outcomes)
        (outcome,) = the.shop.outcomes
        assert isinstance(outcome, Contradicted)
        assert outcome.details is not None
        assert not outcome.details.is_approved

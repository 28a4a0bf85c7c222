"""The receiver knows no API: a source that it does not know gets all that eCom's callbacks get."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import vipps_async.receiver
from tests.ecom.callback_bodies import REGULAR, TOKEN, as_body
from tests.receiver.served import KEYS
from tests.receiver.shop import Shop, until
from tests.receiver.toy_source import ToyEvent, ToyHooks, sign
from vipps_async import InvalidInputError, VippsSession
from vipps_async.journals.memory import MemoryJournal
from vipps_async.receiver import EcomCallbacks, Limits, Receiver, Reply
from vipps_async.testing import ScriptedTransport

BODY = b'{"reference":"acme-ref-1","event":"CAPTURED"}'


class _Toy:
    """A receiver of toy hooks and callbacks, and what came in."""

    def __init__(self, shop: Shop) -> None:
        self.events: list[ToyEvent] = []
        self.woken: list[str] = []
        self.failures = 1
        self.session: VippsSession
        self.hooks = ToyHooks({"one": "first secret", "two": "second secret"}, self._handle, self.woken.append)
        callbacks = EcomCallbacks(TOKEN, on_payment=shop.on_payment)
        self.receiver = Receiver(callbacks, self.hooks, limits=Limits(redeliver_after=0.01))

    async def _handle(self, event: ToyEvent, _: VippsSession) -> None:
        self.events.append(event)
        if len(self.events) <= self.failures:
            raise KeyError

    async def send(self, changes: Mapping[str, str] | None = None) -> Reply:
        """Deliver a hook, signed by the first secret."""
        headers = {"Webhook-Id": "one", "Signature": sign("first secret", BODY), **(changes or {})}
        return await self.receiver.handle("POST", "/vipps/toy-hooks", headers, BODY)


@pytest_asyncio.fixture
async def toy(shop: Shop, journal: MemoryJournal) -> AsyncIterator[_Toy]:
    """Return a receiver that serves two APIs over one journal."""
    toy = _Toy(shop)
    toy.session = VippsSession(KEYS, transport=ScriptedTransport(), journal=journal)
    async with toy.session, toy.receiver.serving(toy.session):
        yield toy


async def test_another_api_is_received_like_ecom(toy: _Toy, shop: Shop, journal: MemoryJournal) -> None:
    """Events of both are journalled, handled, redelivered after a failure, and known again as duplicates."""
    assert (await toy.send()).status == 200
    headers = {"Authorization": TOKEN}
    reply = await toy.receiver.handle("POST", "/vipps/v2/payments/acme-1", headers, as_body(REGULAR))
    assert reply.status == 200
    await until(lambda: toy.receiver.counts.handled == 2)
    await journal.flush()
    assert (await toy.send()).status == 200
    assert [(event.payment, event.name, event.is_redelivered) for event in toy.events] == [
        ("acme-ref-1", "CAPTURED", False),
        ("acme-ref-1", "CAPTURED", True),
    ]
    assert [event.order_id for event in shop.payments] == ["acme-1"]
    assert toy.woken == ["acme-ref-1"] * 2
    assert toy.receiver.counts.duplicates == 1


async def test_recovery_leaves_events_alone(toy: _Toy, journal: MemoryJournal) -> None:
    """An open event of any API is the receiver's: recovery of payments neither sends nor reports it."""
    toy.failures = 1_000
    await toy.send()
    await until(lambda: toy.receiver.counts.failed)
    report = await toy.session.recover()
    assert (report.proven, report.sent_again, report.stays_open) == (0, 0, 0)
    assert [entry.intent.name async for entry in journal.open_entries()] == ["toy.callback"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"Webhook-Id": "two", "Signature": sign("second secret", BODY)}, 200),
        ({"Webhook-Id": "two"}, 401),
        ({"Webhook-Id": "three"}, 401),
        ({"Signature": ""}, 401),
        ({"Signature": sign("first secret", BODY + b" ")}, 401),
    ],
)
async def test_a_signed_body(toy: _Toy, changes: dict[str, str], status: int) -> None:
    """A source may authenticate by the raw body, with the secret that a header picks."""
    toy.failures = 0
    assert (await toy.send(changes)).status == status
    assert toy.receiver.counts.invalid == (status == 401)


async def test_requests_are_told_apart_by_path(toy: _Toy) -> None:
    """Each source is asked for its own paths only, and each method is the source's own."""
    for method, path, status in (
        ("GET", "/toy-hooks", 405),
        ("POST", "/toy-hook", 404),
        ("POST", "/v2/payments/a", 401),
    ):
        assert (path, (await toy.receiver.handle(method, path, {}, BODY)).status) == (path, status)


def test_two_sources_of_one_kind(shop: Shop) -> None:
    """Two sources that write the same entries could not tell them apart, and are refused."""
    hooks: Any = _Toy(shop).hooks
    with pytest.raises(InvalidInputError, match="sources"):
        Receiver(hooks, hooks)


def test_the_engine_knows_no_api() -> None:
    """Only the package's front door names eCom: the modules behind it import nothing of any API."""
    folder = Path(vipps_async.receiver.__file__).parent
    for path in folder.glob("_[a-z]*.py"):
        imported = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        assert not [name for name in imported if name and name.startswith(("vipps_async.ecom", "vipps_async.epayment"))]

"""What journal tests are made of: intents, settlements, and the stores to try them on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from vipps_async import AcquireResult, Entry, Intent, Journal, Outcome, Settlement

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
MSN = "123456"

#: Seconds that no test takes.
LONG = 3600.0


@frozen(kw_only=True)
class Shelf:
    """One place to keep a journal in, and how to open another journal on it."""

    name: str
    make: Callable[[], Any]
    #: Whether two journals can be open on it at once.
    shared: bool = False

    async def opened(self) -> Any:
        """Make a journal here and open it."""
        journal = self.make()
        await journal.open()
        return journal


def intent(number: int = 1, **changes: Any) -> Intent:
    """An intent whose every part follows from its number, but for the changes."""
    body = f'{{"transaction":{{"amount":{number + 100}}}}}'.encode()
    whole = Intent(
        key=f"key-{number:06d}",
        api="ecom",
        operation="capture",
        payment=f"acme-{number}",
        merchant_serial_number=MSN,
        amount=number + 100,
        currency="NOK",
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        created_at=MOMENT + timedelta(microseconds=number),
    )
    return evolve(whole, **changes)


def settlement(outcome: Outcome = Outcome.DONE, answer: bytes = b'{"orderId":"acme-1"}') -> Settlement:
    """A settlement at a fixed time."""
    return Settlement(outcome=outcome, answer=answer, settled_at=MOMENT + timedelta(seconds=2))


async def begin_all(
    journal: Journal, intents: Sequence[Intent], *, owner: str, lease: float
) -> list[tuple[AcquireResult, Entry]]:
    """Begin intents at once, and so in few commits; the answers in their order."""
    return await asyncio.gather(*(journal.begin(one, owner=owner, lease=lease) for one in intents))


async def all_open(journal: Journal, **filters: Any) -> list[Entry]:
    """Everything that `open_entries` gives."""
    return [entry async for entry in journal.open_entries(**filters)]


async def all_recent(journal: Journal, **filters: Any) -> list[Entry]:
    """Everything that `recent_entries` gives."""
    return [entry async for entry in journal.recent_entries(**filters)]


async def only(journal: Journal, wanted: Intent) -> Entry:
    """The one entry of the intent's order."""
    (entry,) = await journal.find(payment=wanted.payment, merchant_serial_number=wanted.merchant_serial_number)
    return entry

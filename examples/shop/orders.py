"""The shop's own orders, in one SQLite file. What was paid is not known here, only what Vipps last confirmed."""

from __future__ import annotations

import asyncio
import enum
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import asdict, evolve, field, frozen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, amount INTEGER NOT NULL, attempt INTEGER NOT NULL,
    api TEXT NOT NULL,
    begun_at REAL NOT NULL, state INTEGER NOT NULL, reserved INTEGER, ship_to TEXT, customer_id TEXT
)
"""


class Kind(enum.StrEnum):
    """How the customer buys."""

    REGULAR = "regular"
    #: Express checkout with the same ways of shipping for everybody.
    STATIC = "static"
    #: Express checkout with ways of shipping that depend on the address.
    DYNAMIC = "dynamic"


class Api(enum.StrEnum):
    """Which API of Vipps has made a payment."""

    ECOM = "ecom"
    EPAYMENT = "epayment"


class State(enum.IntEnum):
    """Where an order stands. News may arrive in any order, so a higher state never gives way to a lower one."""

    WAITING = 0
    #: The bank said no. The customer may still succeed with another card.
    REFUSED = 1
    #: The customer has accepted: the money is reserved.
    ACCEPTED = 2
    #: Declined, timed out or cancelled: nothing was paid, and nothing will be.
    ENDED = 3


@frozen(kw_only=True)
class Order:
    """One order. Its id is long and random: who has the link may see how the order stands, and nobody else."""

    id: str
    kind: Kind = field(converter=Kind)
    #: In øre, without shipping.
    amount: int
    #: Vipps takes an order id once only, so a new attempt at the same order has a new suffix.
    attempt: int = 1
    #: By which API this attempt was begun: its money is moved by the same one.
    api: Api = field(default=Api.ECOM, converter=Api)
    #: When this attempt was begun, in seconds since 1970.
    begun_at: float = field(factory=time.time)
    state: State = field(default=State.WAITING, converter=State)
    #: What the customer accepted, in øre: in express checkout Vipps has added the shipping. None: nothing yet.
    reserved: int | None = None
    #: Name, address and way of shipping of an express customer.
    ship_to: str | None = field(default=None, repr=False)
    #: Who that is to Vipps, who may ask to have it forgotten.
    customer_id: str | None = field(default=None, repr=False)

    @property
    def payment_id(self) -> str:
        """The order id at Vipps."""
        return f"{self.id}-{self.attempt}"


class Orders:
    """The orders. SQLite waits for the disk, so every statement runs in a thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    async def add(self, order: Order) -> None:
        """Keep a new order."""
        columns = asdict(order)
        marks = ", ".join(f":{name}" for name in columns)
        await self._execute(f"INSERT INTO orders ({', '.join(columns)}) VALUES ({marks})", columns)  # noqa: S608 - names of our own

    async def get(self, order_id: str) -> Order | None:
        """Return an order; None: there is none."""
        found = await self._read("WHERE id = :id", {"id": order_id})
        return found[0] if found else None

    async def newest(self, count: int = 50) -> list[Order]:
        """Return the newest orders."""
        return await self._read("ORDER BY begun_at DESC LIMIT :count", {"count": count})

    async def waiting(self) -> list[Order]:
        """Return the orders whose customer may still pay, oldest first."""
        return await self._read("WHERE state < :state ORDER BY begun_at", {"state": State.ACCEPTED})

    async def settle(
        self,
        order: Order,
        state: State,
        *,
        reserved: int | None = None,
        ship_to: str | None = None,
        customer_id: str | None = None,
    ) -> None:
        """Note how an attempt stands, unless something more final is known, or a newer attempt has begun."""
        await self._execute(
            # Personal data is written once, with the acceptance: what was forgotten since must not come back.
            "UPDATE orders SET state = :state, reserved = :reserved,"
            " ship_to = CASE :state WHEN :accepted THEN :ship_to ELSE ship_to END,"
            " customer_id = CASE :state WHEN :accepted THEN :customer_id ELSE customer_id END"
            " WHERE id = :id AND attempt = :attempt AND state < :state",
            {
                "id": order.id,
                "attempt": order.attempt,
                "state": state,
                "accepted": State.ACCEPTED,
                "reserved": reserved,
                "ship_to": ship_to,
                "customer_id": customer_id,
            },
        )

    async def begin_again(self, order: Order, api: Api) -> Order | None:
        """Begin a new attempt by an API; None: somebody else has begun one, by a second click for example."""
        again = evolve(order, attempt=order.attempt + 1, api=api, begun_at=time.time(), state=State.WAITING)
        _, changed = await self._execute(
            "UPDATE orders SET attempt = :attempt, api = :api, begun_at = :begun_at, state = :state"
            " WHERE id = :id AND attempt = :attempt - 1",
            asdict(again),
        )
        return again if changed else None

    async def forget_customer(self, customer_id: str) -> None:
        """Delete what is known of a customer."""
        sql = "UPDATE orders SET ship_to = NULL, customer_id = NULL WHERE customer_id = :customer_id"
        await self._execute(sql, {"customer_id": customer_id})

    async def _read(self, which: str, values: Mapping[str, object]) -> list[Order]:
        rows, _ = await self._execute(f"SELECT * FROM orders {which}", values)  # noqa: S608 - texts of our own
        return [Order(**dict(row)) for row in rows]

    async def _execute(self, sql: str, values: Mapping[str, object]) -> tuple[list[sqlite3.Row], int]:
        def execute() -> tuple[list[sqlite3.Row], int]:
            with self._lock:
                cursor = self._db.execute(sql, values)
                return cursor.fetchall(), cursor.rowcount

        return await asyncio.to_thread(execute)

"""Keeps orders, registered webhooks and the clock in a SQLite file: written off the event loop, whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import orjson
from cattrs import BaseValidationError, Converter

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.entries import Seen
from vipps_async.sandbox.ledger.orders import Order, OrderBook
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import SandboxStateError
from vipps_async.sandbox.ledger.registrations import Registration, Registrations

_LOG = logging.getLogger("vipps_async.sandbox")
T = TypeVar("T")

#: Marks the file as one of ours: "vips" in ASCII.
APPLICATION_ID = 0x76697073
#: The layout of the file. A file with another one is left alone.
VERSION = 5
#: Only the owner may read it: it holds the shops' callback tokens and webhook secrets.
_MODE = 0o600
_LAYOUT = (
    # The number keeps the order in which they came.
    """CREATE TABLE orders (
        number INTEGER PRIMARY KEY, sales_unit TEXT NOT NULL, reference TEXT NOT NULL, data BLOB NOT NULL,
        UNIQUE (sales_unit, reference)
    ) STRICT""",
    "CREATE TABLE registrations (number INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT",
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_PUT_ORDER = (
    "INSERT INTO orders (sales_unit, reference, data) VALUES (?, ?, ?) "
    "ON CONFLICT (sales_unit, reference) DO UPDATE SET data = excluded.data"
)
_PUT_REGISTRATION = "INSERT INTO registrations (data) VALUES (?)"
_PUT_SETTING = "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

#: Sales unit, order id, the order.
Row = tuple[str, str, bytes]


class StateFile:
    """The state of a sandbox over restarts: orders with history and idempotency answers, webhooks, the clock.

    One transaction holds all that has changed since the last one. What is committed survives the end of the process,
    however it ends; a power failure may take the last moments, as nobody's money hangs on them.

    Args:
        path: the file; it is made if there is none.
        book: the sandbox's orders.
        registrations: its registered webhooks.
        clock: its clock.
    """

    def __init__(self, path: Path, book: OrderBook, registrations: Registrations, clock: SandboxClock) -> None:
        self._path = path
        self._book = book
        self._registrations = registrations
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        #: By identity, in the order of their first change.
        self._changed: dict[int, Order] = {}
        self._settings_changed = False
        #: One writes at a time, all that has changed by then.
        self._writing = asyncio.Lock()
        #: Whether what the file held is in the book.
        self._read = False

    @property
    def pending(self) -> bool:
        """Whether something is not written yet."""
        return self._writing.locked() or self._settings_changed or bool(self._changed)

    def note(self, order: Order | None) -> None:
        """Remember that an order, or else the clock and the webhooks, have to be written."""
        if order is None:
            self._settings_changed = True
        else:
            self._changed[id(order)] = order

    async def open(self) -> list[Order]:
        """Open the file; return the orders that it gave the book, which it does once.

        Raises:
            SandboxStateError: it is damaged, of another version or program, in use, or cannot be written. It stays
                as it is.
        """
        self._writing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vipps sandbox state")
        try:
            orders, registrations, settings = await self._off_the_loop(self._open_file)
        except BaseException:
            await self._close_file()
            raise
        if self._read:
            # Started again: the book knows better than the file.
            for order in self._book:
                self.note(order)
            self.note(None)
            orders, registrations = [], []
        for order in orders:
            self._book.add(order)
        for registration in registrations:
            self._registrations.add(registration)
        self._read = True
        self._book.next_transaction = max(self._book.next_transaction, settings.get("next_transaction", 0))
        self._book.instance = settings.get("instance", self._book.instance)
        ahead = timedelta(microseconds=settings.get("clock_offset", 0)) - self._clock.offset
        if ahead > timedelta(0):
            self._clock.advance(ahead)
        return orders

    async def settled(self) -> None:
        """Wait until all that has changed so far is written; who comes first writes it for all who wait.

        Raises:
            SandboxStateError: it cannot be written. It is kept for the next attempt.
        """
        if self._connection is None or not self.pending:
            return
        async with self._writing:
            changed, self._changed = self._changed, {}
            settings_changed, self._settings_changed = self._settings_changed, False
            if not (changed or settings_changed):
                return
            try:
                # Made into bytes here and now, so that all that is written together belongs together.
                rows = [
                    (order.payment.sales_unit, order.payment.reference, written_order(order))
                    for order in changed.values()
                ]
                settings = {
                    "instance": self._book.instance,
                    "next_transaction": self._book.next_transaction,
                    "clock_offset": self._clock.offset // timedelta(microseconds=1),
                }
                registrations = [(orjson.dumps(one),) for one in self._registrations] if settings_changed else None
                await self._off_the_loop(partial(self._commit, self._connection, rows, registrations, settings))
            except BaseException as error:
                self._changed = changed | self._changed
                self._settings_changed |= settings_changed
                if isinstance(error, SandboxStateError):
                    _LOG.error("%s", error)
                raise

    async def aclose(self) -> None:
        """Write what is left, and close the file.

        Raises:
            SandboxStateError: it cannot be written.
        """
        try:
            await self.settled()
        finally:
            await self._close_file()

    # -- in the thread -----------------------------------------------------------------------------------------------

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.OperationalError as error:
            reason = str(error)
            if "locked" in reason:
                reason = "another process uses it"
            raise SandboxStateError(f"{self._path}: cannot be used as state: {reason}") from error
        except sqlite3.DatabaseError as error:
            raise SandboxStateError(f"{self._path}: damaged, or no state of a sandbox: {error}") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise SandboxStateError(f"{self._path}: cannot be used as state: {reason}") from error

    async def _close_file(self) -> None:
        thread, self._thread = self._thread, None
        connection, self._connection = self._connection, None
        if thread is None:
            return
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(thread, connection.close)
        thread.shutdown(wait=False)

    def _open_file(self) -> tuple[list[Order], list[Registration], dict[str, int]]:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
        # Waits for nobody: a file in use is somebody else's sandbox.
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        self._connection = connection
        self._check(connection)
        # Exclusive, so that two sandboxes never write one file.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        if _number(connection, "PRAGMA user_version") == 0:
            for statement in _LAYOUT:
                connection.execute(statement)
        orders = []
        for sales_unit, reference, data in connection.execute(
            "SELECT sales_unit, reference, data FROM orders ORDER BY number"
        ):
            try:
                orders.append(read_order(data, self._book.new_transaction_id))
            except UnreadableOrderError as error:
                raise SandboxStateError(
                    f"{self._path}: damaged: order {reference!r} of sales unit {sales_unit!r} cannot be read ({error})"
                ) from error
        try:
            registrations = [
                _CONVERTER.structure(orjson.loads(data), Registration)
                for (data,) in connection.execute("SELECT data FROM registrations ORDER BY number")
            ]
        except _UNREADABLE as error:
            reason = type(error).__name__
            raise SandboxStateError(f"{self._path}: damaged: a registered webhook cannot be read ({reason})") from None
        settings: dict[str, int] = dict(connection.execute("SELECT name, value FROM settings"))
        connection.execute("COMMIT")
        return orders, registrations, settings

    def _check(self, connection: sqlite3.Connection) -> None:
        tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
        application = _number(connection, "PRAGMA application_id")
        version = _number(connection, "PRAGMA user_version")
        if not tables and not application and not version:
            return
        if application != APPLICATION_ID:
            raise SandboxStateError(f"{self._path}: this SQLite file belongs to another program")
        if version != VERSION:
            age = "a newer" if version > VERSION else "an older"
            raise SandboxStateError(
                f"{self._path}: written by {age} sandbox (layout {version}, this one knows {VERSION})"
            )
        (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise SandboxStateError(f"{self._path}: damaged: {health}")

    def _commit(
        self,
        connection: sqlite3.Connection,
        rows: list[Row],
        registrations: list[tuple[bytes]] | None,
        settings: dict[str, int],
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_PUT_ORDER, rows)
            if registrations is not None:
                connection.execute("DELETE FROM registrations")
                connection.executemany(_PUT_REGISTRATION, registrations)
            connection.executemany(_PUT_SETTING, settings.items())
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")


def _number(connection: sqlite3.Connection, statement: str) -> int:
    (value,) = connection.execute(statement).fetchone()
    return int(value)


# -- orders as bytes and back ----------------------------------------------------------------------------------------

_CONVERTER = Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
#: What reading bytes fails with that are no such record.
_UNREADABLE = (BaseValidationError, ValueError, LookupError, TypeError, AttributeError)

#: Field → type, but for what is not kept as it is.
_PAYMENT = {name: kind for name, kind in get_type_hints(Payment).items() if name not in {"new_transaction_id", "seen"}}
_ORDER = {name: kind for name, kind in get_type_hints(Order).items() if name != "payment"}


class UnreadableOrderError(Exception):
    """The bytes are no order. The text names what is wrong, and nothing that is personal."""


def written_order(order: Order) -> bytes:
    """Return an order as bytes, as it is now."""
    payment = order.payment
    return orjson.dumps(
        {
            "payment": {name: getattr(payment, name) for name in _PAYMENT},
            "seen": [[*which, seen] for which, seen in payment.seen.items()],
            "order": {name: getattr(order, name) for name in _ORDER},
        },
        default=_list,
    )


def _list(value: object) -> list[str]:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"cannot be kept: {type(value).__name__}")


def read_order(data: bytes, new_transaction_id: Callable[[], str]) -> Order:
    """Return the order that was written so.

    Raises:
        UnreadableOrderError: these bytes are no such order.
    """
    try:
        record: dict[str, Any] = orjson.loads(data)
        payment = Payment(
            new_transaction_id=new_transaction_id,
            seen={
                (str(operation), str(key)): _CONVERTER.structure(seen, Seen) for operation, key, seen in record["seen"]
            },
            **_fields(record["payment"], _PAYMENT),
        )
        return Order(payment=payment, **_fields(record["order"], _ORDER))
    except _UNREADABLE as error:
        # Not the error's own text: it repeats values.
        raise UnreadableOrderError(type(error).__name__) from None


def _fields(record: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    if record.keys() != kinds.keys():
        raise LookupError("other fields")
    return {name: _CONVERTER.structure(record[name], kind) for name, kind in kinds.items()}

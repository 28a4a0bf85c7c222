"""Runs the store of a journal file in one thread, in the order of requests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from vipps_async.errors import JournalError
from vipps_async.journals.entries import World
from vipps_async.journals.group_commit import Row, WriteCondition
from vipps_async.journals.rules import Command, CommandResult
from vipps_async.journals.sqlite.store import SqliteStore

T = TypeVar("T")

#: What the thread is asked for: what to do with the open file, and who waits for the result. None: to end.
_Job = tuple[Callable[[SqliteStore], Any], "asyncio.Future[Any]"]


class SqliteThread:
    """A `Store` in a file, which only this thread touches.

    It is a daemon thread: after a crash of the main thread nothing waits for it. What it had not committed by then
    was not acknowledged either.
    """

    #: Longer than a slow disk's longest pause, shorter than a person's patience.
    close_patience: float = 30.0

    def __init__(self, path: Path, *, clock: Callable[[], datetime], check: bool, trusted_owner: int | None) -> None:
        self._path = path
        self._open_file = functools.partial(
            SqliteStore.opened, path, clock=clock, check=check, trusted_owner=trusted_owner
        )
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=f"vipps-journal {path.name}", daemon=True)

    async def open(self) -> None:
        """Open the file in a new thread; one whose opening is given up closes it again by itself."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            self._stop()
            raise

    async def commit(
        self, commands: Sequence[Command], conditions: Sequence[WriteCondition | None]
    ) -> list[CommandResult]:
        """See `Store`; a file has one writer, so that no condition is needed."""
        del conditions
        return await self._do(lambda file: file.commit(commands))

    async def newest_position(self) -> int:
        """See `Store`."""
        return await self._do(SqliteStore.newest_position)

    async def open_page(self, after: int, upto: int) -> list[Row]:
        """See `Store`."""
        return await self._do(lambda file: file.open_page(after, upto))

    async def recent_page(self, before: int) -> list[Row]:
        """See `Store`."""
        return await self._do(lambda file: file.recent_page(before))

    async def of_payment(self, payment: str, merchant_serial_number: str) -> list[Row]:
        """See `Store`."""
        return await self._do(lambda file: file.of_payment(payment, merchant_serial_number))

    async def delete(self, positions: Sequence[int], *, also_open: bool) -> int:
        """See `Store`."""
        return await self._do(lambda file: file.delete(positions, also_open=also_open))

    async def world(self) -> World | None:
        """See `Store`."""
        return await self._do(SqliteStore.world)

    async def bind(self, world: World, *, anew: bool) -> None:
        """See `Store`."""
        await self._do(lambda file: file.bind(world, anew=anew))

    async def back_up(self, target: Path) -> None:
        """Copy the file as it is now; see `SqliteStore.back_up`."""
        await self._do(lambda file: file.back_up(target))

    async def close(self) -> None:
        """See `Store`."""
        self._stop()
        await asyncio.shield(self._ended)
        # At most some instructions away.
        self._thread.join()

    def abandon(self, *, wait: bool) -> None:
        """See `Store`."""
        self._stop()
        if wait and self._thread.ident is not None:
            self._thread.join()

    def _stop(self) -> None:
        self._is_stopping = True
        self._jobs.put(None)

    async def _do(self, act: Callable[[SqliteStore], T]) -> T:
        if self._is_stopping:
            raise JournalError(f"the journal {self._path} is closed", advice="open it first")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((act, future))
        return await future

    def _run(self) -> None:
        try:
            with self._open_file() as file:
                self._tell(self._opened, None)
                while (job := self._jobs.get()) is not None:
                    act, future = job
                    try:
                        result = act(file)
                    except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
                        self._tell(future, None, error)
                    else:
                        self._tell(future, result)
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            self._tell(self._opened, None, error)
        finally:
            self._tell(self._ended, None)

    def _tell(self, future: asyncio.Future[T], result: T, error: Exception | None = None) -> None:
        # The loop may be closed already, if the journal never was: then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_resolve, future, result, error)


def _resolve(future: asyncio.Future[T], result: T, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)

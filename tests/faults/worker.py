"""A worker that recovers and then captures, until it is killed; and the process that forks workers, to have them soon.

Whatever a worker does it says first: "ask 7" before it asks for capture 7, "done 7" after; "in" and "out" when the
operation that it is killed for enters and leaves its phase. One line is one write to the pipe, so a kill cuts none in
half.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from tests.event_loop import use_chosen_loop
from tests.faults.apis import APIS
from tests.faults.audit import Asked, told_by_error
from tests.faults.broken import BROKEN
from tests.faults.phases import RECOVERY, Phase, PhasedTransport, PhaseWatch, watch_journal
from tests.faults.plan import Kind
from tests.short_waits import shorten_waits
from vipps_async import (
    AiohttpTransport,
    Credentials,
    Journal,
    PostgresJournal,
    RetryPolicy,
    SqliteJournal,
    Timeouts,
    VippsError,
    VippsSession,
)
from vipps_async.session_parts import SessionParts

#: What a session would load when it is made: here it is loaded once, before the forks.
LOADED = (SessionParts, AiohttpTransport)

__all__ = ["CREDENTIALS", "RETRY", "TIMEOUTS", "journal_at"]

CREDENTIALS = Credentials(
    client_id="worker-client",
    client_secret="worker-secret",
    subscription_key="worker-key",
    merchant_serial_number="123456",
)
#: Short: a dead worker's leases run out after one and a half deadlines where no file lock tells that it is dead.
RETRY = RetryPolicy(
    attempts=4, deadline=1.0, base=0.005, throttled_base=0.01, cap=0.05, budget=100_000, retry_cost=1, throttled_cost=1
)
TIMEOUTS = Timeouts(connect=0.3, read=0.3, total=0.5)
#: Captures in work at the same time.
_CONCURRENT = 16
#: Seconds between two recoveries of a worker that is to be killed in one.
_BETWEEN_RECOVERIES = 0.1
#: How often the forking process looks for dead workers while one lives, in seconds.
_LOOK = 0.003


def journal_at(place: str) -> Journal:
    """Make the journal that a place names: a file, or ``schema@dsn``."""
    if "@" in place:
        schema, _, dsn = place.partition("@")
        return PostgresJournal(dsn, schema=schema)
    return SqliteJournal(place)


def _say(*what: object) -> None:
    # The descriptor itself: no buffer that dies with the process, and one write a line.
    os.write(1, orjson.dumps(what) + b"\n")


async def _live(
    *, life: int, url: str, place: str, asks: list[tuple[int, str, int, str, str]], phase: str, skip: int, held: str
) -> None:
    watch = PhaseWatch(Phase[phase], skip, held, partial(_say, life))
    journal = journal_at(place)
    watch_journal(journal, watch)
    transport = PhasedTransport(AiohttpTransport(), watch)
    opening = watch.enter(Phase.OPENING)
    async with VippsSession(
        CREDENTIALS, base_url=url, journal=journal, transport=transport, retry=RETRY, timeouts=TIMEOUTS
    ) as vipps:
        if opening:
            _say(life, "out")
        report = await vipps.recover(concurrency=_CONCURRENT)
        while report.leased_elsewhere and not watch.entered and watch.phase in RECOVERY:
            # What the dead ones before had leased is free when their leases run out.
            await asyncio.sleep(_BETWEEN_RECOVERIES)
            report = await vipps.recover(concurrency=_CONCURRENT)
        watch.recovering = False
        _say(life, "recovered")
        waiting = iter(asks)
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENT):
                group.create_task(_capture(life, vipps, waiting, journal, watch))
    await transport.aclose()


async def _capture(
    life: int,
    vipps: VippsSession,
    waiting: Iterator[tuple[int, str, int, str, str]],
    journal: Journal,
    watch: PhaseWatch,
) -> None:
    for number, order_id, amount, key, api in waiting:
        _say(life, "ask", number)
        asked = Asked(order_id=order_id, operation="capture", text=f"capture {number}", key=key, amount=amount)
        try:
            result = await APIS[api].call(vipps, Kind.CAPTURE, asked)()
        except VippsError as error:
            _say(life, told_by_error(error).verdict.value, number)
        else:
            if watch.phase is Phase.TOLD and not watch.entered:
                await journal.flush()
                await watch.point(Phase.TOLD)
            _say(life, "done", number, APIS[api].moved(result))


def _forked(command: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_live(**command))
        except BaseException as error:
            _say(command["life"], "failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            os._exit(0)
    return child


def main() -> None:
    """Take orders from the parent: start a worker, kill a worker; tell it which ones are dead."""
    workers: dict[int, int] = {}
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK if workers else None)
        if ready:
            read = os.read(0, 1 << 20)
            if not read:
                # The parent is gone.
                for child in workers:
                    os.kill(child, signal.SIGKILL)
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                _obey(orjson.loads(line), workers)
        for child in list(workers):
            dead, status = os.waitpid(child, os.WNOHANG)
            if dead:
                _say(workers.pop(child), "dead", os.waitstatus_to_exitcode(status))


def _obey(command: dict[str, Any], workers: dict[int, int]) -> None:
    if "kill" not in command:
        workers[_forked(command)] = command["life"]
        return
    # Only those that are not waited for yet: their process ids cannot belong to anybody else.
    for child, life in workers.items():
        if life == command["kill"]:
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    use_chosen_loop()
    # A `Retry-After` that makes no sense holds a recovery for a minute: longer than most of these live.
    shorten_waits(setattr, batches=False)
    for rule in sys.argv[1:]:
        BROKEN[rule](setattr)
    with contextlib.suppress(KeyboardInterrupt):
        main()
    sys.exit(0)

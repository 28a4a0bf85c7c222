"""Kills workers in each phase of their work, and holds journal, sandbox and what was asked against each other."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import orjson
from attrs import define, evolve, field

from tests.faults.apis import APIS, FAILING
from tests.faults.audit import Asked, Audit, Paid, Told, Verdict, audit, noted_in
from tests.faults.horizon import SETTLE_AFTER, MovableClock, horizon_settings
from tests.faults.phases import Phase
from tests.faults.plan import TRADES
from tests.faults.sandbox_process import short_faults
from tests.faults.storm import recover_all
from tests.faults.worker import CREDENTIALS, RETRY, TIMEOUTS, journal_at
from vipps_async import VippsSession
from vipps_async.idempotency_keys import derive_idempotency_key
from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.wire.fault import HELD, Fault

__all__ = ["ELSEWHERE", "KillReport", "run_kills"]

_ROOT = Path(__file__).parents[2]
#: Longer than any life, in seconds.
_PATIENCE = 60.0
#: Captures that a worker is given: more than it gets done before it is killed, mostly.
_A_LIFE = 60
#: Captures of one order, and its amount in øre.
_PARTS, _AMOUNT = 4, 100_000
#: What fails for a worker. Refused connections would hit the parent's own too.
_KINDS = tuple(fault for fault in Fault if fault not in {Fault.CONNECTION_REFUSED, Fault.OTHER_AMOUNT_MOVED})
#: How long after an operation enters its phase its worker is killed at most, in seconds.
_PAUSES = (0.0, 0.002, 0.01)
#: How long a worker may take until an operation enters the phase, in seconds; then it is killed where it is.
_LONGEST_LIFE = 3.0
#: How many operations pass a phase before one is killed in it, at most: in those that few operations pass, and else.
_SKIPS_OF_FEW, _SKIPS = 2, 40
_FEW = frozenset({Phase.OPENING, Phase.RECOVERY_ASKING, Phase.RECOVERY_SENDING, Phase.LOOKING})
#: Seconds by which the sandbox's clock is moved on between two lives and in them: what is held is delivered meanwhile.
_ADVANCES = (0.0, 0.0, 2.0, 30.0, 700.0)
#: Where a kill is counted that came when the operation had left its phase, or never entered it.
ELSEWHERE = "elsewhere"
#: In one life of so many, all that fails is held and delivered late.
_LATE = 3
#: Lives for each kill, at most: some end by themselves.
_MOST_LIVES = 10


@define(kw_only=True)
class KillReport:
    """What a series of kills prints."""

    audit: Audit
    #: The phase that an operation was in when its worker was killed, or `ELSEWHERE` → how many workers.
    kills: Counter[str] = field(factory=Counter)
    #: Lives that ended by themselves before the kill came.
    survived: int = 0
    told: Counter[str] = field(factory=Counter)
    faults: Mapping[str, int] = field(factory=dict)
    settled: Counter[str] = field(factory=Counter)
    #: Requests that were held, and how many of them still were when the last worker was dead.
    held: int = 0
    held_at_end: int = 0
    captured: int = 0
    seconds: float = 0.0
    journal: str = ""
    api: str = ""
    seed: int = 0

    @property
    def failed(self) -> bool:
        """Whether money did not do what it should have done."""
        return bool(self.audit.violations + self.audit.open + self.audit.unknown)

    def lines(self) -> Iterator[str]:
        """Write it for people."""
        found = self.audit
        yield f"kills over {self.api} with seed {self.seed}, journal {self.journal}"
        yield f"  kills               {self.kills.total()}; {self.survived} lives ended before"
        yield from (f"    {self.kills[where]:5} {where}" for where in (*(phase.value for phase in Phase), ELSEWHERE))
        yield f"  operations          {_counted(found.asked)}"
        yield f"  faults              {_counted(self.faults)}"
        yield f"  delivered late      {self.held}, {self.held_at_end} of them after the last kill"
        yield f"  told                {_counted(self.told)}"
        yield f"  last recovery       {_counted(self.settled)}"
        yield f"  captured            {self.captured} øre"
        yield f"  moved twice         {found.moved_twice}"
        yield f"  lost                {found.lost}"
        yield f"  told untruly        {found.told_untruly}"
        yield f"  wrong amounts       {found.wrong_amounts}"
        yield f"  lies believed       {found.lies_believed}"
        yield f"  unknown at the end  {found.unknown}"
        yield f"  open after recovery {found.open}"
        yield f"  seconds             {self.seconds:.1f}"
        yield from (f"  ! {words}" for words in found.words)


def _counted(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())} ({', '.join(f'{name} {count}' for name, count in sorted(counts.items()))})"


@define
class _Life:
    """What one worker has said."""

    number: int
    #: Whether the operation that it is killed for is in its phase.
    inside: bool = False
    begun: list[int] = field(factory=list)
    told: dict[int, Told] = field(factory=dict)
    #: The operation has entered the phase, or never will.
    reached: asyncio.Event = field(factory=asyncio.Event)
    dead: asyncio.Event = field(factory=asyncio.Event)
    exit_code: int = 0
    failure: str = ""


class _Nursery:
    """The process that forks workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lives: dict[int, _Life] = {}
        self._reader = asyncio.create_task(self._listen())

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, *broken: str) -> AsyncIterator[_Nursery]:
        """Start it, with rules broken on purpose, and end it with all its workers at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.worker",
            *broken,
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        nursery = cls(process)
        try:
            yield nursery
        finally:
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(_PATIENCE):
                await process.wait()
                await nursery._reader

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            number, what, *more = orjson.loads(line)
            life = self._lives[number]
            match what, *more:
                case ("in",):
                    life.inside = True
                    life.reached.set()
                case ("out",):
                    life.inside = False
                case ("recovered",):
                    pass
                case "ask", ask:
                    life.begun.append(ask)
                case "done", ask, amount:
                    life.told[ask] = Told(Verdict.DONE, amount)
                case "failed", why:
                    life.failure = why
                case "dead", exit_code:
                    life.exit_code = exit_code
                    life.reached.set()
                    life.dead.set()
                case verdict, ask:
                    life.told[ask] = Told(Verdict(verdict))

    def _send(self, command: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(command) + b"\n")

    def start(
        self, number: int, url: str, place: str, asks: list[tuple[int, str, int, str, str]], **phase: str | int
    ) -> _Life:
        """Let a worker be born; `phase`, `skip` and `held` say where it is to be killed, see `PhaseWatch`."""
        life = self._lives[number] = _Life(number)
        self._send({"life": number, "url": url, "place": place, "asks": asks, **phase})
        return life

    async def kill(self, life: _Life) -> None:
        """Kill it, and wait until it is dead."""
        self._send({"kill": life.number})
        async with asyncio.timeout(_PATIENCE):
            await life.dead.wait()


@define
class _Work:
    """What there is to do: orders with captures, made as they are needed."""

    seed: int
    sandbox: SandboxServer
    vipps: VippsSession
    random: Random
    #: What is traded over, one of `TRADES`.
    api: str
    asked: dict[int, Asked] = field(factory=dict)
    waiting: deque[int] = field(factory=deque)
    #: What this round of kills still has to come to, of these.
    phases: tuple[Phase, ...] = tuple(Phase)
    turns: deque[Phase] = field(factory=deque)

    def next_phase(self) -> Phase:
        """Take the phase to kill in next: each of them, in any order, before the next round begins."""
        if not self.turns:
            self.turns.extend(self.random.sample(self.phases, len(self.phases)))
        return self.turns.popleft()

    def let_time_pass(self) -> None:
        """Move the sandbox's clock on, or not."""
        self.sandbox.clock.advance(self.random.choice(_ADVANCES))

    async def for_a_life(self) -> list[tuple[int, str, int, str, str]]:
        """Take what the next worker shall do."""
        while len(self.waiting) < _A_LIFE:
            await self._add_order()
        asks = [self.asked[self.waiting.popleft()] for _ in range(_A_LIFE)]
        return [(int(ask.text.split()[1]), ask.order_id, ask.amount or 0, ask.key or "", ask.api) for ask in asks]

    async def _add_order(self) -> None:
        first = len(self.asked) + 1
        order_id = f"kill-{self.seed}-{first}"
        made_by, apis = self.random.choice(TRADES[self.api])
        await APIS[made_by].create(self.vipps, order_id, _AMOUNT, "An order.", "http://127.0.0.1:9/merchant")
        await self.sandbox.approve(order_id)
        for number in range(first, first + _PARTS):
            self.asked[number] = Asked(
                order_id=order_id,
                operation="capture",
                text=f"capture {number}",
                key=derive_idempotency_key("kill", self.seed, number),
                amount=self.random.randint(100, _AMOUNT // _PARTS),
                api=self.random.choice(apis),
            )
            self.waiting.append(number)

    def take_back(self, asks: list[tuple[int, str, int, str, str]], life: _Life) -> None:
        """Note what a dead worker was told; some of what it had begun its successor does again, with the same key."""
        for number in life.begun:
            asked = self.asked[number]
            asked.told.append(evolve(life.told.get(number, Told(Verdict.CANCELLED)), api=asked.api))
        again = [number for number in life.begun if number not in life.told and self.random.random() < 0.5]
        untouched = [ask[0] for ask in asks if ask[0] not in set(life.begun)]
        self.waiting.extendleft(reversed(again + untouched))


async def run_kills(
    *,
    kills: int,
    seed: int,
    rate: float,
    place: str,
    journal_name: str,
    api: str = "ecom",
    broken: tuple[str, ...] = (),
    phases: tuple[Phase, ...] = tuple(Phase),
) -> KillReport:
    """Kill so many workers, one after the other, and say what came of it.

    Args:
        kills: how many.
        seed: what is asked for, what fails, and in which phase of which operation a worker is killed; what its other
            operations are doing then is up to the machine.
        rate: which part of the workers' requests fails, from 0 to 1.
        place: where the journal is; see `journal_at`.
        journal_name: what to call it.
        api: what is captured over, one of `TRADES`.
        broken: rules that the workers break; see `broken.py`.
        phases: where they are killed.

    Raises:
        RuntimeError: a worker failed by itself, or hardly one is ever killed.
    """
    started = time.monotonic()
    random = Random(seed)
    report = KillReport(audit=Audit(), journal=journal_name, api=api, seed=seed)
    async with (
        SandboxServer(rate_limits=False, keep_requests=0, keep_callbacks=0) as sandbox,
        _Nursery.open(*broken) as nursery,
    ):
        short_faults(sandbox)
        sandbox.faults.stall_seconds = 0.5
        async with VippsSession(CREDENTIALS, base_url=sandbox.url) as vipps:
            work = _Work(seed, sandbox, vipps, random, api, phases=phases)
            number = 0
            while report.kills.total() < kills:
                number += 1
                if number > _MOST_LIVES * kills:
                    raise RuntimeError(f"of {number} workers {report.kills.total()} were killed: {report.kills}")
                kinds = HELD if number % _LATE == 0 else _KINDS
                sandbox.faults.randomise(rate=rate, seed=seed + number, operations=FAILING, kinds=kinds)
                await _one_life(number, work, nursery, report, place=place)
        await _last_recovery(sandbox, place, report)
        report.faults = {fault.value: count for fault, count in sandbox.faults.counts.items()}
        report.held = sum(report.faults.get(fault.value, 0) for fault in HELD)
        # Workers do not number their calls, so nobody knows which one moved what.
        snapshots = [Paid.of(snapshot) for snapshot in sandbox.payments]
    payments = [
        evolve(paid, moved=tuple(entry for entry in paid.moved if entry.operation == "CAPTURE")) for paid in snapshots
    ]
    journal = journal_at(place)
    await journal.open()
    noted = await noted_in(journal)
    await journal.aclose()
    asked = [one for one in work.asked.values() if one.told]
    report.audit = audit(asked, payments, noted)
    report.told = Counter(told.verdict.value for one in asked for told in one.told)
    report.captured = sum(payment.captured for payment in payments)
    report.seconds = time.monotonic() - started
    return report


async def _one_life(number: int, work: _Work, nursery: _Nursery, report: KillReport, *, place: str) -> None:
    asks = await work.for_a_life()
    random, phase = work.random, work.next_phase()
    work.let_time_pass()
    skip = 0 if phase is Phase.OPENING else random.randrange(_SKIPS_OF_FEW if phase in _FEW else _SKIPS)
    held = random.choice(("before", "after", "nowhere"))
    life = nursery.start(number, work.sandbox.url, place, asks, phase=phase.name, skip=skip, held=held)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_LIFE):
            await life.reached.wait()
    await asyncio.sleep(random.choice(_PAUSES) * random.random())
    if random.random() < 0.5:
        work.let_time_pass()
    await nursery.kill(life)
    if life.failure:
        raise RuntimeError(f"worker {number} failed: {life.failure}")
    killed, inside = life.exit_code < 0, life.inside
    if killed:
        report.kills[phase.value if inside else ELSEWHERE] += 1
    else:
        report.survived += 1
    if not (killed and inside):
        work.turns.append(phase)
    work.take_back(asks, life)


async def _last_recovery(sandbox: SandboxServer, place: str, report: KillReport) -> None:
    async def calm() -> Any:
        sandbox.faults.clear()

    clock = MovableClock()

    async def pass_horizon() -> None:
        report.held_at_end += sandbox.held
        sandbox.clock.advance(SETTLE_AFTER + 3600.0)
        sandbox.deliver_held()
        clock.move(SETTLE_AFTER + 3600.0)

    async with VippsSession(
        CREDENTIALS,
        base_url=sandbox.url,
        journal=journal_at(place),
        retry=RETRY,
        timeouts=TIMEOUTS,
        **horizon_settings(clock),
    ) as vipps:
        await recover_all(vipps, report.settled, calm=calm, pass_horizon=pass_horizon, clock=clock)

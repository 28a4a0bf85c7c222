"""A sandbox in a process of its own, driven by lines of JSON: storm and sandbox then have a core each."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from attrs import astuple

from tests.event_loop import use_chosen_loop
from tests.faults.attempts import Attribution, attributing
from tests.faults.audit import Moved, Paid
from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.wire.fault import Fault

__all__ = ["ALL_KINDS", "NEW_KINDS", "SandboxProcess", "short_faults"]

_ROOT = Path(__file__).parents[2]
#: Longer than any command takes, in seconds.
_PATIENCE = 120.0
#: The longest line, in bytes: a payment with its history has some thousand.
_LONGEST_LINE = 1024 * 1024

#: All kinds of faults, the one that hits its neighbours included; not the one that no client can prevent.
ALL_KINDS = tuple(fault.value for fault in Fault if fault is not Fault.OTHER_AMOUNT_MOVED)
#: Those that make Vipps contradict itself, lag or deliver late.
NEW_KINDS = ALL_KINDS[
    ALL_KINDS.index(Fault.UNSETTLED_FAILED_BEFORE.value) : ALL_KINDS.index(Fault.CALLBACK_TWICE.value)
]


def short_faults(sandbox: SandboxServer) -> None:
    """Let faults last only a little longer than a storm's short time-outs, so that they cost little time."""
    sandbox.faults.stall_seconds = 1.0
    sandbox.faults.drip_seconds = 0.1
    sandbox.faults.refusal_seconds = 0.03


class SandboxProcess:
    """The parent's end: one command a line, one answer a line, in the same order."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read())
        #: Where it answers.
        self.url = url

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[SandboxProcess]:
        """Start one, and end it at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.sandbox_process",
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(_PATIENCE):
                sandbox = cls(process, orjson.loads(await process.stdout.readline()))
            try:
                yield sandbox
            finally:
                sandbox._reader.cancel()
                await asyncio.wait({sandbox._reader})
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                future = self._waiting.popleft()
                if not future.done():
                    future.set_result(orjson.loads(line))
        finally:
            for future in self._waiting:
                if not future.done():
                    future.set_exception(ConnectionError("the sandbox process ended"))

    async def _ask(self, command: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._process.stdin.write(orjson.dumps([command, *arguments]) + b"\n")
        async with asyncio.timeout(_PATIENCE):
            return await future

    async def approve(self, order_id: str) -> None:
        """Let the customer accept."""
        await self._ask("approve", order_id)

    async def randomise(
        self, *, rate: float, seed: int, kinds: tuple[str, ...] = ALL_KINDS, operations: tuple[str, ...] | None = None
    ) -> None:
        """See `Faults.randomise`."""
        await self._ask("randomise", rate, seed, kinds, operations)

    async def advance(self, seconds: float) -> None:
        """Move its clock on; requests that are held until then take effect."""
        await self._ask("advance", seconds)

    async def held(self) -> int:
        """How many requests are held."""
        held: int = await self._ask("held")
        return held

    async def deliver_held(self) -> int:
        """Deliver all requests that are held; return how many those were."""
        held: int = await self._ask("deliver")
        return held

    async def hold_for(self, seconds: float) -> None:
        """Let requests that are held be held for so long."""
        await self._ask("hold_for", seconds)

    async def calm(self) -> None:
        """Let nothing fail any more."""
        await self._ask("calm")

    async def counts(self) -> Mapping[str, int]:
        """How often each kind of fault has happened."""
        counts: Mapping[str, int] = await self._ask("counts")
        return counts

    async def payments(self) -> list[Paid]:
        """What moved on all orders."""
        found = []
        for index in range(await self._ask("settle")):
            order_id, amount, captured, refunded, moved = await self._ask("payment", index)
            found.append(
                Paid(
                    order_id=order_id,
                    amount=amount,
                    captured=captured,
                    refunded=refunded,
                    moved=tuple(Moved(*entry) for entry in moved),
                )
            )
        return found


class _Served:
    """The child's end."""

    def __init__(self, sandbox: SandboxServer, known: Attribution) -> None:
        self._sandbox = sandbox
        self._known = known
        self._paid: list[Paid] = []

    async def answer(self, command: str, *arguments: Any) -> object:
        """Carry a command out."""
        faults = self._sandbox.faults
        match command, *arguments:
            case "approve", order_id:
                await self._sandbox.approve(order_id)
            case "randomise", rate, seed, kinds, operations:
                faults.randomise(rate=rate, seed=seed, kinds=[Fault[kind] for kind in kinds], operations=operations)
            case "advance", seconds:
                self._sandbox.clock.advance(seconds)
            case ("held",) | ("deliver",):
                return self._sandbox.held if command == "held" else self._sandbox.deliver_held()
            case "hold_for", seconds:
                faults.held_seconds = seconds
            case ("calm",):
                faults.clear()
            case ("counts",):
                return {fault.value: count for fault, count in faults.counts.items()}
            case ("settle",):
                self._paid = [Paid.of(snapshot, self._known) for snapshot in self._sandbox.payments]
                return len(self._paid)
            case "payment", index:
                paid = self._paid[index]
                return (
                    paid.order_id,
                    paid.amount,
                    paid.captured,
                    paid.refunded,
                    [astuple(entry) for entry in paid.moved],
                )
        return None


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with SandboxServer(rate_limits=False, keep_requests=0, keep_callbacks=0) as sandbox:
        with attributing(sandbox) as known:
            await _obey(sandbox, known, commands)


async def _obey(sandbox: SandboxServer, known: Attribution, commands: asyncio.StreamReader) -> None:
    short_faults(sandbox)
    _say(sandbox.url)
    served = _Served(sandbox, known)
    # Ends with the parent: its end of the pipe then closes.
    while line := await commands.readline():
        _say(await served.answer(*orjson.loads(line)))


def _say(what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    use_chosen_loop()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())

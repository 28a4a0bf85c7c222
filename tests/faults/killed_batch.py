"""What a batch needs that is killed: a file whose rows end as foreseen, commands that end with the test, and faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from attrs import define, field

from tests.cli.processes import command
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

__all__ = ["KINDS", "ForeseenRows", "captures", "running"]

#: What goes wrong: everything but what only callbacks can, and a port that nobody listens at.
KINDS = tuple(
    fault for fault in Fault if fault not in {Fault.CALLBACK_LOST, Fault.CALLBACK_TWICE, Fault.CONNECTION_REFUSED}
)


@define
class ForeseenRows:
    """The rows of a file, and how each should end."""

    #: Reference → (outcome, øre that move).
    expected: dict[str, tuple[str, int]] = field(factory=dict)
    _lines: list[str] = field(factory=lambda: ["order_id,amount_ore,transaction_text,reference"], init=False)

    def add(self, order_id: str, amount: int | str, outcome: str, moved: int) -> None:
        """Add a row that captures an amount, or all."""
        reference = f"shipment-{len(self._lines)}"
        self._lines.append(f"{order_id},{amount},Shipped.,{reference}")
        self.expected[reference] = (outcome, moved)

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text("\n".join(self._lines) + "\n", encoding="utf-8")


@contextlib.asynccontextmanager
async def running(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that is killed at the end, if it has not ended by then."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def captures(sandbox: Sandbox) -> int:
    """How many payments are captured."""
    # Not by snapshots: their making would slow down the very sandbox that is looked at.
    return sum(1 for order in sandbox._book if order.payment.sums.captured)

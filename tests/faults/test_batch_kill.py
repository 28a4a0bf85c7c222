"""A batch that is killed again and again: report, journal and Vipps agree on every row in the end, to the øre."""

from __future__ import annotations

import asyncio
import csv
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.batch.shop import stock_one
from tests.cli.processes import environment_with_keys
from tests.faults.killed_batch import KINDS, ForeseenRows, captures, running
from vipps_async import Outcome, SqliteJournal
from vipps_async.money import format_nok
from vipps_async.sandbox import Fault, State
from vipps_async.testing import Sandbox

pytestmark = pytest.mark.heavy

#: How much is done and how often it is killed; the long run has 20,000 rows and 20 kills.
ROWS, KILLS = int(os.environ.get("BATCH_KILL_ROWS", "900")), int(os.environ.get("BATCH_KILLS", "6"))
#: Seconds that one run of the command may take.
PATIENCE = 60 + ROWS / 20


def _orders(sandbox: Sandbox, path: Path) -> dict[str, tuple[str, int]]:
    """Write the file, enter the orders, and say how each row should end: reference → (outcome, øre that move)."""
    chance = random.Random(20_000)
    rows = ForeseenRows()
    number = 0
    while len(rows.expected) < ROWS:
        number += 1
        order_id, amount = f"acme-{number}", chance.randrange(200, 100_000)
        match number % 50:
            case 7:
                rows.add(order_id, amount, "refused", 0)  # unknown to Vipps
                continue
            case 17:
                rows.add(order_id, amount, "refused", 0)
                stock_one(sandbox, order_id, amount)
                payment = sandbox._book.only(order_id).payment
                payment.cancel(release_remaining=False, text="Out of stock", now=sandbox.clock.now())
                continue
            case 27:
                rows.add(order_id, amount + 1, "refused", 0)  # more than is reserved
            case 37:
                # Two parcels of one order: their rows stand apart, and must keep their sequence.
                rows.add(order_id, 100, "captured", 100)
                rows.add(order_id, "all", "captured", amount - 100)
            case 47:
                rows.add(order_id, "all", "captured", amount)
            case _:
                rows.add(order_id, amount, "captured", amount)
        stock_one(sandbox, order_id, amount)
    rows.write(path)
    return rows.expected


def journal_of(file: Path) -> Path:
    """Where the journal of this test is."""
    return file.with_name("journal.db")


def _batch(sandbox: Sandbox, file: Path, report: Path) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    journal = str(journal_of(file))
    return running(
        *("batch", "capture", str(file), "--report", str(report), "--json", "--journal", journal),
        env=environment_with_keys(VIPPS_BASE_URL=sandbox.url),
    )


async def test_killed_again_and_again_each_row_ends_once(tmp_path: Path) -> None:
    """SIGKILL at any moment, under faults: each row moves money once at most, and all three books agree."""
    file, report = tmp_path / "captures.csv", tmp_path / "report.csv"
    async with Sandbox(rate_limits=False, keep_requests=0, token_lifetime=86_400) as sandbox:
        expected = _orders(sandbox, file)
        sandbox.faults.stall_seconds, sandbox.faults.drip_seconds = 0.3, 0.1
        sandbox.faults.randomise(rate=0.1, seed=11, operations=("capture", "details"), kinds=KINDS)
        # By chance it would be one of some hundred rows.
        for number in (1, 2, 3):
            sandbox.faults.script("capture", Fault.OTHER_AMOUNT_MOVED, order_id=f"acme-{number}")
        chance = random.Random(7)
        wanted = sum(1 for outcome, _ in expected.values() if outcome == "captured")
        killed_at: list[int] = []
        for kill in range(KILLS):
            target = wanted * (kill + 1) // (KILLS + 2)
            async with asyncio.timeout(PATIENCE), _batch(sandbox, file, report) as process:
                while captures(sandbox) < target and process.returncode is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
                await asyncio.sleep(chance.random() * 0.1)
                assert process.returncode is None, "it was to be killed while it captures"
                process.send_signal(signal.SIGKILL)
            killed_at.append(captures(sandbox))
        statuses: list[int | None] = []
        started = time.monotonic()
        # What was refused after an attempt in doubt stays open for a day: three runs settle what can be settled.
        while len(statuses) < 3:
            async with asyncio.timeout(PATIENCE), _batch(sandbox, file, report) as process:
                _, errors = await process.communicate()
                assert process.returncode in {0, 1, 3}, errors.decode()
                statuses.append(process.returncode)
        seconds = time.monotonic() - started
        payments = {payment.order_id: payment for payment in sandbox.payments}
        faults = sum(sandbox.faults.counts.values())

    with report.open(encoding="utf-8", newline="") as stream:
        lines = {line["reference"]: line for line in csv.DictReader(stream)}
    journal = SqliteJournal(journal_of(file))
    await journal.open()
    entries = {entry.intent.key: entry async for entry in journal.recent_entries(limit=10_000_000)}
    await journal.aclose()

    assert lines.keys() == expected.keys()
    moved_by_order: Counter[str] = Counter()
    for reference, (outcome, moved) in expected.items():
        line = lines[reference]
        entry = entries[line["idempotency_key"]]
        payment = payments.get(line["order_id"])
        done = [] if payment is None else payment.moved("CAPTURE")
        # Its own key stands at most once in Vipps' history, and what the report says is what that moved.
        mine = [e.amount for e in done if e.request_id == line["idempotency_key"]]
        if outcome == "refused" and line["outcome"] == "unknown":
            assert entry.settlement is None, line
            assert entry.attempts.in_doubt > 0, line
            assert mine == [], line
            continue
        assert entry.settlement is not None, line
        assert (entry.settlement.outcome is Outcome.DONE) == bool(mine), line
        assert ([int(line["moved_ore"])] if line["moved_ore"] else []) == mine, line
        if mine and line["amount_ore"] not in {"all", str(mine[0])}:
            assert line["outcome"].removesuffix(" before") == "captured otherwise", line
            assert f"{format_nok(int(line['amount_ore']))} were asked for, and " in line["what_happened"], line
        else:
            assert line["outcome"].removesuffix(" before") == outcome, line
        others = {x["outcome"].removesuffix(" before") for x in lines.values() if x["order_id"] == line["order_id"]}
        assert line["amount_ore"] == "all" or "captured otherwise" in others or [moved] * len(mine) == mine, line
        moved_by_order[line["order_id"]] += sum(mine)
    for order_id, payment in payments.items():
        assert payment.captured == moved_by_order[order_id]
        assert payment.state in {State.RESERVE, State.VOID}
    assert len(entries) == len(expected)
    assert sum(line["outcome"].removesuffix(" before") == "captured otherwise" for line in lines.values()) >= 3
    total = sum(payment.captured for payment in payments.values())
    assert total == sum(int(x["moved_ore"] or 0) for x in lines.values())
    sys.stdout.write(
        f"\n{len(expected):,} rows, {KILLS} kills at {killed_at} captures; last runs ended with {statuses} after "
        f"{seconds:.0f} s; {faults:,} faults; {total} øre in report, journal and sandbox; "
        f"{Counter(line['outcome'] for line in lines.values())}\n"
    )

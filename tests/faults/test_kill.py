"""Workers killed at any instant, with each durable journal: what they were asked, noted and did agrees afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.kill import run_kills
from tests.faults.phases import Phase
from tests.journals.material import LONG, all_open, all_recent, intent
from vipps_async import AcquireResult, Outcome, SqliteJournal

pytestmark = pytest.mark.heavy

_ROOT = Path(__file__).parents[2]
#: Longer than any child takes, in seconds.
_PATIENCE = 60


@pytest.mark.parametrize(("name", "api"), [("sqlite", "epayment"), ("postgres", "ecom"), ("sqlite", "both")])
async def test_kills_leave_nothing_undecided(
    name: str, api: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Of 26 workers killed in each of ten phases, none leaves money moved twice, lost or unknown."""
    place = str(tmp_path / "journal.db")
    if name == "postgres":
        place = f"{request.getfixturevalue('postgres_schema')}@{request.getfixturevalue('postgres_dsn')}"
    report = await run_kills(kills=26, seed=len(name), rate=0.08, place=place, journal_name=name, api=api)
    figures = "\n".join(report.lines())
    assert not report.failed, figures
    assert report.kills.total() == 26
    assert {phase.value for phase in Phase} <= set(report.kills), figures
    assert report.held > 0, figures
    assert report.told["done"] > 0, figures
    assert report.captured > 0


def _dies(code: str, *arguments: str) -> None:
    """Run Python with some code that kills its own process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


_BEGINS = """
import asyncio, os, signal, sys
from tests.journals.material import LONG, intent
from vipps_async import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.open()
    await journal.begin(intent(), owner="dead", lease=LONG)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_a_dead_process_had_leased_is_free_once_its_file_is_open_again(tmp_path: Path) -> None:
    """Recovery after a crash need not wait for the leases of the process that died, and knows that it may have sent."""
    path = tmp_path / "journal.db"
    _dies(_BEGINS, str(path))
    journal = SqliteJournal(path)
    await journal.open()
    try:
        (left,) = await all_open(journal)
        assert not left.owner
        acquired, entry = await journal.begin(intent(), owner="heir", lease=LONG)
        assert acquired is AcquireResult.ACQUIRED
        assert entry.note, "told apart from an entry that was never in anybody's hands"
        # A living owner's lease holds as ever.
        assert (await journal.claim(intent(), owner="other", lease=LONG))[0] is AcquireResult.HELD
    finally:
        await journal.aclose()


_FILLS = """
import asyncio, os, shutil, signal, sys
from tests.journals.material import LONG, begin_all, intent
from vipps_async import SqliteJournal

async def main():
    journal = SqliteJournal(sys.argv[1])
    await journal.open()
    await begin_all(journal, [intent(number) for number in range(200)], owner="dead", lease=LONG)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_process_may_die_while_the_log_is_moved_into_the_file(tmp_path: Path) -> None:
    """The file alone, with its first page new and the others not there yet, is no damage: its log has the rest."""
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    _dies(_FILLS, str(path))
    short, full_log = path.read_bytes(), log.read_bytes()
    journal = SqliteJournal(path)
    await journal.open()
    await journal.aclose()
    whole = path.read_bytes()
    # The page size stands in the header (SQLite file format, offset 16).
    page = int.from_bytes(whole[16:18], "big")
    assert len(whole) > len(short)
    path.write_bytes(whole[:page] + short[page:])
    log.write_bytes(full_log)
    await journal.open()
    try:
        assert len(await all_open(journal)) == 200
    finally:
        await journal.aclose()


_IS_TOLD_NOT_SENT = """
import asyncio, os, signal, sys
from vipps_async import Credentials, RequestNotSent, RetryPolicy, VippsSession
from vipps_async import SqliteJournal
async def main():
    keys = Credentials(client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456")
    retry = RetryPolicy(attempts=1, deadline=5.0)
    async with VippsSession(keys, base_url=sys.argv[2], journal=SqliteJournal(sys.argv[1]), retry=retry) as vipps:
        try:
            await vipps.ecom.capture("acme-1", amount=1000, transaction_text="Socks.")
        except RequestNotSent:
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_a_caller_was_told_not_to_have_happened_is_never_done_later(tmp_path: Path) -> None:
    """A process that dies the moment it learns "nothing was sent" leaves nothing open: recovery must not send it."""
    path = tmp_path / "journal.db"
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    _dies(_IS_TOLD_NOT_SENT, str(path), f"https://127.0.0.2:{port}")
    journal = SqliteJournal(path)
    await journal.open()
    try:
        assert await all_open(journal) == []
        (entry,) = await all_recent(journal)
        assert entry.settlement is not None
        assert entry.settlement.outcome is Outcome.NOT_DONE
    finally:
        await journal.aclose()

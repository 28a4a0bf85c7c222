"""What `vipps-async journal` shows and does, and with which exit status it ends."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from tests.faults.shop import CREDENTIALS, Fault, Shop, open_shop
from vipps_async import SqliteJournal, UnexpectedResponseError, VippsError, nok
from vipps_async.cli.journal_text import age_of, decidable_at, recovery_facts, recovery_text
from vipps_async.cli.main import main
from vipps_async.core.ending import OTHERWISE_ADVICE
from vipps_async.core.recovery_report import CarriedOut, LeftOpen, RecoveryReport, Refused
from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.postgres import journal as postgres
from vipps_async.journals.postgres.place import PostgresPlace
from vipps_async.sandbox import Fault as SandboxFault

NOW = datetime.now(UTC)


def intent(number: int = 1, **changes: Any) -> Intent:
    """Make an intent."""
    facts: dict[str, Any] = {
        "key": f"key-{number}",
        "api": "ecom",
        "operation": "capture",
        "payment": f"order-{number}",
        "merchant_serial_number": "123456",
        "amount": 10_000,
        "currency": "NOK",
        "digest": "d",
        "body": b"{}",
        "created_at": NOW - timedelta(minutes=number),
    }
    return Intent(**facts | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with one entry open with a reason, one leased, one done and one refused."""
    path = tmp_path / "journal.db"

    async def fill() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        await journal.begin(intent(1), owner="a", lease=0)
        await journal.release(intent(1), note="the line was dead")
        await journal.begin(intent(2, amount=None, payment="order-1"), owner="b" * 32, lease=3600)
        for number, outcome in ((3, Outcome.DONE), (4, Outcome.REFUSED)):
            await journal.settle(intent(number), Settlement(outcome=outcome, answer=b"{}", settled_at=NOW))
        await journal.settle(
            intent(5, merchant_serial_number="654321", operation="cancel", amount=None),
            Settlement(outcome=Outcome.NOT_DONE, settled_at=NOW),
        )
        await journal.aclose()

    asyncio.run(fill())
    return path


def listed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    """Run `journal list --json` and return what it printed."""
    assert main(["journal", "list", "--json", *map(str, arguments)]) == 0
    return [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestList:
    """`journal list` shows what somebody on call wants to know."""

    def test_it_shows_open_ones_first_and_then_what_was_settled(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Order, operation, amount in NOK, key, age, state, reason, and who has leased it."""
        assert main(["journal", "list", "--journal", str(path)]) == 0
        text = capsys.readouterr().out
        assert [line.split()[0] for line in text.splitlines() if line[0] != " "][:-1] == [
            *("open", "open"),
            *("not_done", "refused", "done"),
        ]
        # The minutes that a slow machine took since this file was read come on top.
        assert re.search(r"capture +order-1  100\.00 NOK  \d+ min ago  key key-1", text)
        assert "the line was dead" in text
        assert re.search(r"order-1  all that remains  \d+ min ago", text)
        # A file that opens has no other owner, so nobody has leased any of it.
        assert "leased by" not in text
        assert text.endswith("2 open, 3 settled are shown.\n")
        assert "customer" not in text

    def test_what_is_done_shows_the_amount_that_moved(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Not what was asked for, such as all that remained; another amount than was asked for stands beside it."""
        path = tmp_path / "done.db"

        async def fill() -> None:
            journal = SqliteJournal(path)
            async with open_shop(journal) as shop:
                await shop.reserve()
                async with shop.session() as vipps:
                    await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="A part.")
                    await vipps.ecom.capture("order-1", transaction_text="The rest.")
                    await vipps.ecom.refund("order-1", transaction_text="Back.", amount=nok(30))
                    shop.sandbox.faults.script("refund", SandboxFault.OTHER_AMOUNT_MOVED)
                    with pytest.raises(UnexpectedResponseError):
                        await vipps.ecom.refund("order-1", transaction_text="Back.", amount=nok(20))

        asyncio.run(fill())
        assert main(["journal", "list", "--journal", str(path)]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("done ")]
        assert [re.search(r"order-1  (.*?)  \d+", line)[1] for line in lines] == [  # type: ignore[index] # it matches
            "10.00 NOK (of 20.00 NOK)",
            "30.00 NOK",
            "400.00 NOK",
            "100.00 NOK",
        ]
        assert [entry["moved"] for entry in listed(capsys, "--journal", path)] == [1_000, 3_000, 40_000, 10_000]

    def test_for_machines_one_object_a_line(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """--json gives every fact under a name."""
        first, second, *_ = listed(capsys, "--journal", path)
        assert first | {"age_seconds": 0, "created_at": ""} == {
            "state": "open",
            "operation": "ecom.capture",
            "payment": "order-1",
            "merchant_serial_number": "123456",
            "amount": 10000,
            "currency": "NOK",
            "idempotency_key": "key-1",
            "moved": None,
            "created_at": "",
            "age_seconds": 0,
            "settled_at": None,
            "reason": "the line was dead",
            "key_origin": "given",
            "reference": None,
            "attempts": 1,
            "attempts_in_doubt": 1,
            "decidable_at": (intent(1).created_at + timedelta(days=1)).isoformat(),
            "leased_by": None,
            "leased_until": None,
        }
        assert second["leased_by"] is None

    def test_when_an_entry_can_be_decided(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A day after its last attempt, or as long after it as one's sessions wait; a minute after the first look."""
        hour = (intent(1).created_at + timedelta(hours=1)).isoformat()
        assert listed(capsys, "--journal", path, "--settle-after", 3600)[0]["decidable_at"] == hour
        looked = NOW + timedelta(days=2)
        attempts = Attempts(last_at=intent(1).created_at, looked_at=looked)
        entry = Entry(intent=intent(1), attempts=attempts, lease_until=NOW)
        assert decidable_at(entry, timedelta(days=1)) == looked + timedelta(minutes=1)
        assert main(["journal", "list", "--journal", str(path)]) == 0
        day = intent(1).created_at + timedelta(days=1)
        assert f"can be decided after {day:%Y-%m-%d %H:%M} UTC" in capsys.readouterr().out

    def test_what_cannot_be_read_is_named(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A damaged open row comes first, with its order as far as that can be read; the others are shown."""
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE entries SET amount = 1 WHERE key = 'key-1'")
        assert main(["journal", "list", "--journal", str(path)]) == 0
        out = capsys.readouterr().out
        assert out.startswith(
            "damaged   entry 1, payment order-1: what it holds does not fit its checksum; it is never sent"
        )
        assert out.endswith("1 open, 3 settled are shown.\n")
        assert listed(capsys, "--journal", path)[0] == {
            "state": "damaged",
            "position": 1,
            "payment": "order-1",
            "reason": "what it holds does not fit its checksum",
        }

    def test_what_cannot_be_read_of_a_payment_is_named_with_it(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Settled or open, and nothing of other payments; it may be what shows who made it."""
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE entries SET amount = 1 WHERE key IN ('key-1', 'key-3')")
        of_payment = ("--journal", path, "--payment", "order-3", "--msn", "123456")
        (damaged,) = listed(capsys, *of_payment)
        assert (damaged["state"], damaged["position"], damaged["payment"]) == ("damaged", 3, "order-3")
        assert main(["journal", "list", *map(str, of_payment)]) == 0
        out = capsys.readouterr().out
        assert "nothing done that shows it; what cannot be read may (entry 3)." in out
        assert "order-1" not in out

    @pytest.mark.parametrize(
        ("arguments", "keys"),
        [
            (["--open"], ["key-1", "key-2"]),
            (["--limit", "1"], ["key-1", "key-5"]),
            (["--payment", "order-1", "--msn", "123456"], ["key-1", "key-2"]),
            (["--payment", "order-3", "--msn", "123456"], ["key-3"]),
            (["--payment", "order-3", "--msn", "123456", "--open"], []),
            (["--msn", "654321"], ["key-5"]),
        ],
    )
    def test_what_is_chosen(
        self, path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], keys: list[str]
    ) -> None:
        """--open, --limit, --payment and --msn choose."""
        assert [found["idempotency_key"] for found in listed(capsys, "--journal", path, *arguments)] == keys

    def test_it_says_that_there_is_more(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Of what is open it never shows a part as if it were all."""
        assert main(["journal", "list", "--journal", str(path), "--limit", "1", "--open"]) == 0
        assert "1 or more open" in capsys.readouterr().out

    def test_an_order_needs_its_sales_unit(
        self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The sales unit comes from --msn or the environment; without it, nothing is guessed."""
        monkeypatch.delenv("VIPPS_MERCHANT_SERIAL_NUMBER", raising=False)
        assert main(["journal", "list", "--journal", str(path), "--payment", "order-1"]) == 2
        assert "--msn" in capsys.readouterr().err
        monkeypatch.setenv("VIPPS_MERCHANT_SERIAL_NUMBER", "123456")
        assert len(listed(capsys, "--journal", path, "--payment", "order-1")) == 2

    def test_a_file_in_use_is_left_to_its_owner(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A live process keeps its file: the list names it, and waits no longer than it is told."""
        with owned(path):
            assert main(["journal", "list", "--journal", str(path), "--wait", "0"]) == 6
        assert "in use by" in capsys.readouterr().err

    def test_it_makes_no_journal(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A mistyped path is an error, not an empty journal."""
        for command in ("list", "recover"):
            assert main(["journal", command, "--journal", str(tmp_path / "typo.db")]) == 2
            assert "there is no journal" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_a_file_of_0_bytes_is_no_empty_journal(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One that was cut off is refused by name and left as it is, whichever command finds it."""
        path = tmp_path / "full-disk.db"
        path.touch()
        for command in ("list", "check"):
            assert main(["journal", command, "--journal", str(path)]) == 2
            assert f"vipps-async: the journal {path} has 0 bytes" in capsys.readouterr().err
        assert path.stat().st_size == 0

    @pytest.mark.parametrize(
        "arguments", [["--journal", "x", "--dsn", "y"], ["--wait", "-1"], ["--journal", "x", "--limit", "0"]]
    )
    def test_wrong_usage_ends_with_2(self, arguments: list[str]) -> None:
        """One store, and a positive limit."""
        with pytest.raises(SystemExit) as caught:
            main(["journal", "list", *arguments])
        assert caught.value.code == 2

    @pytest.mark.parametrize(
        ("seconds", "text"), [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")]
    )
    def test_ages_are_for_people(self, seconds: float, text: str) -> None:
        """Rounded down to the largest unit; a clock that went back shows no negative age."""
        assert age_of(seconds) == text


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Have a journal file open in another event loop, as a running service has."""
    ready, done = threading.Event(), threading.Event()

    async def own() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        ready.set()
        await asyncio.to_thread(done.wait)
        await journal.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(own()))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


class Town:
    """A shop that runs in a thread of its own, since the command has its own event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ready, self.done = threading.Event(), threading.Event()
        self.shop: Shop
        self.captured = 0

    async def live(self) -> None:
        """Lose a capture on its way, close the journal, and stay until told to go."""
        journal = SqliteJournal(self.path)
        async with open_shop(journal) as shop:
            self.shop = shop
            await shop.reserve()
            shop.line.fail("/capture", Fault.LOSE_REQUEST)
            shop.line.fail("/details", Fault.LOSE_REQUEST)
            async with shop.session() as vipps:
                with pytest.raises(VippsError):
                    await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped")
            self.ready.set()
            await asyncio.to_thread(self.done.wait)
            self.captured = shop.sandbox.payment("order-1").captured


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """A sandbox, a journal with one capture that got lost, and the variables that lead there."""
    town = Town(tmp_path / "journal.db")
    thread = threading.Thread(target=lambda: asyncio.run(town.live()))
    thread.start()
    assert town.ready.wait(10)
    for name in ("client_id", "client_secret", "subscription_key", "merchant_serial_number"):
        monkeypatch.setenv(f"VIPPS_{name.upper()}", getattr(CREDENTIALS, name))
    monkeypatch.setenv("VIPPS_ENVIRONMENT", "test")
    monkeypatch.setenv("VIPPS_BASE_URL", town.shop.sandbox.url)
    try:
        yield town
    finally:
        town.done.set()
        thread.join()


def test_a_report_names_all_that_somebody_has_to_look_at() -> None:
    """Refusals, what stays open (and that there is more), lost URLs, and an early end."""
    report = RecoveryReport(
        seen=7,
        refused=1,
        refusals=[Refused(intent=intent(1), reason="too much")],
        stays_open=3,
        left_open=[LeftOpen(intent=intent(5, operation="cancel", amount=None), reason="no answer")],
        urls_lost=["order-9"],
        overruled=[Refused(intent=intent(6), reason="Vipps carried it out")],
        damaged=[DamagedEntry(position=8, payment="order-8", reason="no checksum")],
        stopped="Vipps did not answer",
    )
    assert recovery_text(report).splitlines()[1:] == [
        "refused: ecom.capture of 100.00 NOK, payment order-1, key key-1: too much",
        "stays open: ecom.cancel, payment order-5, key key-5: no answer",
        "stays open: ... and 2 more: vipps-async journal list --open",
        "done after all: ecom.capture of 100.00 NOK, payment order-6, key key-6: Vipps carried it out",
        "cannot be read: entry 8, payment order-8: no checksum; it is never sent, compare details with your books",
        "URL lost: payment order-9 exists; cancel it if its history shows that nobody has approved it.",
        "Stopped early: Vipps did not answer.",
    ]
    assert recovery_facts(report)["refusals"][0]["reason"] == "too much"
    assert recovery_facts(report)["overruled"][0]["payment"] == "order-6"
    assert recovery_facts(report)["damaged"] == [{"position": 8, "payment": "order-8", "reason": "no checksum"}]


def test_a_report_names_what_was_done() -> None:
    """With the amount that moved, also of what took all that remained; only otherwise where it was another one."""
    report = RecoveryReport(
        seen=5,
        proven=3,
        proven_operations=[
            CarriedOut(intent=intent(1, amount=None), amount=49_900),
            CarriedOut(intent=intent(2), amount=5_000),
            CarriedOut(intent=intent(3, operation="initiate"), amount=None),
        ],
        moved_otherwise=[LeftOpen(intent=intent(2), reason="50.00 NOK moved")],
        sent_again=2,
        sent_again_operations=[
            CarriedOut(intent=intent(4, operation="refund"), amount=10_000),
            CarriedOut(intent=intent(5, operation="cancel", amount=None), amount=None),
        ],
    )
    assert recovery_text(report).splitlines() == [
        "5 looked at: 3 had taken effect, 2 sent again, 0 refused, 0 had never arrived, 0 settled meanwhile.",
        "had taken effect: ecom.capture of 499.00 NOK, payment order-1, key key-1",
        "had taken effect: ecom.initiate of 100.00 NOK, payment order-3, key key-3",
        "sent again: ecom.refund of 100.00 NOK, payment order-4, key key-4",
        "sent again: ecom.cancel, payment order-5, key key-5",
        "carried out otherwise than asked: ecom.capture of 100.00 NOK, payment order-2, key key-2: 50.00 NOK moved",
        f"  what to do: {OTHERWISE_ADVICE}.",
    ]
    facts = recovery_facts(report)
    assert facts["proven_operations"][0] == {
        "operation": "ecom.capture",
        "payment": "order-1",
        "amount": None,
        "moved": 49_900,
        "currency": "NOK",
        "idempotency_key": "key-1",
        "reason": None,
    }
    assert [done["moved"] for done in facts["sent_again_operations"]] == [10_000, None]


def test_a_long_report_names_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind, and counts the rest: the journal has all of them."""
    monkeypatch.setattr("vipps_async.cli.journal_text._MOST_NAMED", 1)
    done = [CarriedOut(intent=intent(number), amount=10_000) for number in (1, 2)]
    refused = [Refused(intent=intent(number), reason="no") for number in (1, 2)]
    report = RecoveryReport(
        seen=4_000,
        proven=1_500,
        proven_operations=done,
        sent_again=2,
        sent_again_operations=done,
        refused=2,
        refusals=refused,
    )
    assert recovery_text(report).splitlines()[1:] == [
        "had taken effect: ecom.capture of 100.00 NOK, payment order-1, key key-1",
        "had taken effect: ... and 1,499 more: vipps-async journal list",
        "sent again: ecom.capture of 100.00 NOK, payment order-1, key key-1",
        "sent again: ... and 1 more: vipps-async journal list",
        "refused: ecom.capture of 100.00 NOK, payment order-1, key key-1: no",
        "refused: ... and 1 more: vipps-async journal list",
    ]


class Database(MemoryJournal):
    """Stands in for one: nothing in it is damaged."""

    async def damaged(self, *, only_open: bool = False) -> list[DamagedEntry]:
        """Find nothing."""
        assert only_open
        return []


async def _is_there(_: PostgresPlace) -> bool:
    return True


def test_a_database_is_another_place_for_the_journal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dsn opens a PostgresJournal, and only then is it imported."""
    given: list[tuple[str, str]] = []

    class Elsewhere(Database):
        def __init__(self, dsn: str, *, schema: str) -> None:
            super().__init__()
            given.append((dsn, schema))

    module = ModuleType("vipps_async.journals.postgres.journal")
    module.PostgresJournal = Elsewhere  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(PostgresPlace, "exists", _is_there)
    assert main(["journal", "list", "--dsn", "postgresql://example"]) == 0
    assert main(["journal", "list", "--dsn", "postgresql://example", "--schema", "shop"]) == 0
    assert given == [("postgresql://example", "vipps_async"), ("postgresql://example", "shop")]
    assert capsys.readouterr().out == "0 open, 0 settled are shown.\n" * 2


class TestRecover:
    """`journal recover` settles what is open."""

    def test_all_settled(self, town: Town, capsys: pytest.CaptureFixture[str]) -> None:
        """Status 0, a report, and the money moved once; a second run finds nothing."""
        assert main(["journal", "recover", "--journal", str(town.path)]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first.startswith("1 looked at: 0 had taken effect, 1 sent again")
        assert second.startswith("sent again: ecom.capture of 100.00 NOK, payment order-1, key ")
        assert main(["journal", "recover", "--journal", str(town.path)]) == 0
        assert capsys.readouterr().out.startswith("0 looked at")

    def test_for_machines(self, town: Town, capsys: pytest.CaptureFixture[str]) -> None:
        """--json prints one object, and beside it which journal is meant."""
        assert main(["journal", "recover", "--journal", str(town.path), "--json"]) == 0
        printed = capsys.readouterr()
        report = orjson.loads(printed.out)
        assert (report["complete"], report["sent_again"], report["left_open"]) == (True, 1, [])
        assert [done["moved"] for done in report["sent_again_operations"]] == [10_000]
        assert report["proven_operations"] == []
        assert printed.err == f"Journal: {town.path}\n"

    def test_something_stays_open(
        self, town: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Status 1, and what stays open is named with its reason; with progress if that is due."""
        monkeypatch.setattr("vipps_async.cli.journal._PROGRESS_EVERY", 0.0)
        town.shop.sandbox.faults.script("details", *[SandboxFault.HTTP_500_BEFORE] * 20)
        assert main(["journal", "recover", "--journal", str(town.path)]) == 1
        printed = capsys.readouterr()
        assert "stays open: ecom.capture of 100.00 NOK, payment order-1, key " in printed.out
        assert "1 seen, 0 settled, 1 stay open" in printed.err

    def test_leased_elsewhere(
        self, town: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a database that others use, too, they may have leased it: status 1, and who has it until when."""

        class Elsewhere(Database):
            def __init__(self, _dsn: str, *, schema: str) -> None:
                super().__init__()

            async def open(self) -> None:
                await super().open()
                await self.begin(intent(1), owner="b" * 32, lease=600)

        monkeypatch.setattr(postgres, "PostgresJournal", Elsewhere)
        monkeypatch.setattr(PostgresPlace, "exists", _is_there)
        assert main(["journal", "recover", "--dsn", "postgresql://example"]) == 1
        assert "1 are leased elsewhere, until" in capsys.readouterr().out
        assert main(["journal", "list", "--dsn", "postgresql://example"]) == 0
        assert "leased by bbbbbbbb until" in capsys.readouterr().out

    def test_without_keys_it_ends_with_2(
        self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Missing variables are named."""
        monkeypatch.delenv("VIPPS_CLIENT_SECRET", raising=False)
        assert main(["journal", "recover", "--journal", str(path)]) == 2
        assert "VIPPS_CLIENT_SECRET" in capsys.readouterr().err

    def test_a_journal_in_use_is_left_to_its_owner(self, town: Town, capsys: pytest.CaptureFixture[str]) -> None:
        """Status 6: the running process recovers its own file."""
        with owned(town.path):
            assert main(["journal", "recover", "--journal", str(town.path), "--wait", "0"]) == 6
        assert "in use by" in capsys.readouterr().err

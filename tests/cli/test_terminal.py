"""What commands print cannot steer a terminal, wherever it comes from, and fits one of 80 columns."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.shell import env
from tests.support.rows import each_row
from vipps_async import SqliteJournal
from vipps_async.cli import output
from vipps_async.errors import VippsError
from vipps_async.journals.entries import Intent
from vipps_async.printable import escaped
from vipps_async.testing import Sandbox

CLI = Path(output.__file__).parent
#: Clears the screen, rings, sets the title, the same in one byte each, and turns the direction of what follows.
EVIL = "\x1b[2J\x07\x1b]0;owned\x07\x9b2J\u202e\u2066\r\x08\x7f"


def _is_harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


@each_row("path", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_every_command_prints_by_one_function(path: Path) -> None:
    """No command calls `print` or writes to a stream but by the functions of `output.py`."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    prints = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    writes = [
        call
        for call in calls
        if isinstance(call, ast.Attribute) and call.attr == "write" and ast.unparse(call.value).startswith("sys.std")
    ]
    assert len(prints) == (path.name == "output.py")
    assert len(writes) == (path.name == "output.py")


@pytest.mark.parametrize("write", [output.say, output.emit, lambda text: output.emit_lines([text, "\n"])])
def test_what_is_said(capsys: pytest.CaptureFixture[str], write: Callable[[str], object]) -> None:
    """Line breaks and letters stay, what steers is written as an escape."""
    write(f"Sk\u00f8\u00a0\u20ac {EVIL}\nsecond line")
    said = "".join(capsys.readouterr())
    assert _is_harmless(said.replace("\u00a0", " "))
    assert said.startswith("Sk\u00f8\u00a0\u20ac \\u001b[2J\\u0007")
    assert said.endswith("\nsecond line\n")


@pytest.mark.parametrize("text", [EVIL, "\U000e0001", "\ud800", "plain", "\u00a0"])
def test_json_stays_the_same_json(text: str) -> None:
    """What is escaped inside a JSON string reads as what it was."""
    written = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(written) == text
    assert _is_harmless(written.replace("\u00a0", " "))


async def test_a_file_says_nothing_to_the_terminal(tmp_path: Path) -> None:
    """A row that is invalid is shown on one line, whatever stands in it."""
    file = tmp_path / "captures.csv"
    file.write_text(f'order_id,amount,transaction_text\n"acme{EVIL}\nforged line","{EVIL}",Socks\n', encoding="utf-8")
    ended = await inline("batch", "capture", str(file), "--dry-run", env=_environment())
    assert ended.status != 0
    assert _is_harmless(ended.out + ended.err), (ended.out + ended.err).encode("unicode_escape")
    assert "\nforged line" not in ended.err


async def test_a_journal_says_nothing_to_the_terminal(tmp_path: Path) -> None:
    """Entries and their notes, which quote Vipps, are listed on lines of their own, as text and as JSON."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    await journal.open()
    intent = Intent(
        key="key",
        api="ecom",
        operation="capture",
        payment="acme-1",
        merchant_serial_number="123456",
        amount=100,
        currency="NOK",
        digest="0" * 64,
        body=b"{}",
        created_at=datetime.now(UTC),
    )
    await journal.begin(intent, owner="me", lease=0.0)
    await journal.release(intent, note=f"Vipps said {EVIL}\nsettled   forged", owner="me")
    await journal.aclose()
    for further in ((), ("--json",)):
        ended = await inline("journal", "list", "--journal", str(path), *further)
        assert ended.status == 0, ended.err
        assert "Vipps said" in ended.out
        assert _is_harmless(ended.out), ended.out.encode("unicode_escape")
        assert "\nsettled   forged" not in ended.out


def test_an_error_is_shown_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What Vipps says in an error stays on the line of the error."""
    from vipps_async.cli import main  # noqa: PLC0415 - the module, of which a part is replaced

    async def fail(_options: object) -> int:
        raise VippsError(f"Vipps said {EVIL}\nforged")

    monkeypatch.setattr("vipps_async.cli.doctor._run", fail)
    assert main.main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert _is_harmless(said)
    assert said.count("\n") == 1


def _environment() -> dict[str, str]:
    from tests.cli.processes import environment_with_keys  # noqa: PLC0415 - beside its one use

    return dict(environment_with_keys())


# --- how wide it is ---------------------------------------------------------------------------------------------------

LONG_KEY = "01a225db-85ec-74e4-abfa-1e2be6537e57"
LONG_ORDER = "acme-shop-with-a-long-name-of-fifty-characters-123"


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps with one payment of a long name, captured under a long key."""
    async with Sandbox(rate_limits=False) as running:
        stock_one(running, LONG_ORDER, 49_900)
        capture = ("payment", "capture", LONG_ORDER, "--all", "--text", "Socks.", "--idempotency-key", LONG_KEY)
        assert (await inline(*capture, env=env(running))).status == 0
        yield running


async def _shown(sandbox: Sandbox, *arguments: str, wide: int | None) -> list[str]:
    """The lines of a result on a terminal so wide; None: on none."""
    out = io.StringIO() if wide is None else _Screen()
    ended = await inline(*arguments, env=env(sandbox, COLUMNS=str(wide or 80)), stdout=out)
    assert ended.status == 0, ended.err
    return out.getvalue().splitlines()


async def test_a_journal_fits_a_terminal(sandbox: Sandbox, tmp_path: Path) -> None:
    """At 80 columns what does not fit goes below, whole; where there is room, and where none looks, it is one row."""
    path = tmp_path / "journal.db"
    await leave_open(path, LONG_KEY, payment=LONG_ORDER)
    command = ("journal", "list", "--journal", str(path))
    narrow = await _shown(sandbox, *command, wide=80)
    assert narrow[0] == f"open      ecom.capture     {LONG_ORDER}"
    assert re.fullmatch(rf" {{10}}100\.00 NOK  \d+ s ago  key {LONG_KEY}", narrow[1])
    assert narrow[2:4] == [f"{'':10}the line was dead", narrow[3]]
    assert max(map(len, narrow)) <= 80
    for wide in (None, 150):
        row, *below = await _shown(sandbox, *command, wide=wide)
        assert re.fullmatch(rf"open +ecom\.capture +{LONG_ORDER}  100\.00 NOK  \d+ s ago  key {LONG_KEY}", row)
        assert below == narrow[2:]


async def test_a_reason_fits_a_terminal(tmp_path: Path, sandbox: Sandbox) -> None:
    """A long one is wrapped below its entry; where there is no terminal, it stays one line."""
    path, reason = tmp_path / "journal.db", "Vipps has answered that it cannot be done. " * 5
    await leave_open(path, "key", note=reason)
    command = ("journal", "list", "--journal", str(path))
    assert f"{'':10}{reason.strip()}" in await _shown(sandbox, *command, wide=None)
    narrow = await _shown(sandbox, *command, wide=80)
    assert max(map(len, narrow)) <= 80
    assert " ".join(line.strip() for line in narrow[1:-2]) == reason.strip()


async def test_a_history_fits_a_terminal(sandbox: Sandbox) -> None:
    """At 80 columns each key has a line of its own, indented; else it stands beside the rest, one row a line."""
    command = ("payment", "show", LONG_ORDER)
    _, *narrow = await _shown(sandbox, *command, wide=80)
    assert max(map(len, narrow)) <= 80
    assert narrow[narrow.index(f"    {LONG_KEY}") - 1].split()[2:] == ["CAPTURE", "499.00", "NOK", "yes"]
    assert narrow.count("    idempotency key") == 1
    for wide in (None, 120):
        rows = await _shown(sandbox, *command, wide=wide)
        assert [line.split()[2:] for line in rows if LONG_KEY in line] == [
            ["CAPTURE", "499.00", "NOK", "yes", LONG_KEY]
        ]
        assert len([line for line in rows if "idempotency key" in line]) == 1

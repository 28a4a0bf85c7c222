"""One rule for the exit status of each failure, and one object for machines, over all commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest

from tests.cli.open_captures import leave_open
from tests.cli.shell import HERE, shell
from tests.support.rows import each_row
from vipps_async import SqliteJournal
from vipps_async.journals.entries import World
from vipps_async.sandbox import SandboxServer
from vipps_async.testing import Sandbox

#: Commands that send something, or settle it.
SENDING = {
    "capture": ("payment", "capture", "order-1", "--all", "--text", "x"),
    "refund": ("payment", "refund", "order-1", "--amount", "1", "--text", "x"),
    "cancel": ("payment", "cancel", "order-1", "--text", "x"),
    "cancel over ePayment": ("payment", "cancel", "acme-order-1", "--api", "epayment"),
    "batch": ("batch", "capture", "{file}"),
    "recover": ("journal", "recover"),
    "send": ("journal", "send", "key-1"),
    "drop": ("journal", "drop", "key-1"),
    "rebind": ("journal", "rebind"),
}
#: Those that only read a journal, or look after it.
LOCAL = {
    "list": ("journal", "list"),
    "check": ("journal", "check"),
    "backup": ("journal", "backup", "{file}.copy"),
    "prune": ("journal", "prune"),
    "erase": ("journal", "erase", "order-1"),
}
#: Those of them that have `--json`.
JSON = ("capture", "refund", "cancel", "cancel over ePayment", "batch", "recover", "list")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps that is asked for nothing."""
    async with Sandbox() as running:
        yield running


async def _run(
    sandbox: SandboxServer,
    tmp_path: Path,
    words: Sequence[str],
    *further: str,
    journal: Path,
    environment: str = "test",
) -> tuple[int, str]:
    file = tmp_path / "orders.csv"
    file.write_text("order_id,amount_nok,transaction_text\norder-1,1.00,x\n")
    arguments = [word.format(file=file) for word in words]
    finished = await shell(
        sandbox, *arguments, "--journal", str(journal), "--wait", "0", *further, VIPPS_ENVIRONMENT=environment
    )
    return finished.status, finished.out


async def _unusable(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "pay.db"
    if kind == "damaged":
        await leave_open(path, "key-1")
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    elif kind == "something else":
        path.write_bytes(b"no journal" * 500)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "in no folder":
        path = tmp_path / "missing" / "pay.db"
    elif kind == "of another environment":
        journal = SqliteJournal(path)
        await journal.open()
        await journal.bind(World(environment="production", host="vipps"))
        await journal.aclose()
    return path


KINDS = ("damaged", "something else", "a folder", "in no folder")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*SENDING, *LOCAL])
async def test_a_journal_that_cannot_be_used_is_status_2(
    sandbox: Sandbox, tmp_path: Path, name: str, kind: str
) -> None:
    """Nothing was sent, and another input is needed: never the status of what Vipps refused."""
    words = (SENDING | LOCAL)[name]
    status, out = await _run(sandbox, tmp_path, words, journal=await _unusable(tmp_path, kind))
    assert (status, out) == (2, "")
    assert [request for request in sandbox.requests if request.operation not in {None, "token"}] == []
    if name in JSON:
        path = tmp_path / ("missing/pay.db" if kind == "in no folder" else "pay.db")
        status, out = await _run(sandbox, tmp_path, words, "--json", journal=path)
        told = orjson.loads(out)["error"]
        assert (status, told["effect"], bool(told["message"] and told["kind"])) == (2, "none", True)


@pytest.mark.parametrize("name", [name for name in SENDING if name not in {"rebind", "send", "drop"}])
async def test_a_journal_of_another_environment_is_status_2(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """It is the wrong file for these variables."""
    path = await _unusable(tmp_path, "of another environment")
    assert (await _run(sandbox, tmp_path, SENDING[name], journal=path))[0] == 2
    told = orjson.loads((await _run(sandbox, tmp_path, SENDING[name], "--json", journal=path))[1])["error"]
    assert (told["kind"], told["effect"]) == ("JournalError", "none")


@pytest.mark.parametrize("name", [name for name in SENDING if name != "rebind"])
async def test_what_is_open_in_a_journal_of_another_vipps_is_not_named(
    sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    """It concerns nobody here: the journal is refused first."""
    path = tmp_path / "pay.db"
    await leave_open(path, "an-earlier-one", payment="order-1")
    await leave_open(path, "lost", payment="order-1")
    journal = SqliteJournal(path)
    await journal.open()
    await journal.rebind(World(environment="production", host="vipps"))
    await journal.aclose()
    file = tmp_path / "orders.csv"
    file.write_text("order_id,amount_nok,transaction_text\norder-1,1.00,x\n")
    words = [word.format(file=file).replace("key-1", "lost") for word in SENDING[name]]
    finished = await shell(sandbox, *words, "--journal", str(path))
    assert (finished.status, "has the facts of another Vipps" in finished.err) == (2, True)
    told = finished.err.replace(str(path), "").lower()
    assert [word for word in ("lost", "an-earlier-one", "open") if word in told] == []


@pytest.mark.parametrize("name", JSON)
async def test_a_journal_in_use_is_an_object_for_machines(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """Status 6, with what keeps it."""
    path = tmp_path / "pay.db"
    journal = SqliteJournal(path)
    await journal.open()
    try:
        status, out = await _run(sandbox, tmp_path, (SENDING | LOCAL)[name], "--json", journal=path)
    finally:
        await journal.aclose()
    told = orjson.loads(out)["error"]
    assert (status, told["kind"], told["effect"]) == (6, "JournalInUseError", "none")
    assert "is in use by" in told["message"]


@pytest.mark.parametrize("name", [name for name in JSON if name != "list"])
async def test_nobody_to_ask_is_an_object_for_machines(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """Without --yes and without a terminal nothing is sent in production, and the object says what is missing."""
    path = tmp_path / "pay.db"
    await leave_open(path, "key-1")
    status, out = await _run(sandbox, tmp_path, SENDING[name], "--json", *HERE, journal=path, environment="production")
    told = orjson.loads(out)["error"]
    assert (status, told["kind"], told["effect"]) == (2, "UsageError", "none")
    assert "--yes" in told["message"]


@each_row(
    ("arguments", "words"),
    [
        (("payment", "capture", "order-1", "--amount", "12,345", "--text", "x"), "is no amount"),
        (("payment", "capture", "order-1", "--text", "x"), "--all"),
        (("batch", "capture", "/nowhere/orders.csv"), "/nowhere/orders.csv"),
        (("journal", "list", "--limit", "0"), "is no positive number"),
        (("journal", "list", "--payment"), "requires an argument"),
        (("doctor", "--api", "ekom"), "there is no API"),
        (("webhooks", "delete", "no-uuid"), ""),
        (("journal", "check"), "No such option"),
    ],
)
async def test_wrong_use_is_an_object_for_machines(sandbox: Sandbox, arguments: Sequence[str], words: str) -> None:
    """Whether the command line, a file or a value is wrong."""
    finished = await shell(sandbox, *arguments, "--json")
    told = orjson.loads(finished.out)["error"]
    assert (finished.status, told["exit_status"], told["effect"]) == (2, 2, "none")
    assert words in told["message"]
    assert finished.err


async def test_without_json_standard_output_stays_empty(sandbox: Sandbox) -> None:
    """The object is for those who asked for it: what follows -- is no option."""
    for arguments in (("journal", "list", "--limit", "0"), ("payment", "capture", "--", "--json", "x")):
        finished = await shell(sandbox, *arguments)
        assert (finished.status, finished.out) == (2, "")

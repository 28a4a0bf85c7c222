"""`vipps-async batch`: rows of which the journal has what cannot be read, or what was dropped, are not sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from attrs import evolve

from tests.batch.shop import stock
from tests.cli.inline import inline
from tests.cli.open_captures import damage, drop, leave_open
from tests.cli.processes import Finished
from tests.cli.shell import HERE, env
from vipps_async import SqliteJournal
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

HEADING = "order_id,amount_ore,transaction_text,reference"
ALL = "order_id,transaction_text,reference"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with three payments of 50 kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 3, amount=5000)
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of all commands here, which is not there yet."""
    return tmp_path / "journal.db"


async def batch(
    sandbox: Sandbox,
    journal: Path,
    *lines: str,
    heading: str = HEADING,
    operation: str = "capture",
    more: tuple[str, ...] = (),
) -> Finished:
    """Capture rows, as one file."""
    file = journal.with_name("day.csv")
    write(file, "\n".join((heading, *lines, "")))
    at = ("--journal", str(journal))
    return await inline("batch", operation, str(file), *at, *more, env=env(sandbox))


def write(file: Path, content: str) -> None:
    """Make a file."""
    file.write_text(content)


def captured(sandbox: Sandbox) -> list[int]:
    """What is captured of each order, in øre."""
    return [sandbox.payment(f"order-{number}").captured for number in range(3)]


async def test_rows_of_a_payment_with_what_cannot_be_read_are_held(sandbox: Sandbox, journal: Path) -> None:
    """Whatever amount and reference they have; the others go on. It is said once what it is, and what releases them."""
    await leave_open(journal, "lost", payment="order-1", amount=1000)
    damage(journal, "lost")
    lines = ("order-0,1000,x,s-0", "order-1,2000,x,s-1", "order-2,1000,x,s-2")
    done = await batch(sandbox, journal, *lines, more=("--report", str(journal.with_name("r.jsonl"))))
    assert (done.status, captured(sandbox)) == (5, [1000, 0, 1000])
    named = "entry 1 of the journal, payment order-1 (what it holds does not fit its checksum)"
    told = "Look out: this is open in the journal, cannot be read, and may have moved money:\n  " + named
    assert done.err.count(told) == 1
    why = "it is of a payment of which the journal has what cannot be read, and may have moved money: " + named
    assert f"line 3: order-1: 20.00 NOK is held: {why}" in done.err
    assert "name its payment: --another order-1" in done.err
    rows = [orjson.loads(line) for line in journal.with_name("r.jsonl").read_bytes().splitlines()]
    assert [row["outcome"] for row in rows] == ["captured", "held", "captured"]
    released = await batch(sandbox, journal, *lines, more=("--another", "order-1"))
    assert (released.status, captured(sandbox)) == (0, [1000, 2000, 1000])


@pytest.mark.parametrize("operation", ["capture", "cancel"])
async def test_rows_without_an_amount_are_held_as_well(sandbox: Sandbox, journal: Path, operation: str) -> None:
    """All that is left, or a cancel: whether that is another one cannot be told."""
    await leave_open(journal, "lost", payment="order-1", amount=1000)
    damage(journal, "lost")
    held = await batch(sandbox, journal, "order-1,x,s-1", heading=ALL, operation=operation)
    assert (held.status, captured(sandbox)) == (5, [0, 0, 0])
    assert "line 2: order-1: is held: it is of a payment of which" in held.err
    named = await batch(
        sandbox, journal, "order-1,x,s-1", heading=ALL, operation=operation, more=("--another", "order-1")
    )
    assert named.status == 0


async def test_the_column_releases_rows_beside_what_cannot_be_read(sandbox: Sandbox, journal: Path) -> None:
    """`another`: yes, in the row."""
    await leave_open(journal, "lost", payment="order-1", amount=1000)
    damage(journal, "lost")
    done = await batch(sandbox, journal, "order-1,1000,x,s-1,yes", heading=f"{HEADING},another")
    assert (done.status, captured(sandbox)) == (0, [0, 1000, 0])


async def test_a_row_whose_own_entry_cannot_be_read_ends_alone(sandbox: Sandbox, journal: Path) -> None:
    """Named as another one it has the key of what cannot be read: it stays held, with the way out; the others go on."""
    lines = ("order-0,1000,x,s-0", "order-1,1000,x,s-1")
    assert (await batch(sandbox, journal, lines[1])).status == 0
    listed = await inline("journal", "list", "--json", "--journal", str(journal), env=env(sandbox))
    damage(journal, orjson.loads(listed.out.splitlines()[0])["idempotency_key"])
    assert (await batch(sandbox, journal, *lines)).status == 5
    named = await batch(sandbox, journal, *lines, "order-2,1000,x,s-2", more=("--another", "order-1"))
    assert (named.status, captured(sandbox)) == (5, [1000, 1000, 1000])
    why = "it has an entry of its own that cannot be read, and may have moved money: entry 1 of the journal, payment"
    assert f"line 3: order-1: 10.00 NOK is held: {why} order-1" in named.err
    assert "once it is compared, vipps-async journal discard ENTRY deletes it." in named.err
    assert ("--another" in named.err, "waits for" in named.err) == (False, False)


async def test_what_may_be_of_any_payment_is_said_and_holds_nothing(sandbox: Sandbox, journal: Path) -> None:
    """The payment's name does not exist, so it may be what is damaged; a dry run says it, too."""
    await leave_open(journal, "lost", payment="order-1", amount=1000)
    damage(journal, "lost", "payment = 'prder-1'")
    for more, sums in ((("--dry-run",), [0, 0, 0]), ((), [0, 1000, 0])):
        done = await batch(sandbox, journal, "order-1,1000,x,s-1", more=more)
        assert (done.status, captured(sandbox)) == (0, sums)
        assert done.err.count("payment prder-1 (what it holds does not fit its checksum)") == 1
        assert "A payment's name may be damaged, too" in done.err


async def test_a_no_does_not_say_that_no_money_moved_where_it_may_have(sandbox: Sandbox, journal: Path) -> None:
    """What cannot be read may have moved money; where all can be read, nothing has."""
    file, production = journal.with_name("day.csv"), env(sandbox, VIPPS_ENVIRONMENT="production")
    write(file, HEADING + "\norder-0,1000,x,s-0\n")
    command = ("batch", "capture", str(file), "--journal", str(journal), *HERE)
    said_no = await inline(*command, env=production, typed=("no",))
    assert (said_no.status, "Nothing was sent: no money moved.\n" in said_no.err) == (1, True)
    await leave_open(journal, "lost", payment="order-1", amount=1000)
    damage(journal, "lost")
    said_no = await inline(*command, env=production, typed=("no",))
    assert (said_no.status, "no money moved" in said_no.err) == (1, False)
    assert "Nothing was sent by this command.\n" in said_no.err


@pytest.mark.parametrize(
    ("heading", "row", "amount"),
    [(HEADING, "order-1,1000,x,s-1", 1000), (ALL, "order-1,x,s-1", 5000)],
    ids=["an amount", "all that is left"],
)
async def test_a_row_that_was_dropped_is_not_sent_again(
    sandbox: Sandbox, journal: Path, heading: str, row: str, amount: int
) -> None:
    """By no run of its file, also where its payment is named; `journal send` is the way back, and is told."""
    sandbox.faults.script("capture", *[Fault.HTTP_500_BEFORE] * 20)
    sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 60)
    lost = await batch(sandbox, journal, row, heading=heading)
    assert lost.status == 3
    sandbox.faults.clear()
    at = ("--journal", str(journal))
    listed = await inline("journal", "list", "--open", "--json", *at, env=env(sandbox))
    key = orjson.loads(listed.out.splitlines()[0])["idempotency_key"]
    assert (await inline("journal", "drop", key, *at, env=env(sandbox))).status == 0
    before = [each.operation for each in sandbox.requests].count("capture")
    for more in ((), ("--another", "order-1")):
        held = await batch(sandbox, journal, row, row.replace("-1", "-2"), heading=heading, more=more)
        assert held.status == 5
        assert "is held: it was dropped by hand on 20" in held.err
        assert f"`vipps-async journal send {key}` sends it again" in held.err
        assert "Where another one is meant" not in held.err
    assert captured(sandbox) == [0, 0, amount]
    assert [each.operation for each in sandbox.requests].count("capture") == before + 1
    assert (await inline("journal", "send", key, *at, env=env(sandbox))).status == 0
    done = await batch(sandbox, journal, row, heading=heading)
    assert (done.status, captured(sandbox)) == (0, [0, amount, amount])


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["run", "dry run"])
async def test_a_row_is_held_beside_a_dropped_one_whatever_the_references(
    sandbox: Sandbox, journal: Path, more: tuple[str, ...]
) -> None:
    """The dropped one may yet take effect, and then both would: status 5, and named as another one it goes."""
    intent = await leave_open(journal.with_name("other.db"), "theirs", payment="order-1", amount=1000)
    opened = SqliteJournal(journal)
    await opened.open()
    intent = evolve(intent, reference="s-0")
    await opened.begin(intent, owner="somebody", lease=0)
    await opened.aclose()
    await drop(journal, intent)
    # Two rows of one file that ask for the same are two operations.
    lines = ("order-1,1000,x,s-1", "order-2,1000,x,s-2", "order-2,1000,x,s-3")
    held = await batch(sandbox, journal, *lines, more=more)
    assert (held.status, captured(sandbox)) == (5, [0, 0, 0 if more else 2000])
    assert "line 2: order-1: 10.00 NOK is held: it meets a capture of 10.00 NOK over ecom, which is open" in held.err
    named = await batch(sandbox, journal, *lines, more=(*more, "--another", "order-1"))
    assert (named.status, captured(sandbox)) == (0, [0, 0, 0] if more else [0, 1000, 2000])

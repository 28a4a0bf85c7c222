"""Which journal a command looks into: the shop's own, in a file or in PostgreSQL, and what it says of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open, note_done
from tests.cli.processes import Finished
from tests.cli.shell import HERE, env
from tests.cli.test_payment import CAPTURE
from vipps_async.batch.job import BatchJob
from vipps_async.batch.report import Totals
from vipps_async.journals.postgres.place import PostgresPlace
from vipps_async.testing import Sandbox

HUNDRED = (*CAPTURE, "--amount", "100.00")
OWN = "(the command line's own: what a service has open in another one is not known here; --journal, --dsn)"
NOT_THERE = "(there is none yet: it knows of no payment)"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with two payments of 499 kroner that the customer has accepted."""
    async with Sandbox(rate_limits=False) as running:
        for order in ("order-1", "order-2"):
            stock_one(running, order, 49_900)
        yield running


@pytest.fixture
def shop(postgres_dsn: str, postgres_schema: str) -> PostgresPlace:
    """Where the shop's journal is in PostgreSQL; it is not there yet."""
    return PostgresPlace(postgres_dsn, postgres_schema)


def options_of(shop: PostgresPlace) -> tuple[str, ...]:
    """What names the shop's journal on a command line."""
    return ("--dsn", shop.dsn, "--schema", shop.schema)


def variables_of(shop: PostgresPlace) -> Mapping[str, Any]:
    """What names it in a settings file."""
    return {"VIPPS_JOURNAL_DSN": shop.dsn, "VIPPS_JOURNAL_SCHEMA": shop.schema}


async def live(sandbox: Sandbox, *command: str, typed: tuple[str, ...] | None = None, **variables: str) -> Finished:
    """Run a command in production; nothing that it says shows a DSN."""
    production = env(sandbox, VIPPS_ENVIRONMENT="production", **variables)
    done = await inline(*command, *HERE, env=production, typed=typed)
    for dsn in (
        variables.get("VIPPS_JOURNAL_DSN"),
        command[command.index("--dsn") + 1] if "--dsn" in command else None,
    ):
        assert not dsn or dsn not in done.out + done.err
    return done


def sent(sandbox: Sandbox) -> list[str]:
    """What was sent that moves money."""
    return [each.operation for each in sandbox.requests if each.operation in {"capture", "refund", "cancel"}]


# --- a file -----------------------------------------------------------------------------------------------------------


async def test_who_names_no_journal_reads_that_it_is_the_command_lines_own(sandbox: Sandbox, tmp_path: Path) -> None:
    """Before the question, on one line; where one is named nothing of it is said, and never by what only reads."""
    asked = await live(sandbox, *HUNDRED, typed=("no",))
    line, question = asked.err.index(OWN), asked.err.index("in PRODUCTION?")
    assert line < question
    journal = tmp_path / "shop.db"
    await leave_open(journal, "lost", payment="order-2")
    named = await live(sandbox, *HUNDRED, "--journal", str(journal), typed=("no",))
    assert f"journal {journal}\n" in named.err
    assert named.err.index(f"journal {journal}\n") < named.err.index("in PRODUCTION?")
    assert "command line's own" not in named.err
    assert (await live(sandbox, "payment", "show", "order-1")).err == ""


async def test_a_named_journal_that_is_not_there_is_said_before_the_question(sandbox: Sandbox, tmp_path: Path) -> None:
    """It may be a slip: the shop's own is another one then, of which nothing is known."""
    journal = tmp_path / "typo.db"
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-0\n")
    for command in (HUNDRED, ("batch", "capture", str(file)), ("batch", "capture", str(file), "--json")):
        asked = await live(sandbox, *command, typed=("no",), VIPPS_JOURNAL=str(journal))
        assert asked.status == 1
        assert asked.err.index(f"journal {journal} {NOT_THERE}\n") < asked.err.index("in PRODUCTION?")


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (("--journal", "/nowhere/x.db", "--dsn", "host=192.0.2.1"), {}, "--journal and --dsn: which one is meant?"),
        (("--schema", "shop"), {}, "--schema belongs to --dsn, or to VIPPS_JOURNAL_DSN"),
        (
            ("--journal", "/nowhere/x.db", "--schema", "shop"),
            {"VIPPS_JOURNAL_DSN": "host=192.0.2.1"},
            "--schema belongs to --dsn, or to VIPPS_JOURNAL_DSN",
        ),
        (
            (),
            {"VIPPS_JOURNAL": "/nowhere/x.db", "VIPPS_JOURNAL_DSN": "host=192.0.2.1"},
            "VIPPS_JOURNAL and VIPPS_JOURNAL_DSN name a journal each",
        ),
    ],
    ids=["two options", "a schema alone", "a schema of a file", "two variables"],
)
async def test_two_journals_are_not_chosen_between(
    sandbox: Sandbox, options: tuple[str, ...], variables: dict[str, Any], said: str
) -> None:
    """Status 2, and nothing is sent: the other one may be the shop's."""
    refused = await live(sandbox, *HUNDRED, "--yes", *options, **variables)
    assert (refused.status, sent(sandbox)) == (2, [])
    assert said in refused.err


async def test_what_the_command_line_names_goes_before_a_variable(sandbox: Sandbox, tmp_path: Path) -> None:
    """`--journal` is meant although the settings name a database, which is not even looked for."""
    journal = tmp_path / "shop.db"
    await leave_open(journal, "lost")
    refused = await live(
        sandbox, *HUNDRED, "--yes", "--journal", str(journal), VIPPS_JOURNAL_DSN="host=192.0.2.1 password=hush"
    )
    assert (refused.status, sent(sandbox)) == (3, [])


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["options", "variables"])
async def test_nothing_is_sent_beside_what_the_shop_has_open(sandbox: Sandbox, shop: PostgresPlace, by: str) -> None:
    """The shop's journal is in PostgreSQL: a capture by hand is refused, and `journal recover` settles it once."""
    await leave_open(shop, "lost")
    options = options_of(shop) if by == "options" else ()
    variables = variables_of(shop) if by == "variables" else {}
    refused = await live(sandbox, *HUNDRED, "--yes", *options, **variables)
    assert (refused.status, sent(sandbox)) == (3, [])
    assert f"journal {shop.name}\n" in refused.err
    assert "payment order-1, key lost" in refused.err
    typed_again = f" --dsn DSN --schema {shop.schema}" if options else ""
    assert f"vipps-async journal recover{typed_again}\n" in refused.err
    settled = await live(sandbox, "journal", "recover", "--yes", *options, **variables)
    assert (settled.status, sandbox.payment("order-1").captured) == (0, 10_000)
    assert f"Journal: {shop.name}\n" in settled.err
    twin = await live(sandbox, *HUNDRED, *options, typed=("no",), **variables)
    assert (twin.status, "Look out: the journal has this as done on " in twin.err) == (1, True)
    assert sandbox.payment("order-1").captured == 10_000


@pytest.mark.parametrize("meanwhile", ["open", "done"])
async def test_what_the_shop_does_while_somebody_is_asked_counts(
    sandbox: Sandbox, shop: PostgresPlace, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Nobody is kept from it: after the yes it is looked into again, and what is new is refused or asked about."""
    await note_done(shop, "other", payment="order-2")
    answers = ["yes"] if meanwhile == "open" else ["yes", "no"]
    first = len(answers)

    async def typed_line(_: str) -> str:
        if len(answers) == first:
            await (leave_open if meanwhile == "open" else note_done)(shop, "of-the-shop")
        return answers.pop(0)

    monkeypatch.setattr("vipps_async.cli.confirmation.typed_line", typed_line)
    monkeypatch.setattr("vipps_async.cli.confirmation.is_terminal", lambda: True)
    ended = await live(sandbox, *HUNDRED, **variables_of(shop))
    assert (ended.status, answers, sent(sandbox)) == (3 if meanwhile == "open" else 1, [], [])
    assert "payment order-1, key of-the-shop" in ended.err
    assert "The journal is kept from other processes" not in ended.err


@pytest.mark.parametrize("at", [1, 2], ids=["what is open", "the file"])
async def test_what_comes_while_a_batch_asks_is_left_open(
    sandbox: Sandbox, shop: PostgresPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Nobody has agreed to it: it is named and not sent, whichever question it came at; what was agreed to goes on."""
    await leave_open(shop, "lost", payment="order-1", amount=700)
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-0\n")
    asked: list[str] = []

    async def typed_line(question: str) -> str:
        asked.append(question)
        if len(asked) == at:
            await leave_open(shop, "of-the-shop", payment="order-2", amount=300)
        return "yes"

    monkeypatch.setattr("vipps_async.cli.confirmation.typed_line", typed_line)
    monkeypatch.setattr("vipps_async.cli.confirmation.is_terminal", lambda: True)
    carry_out = BatchJob.run

    async def run(self: BatchJob) -> Totals:
        await note_done(shop, "of-the-shop", payment="order-2", amount=300)
        return await carry_out(self)

    # The shop settles its own meanwhile: that is none of what this run has done.
    monkeypatch.setattr(BatchJob, "run", run)
    done = await live(sandbox, "batch", "capture", str(file), **variables_of(shop))
    assert (done.status, len(asked)) == (0, 2)
    assert "Settled first, beside the rows of this file: 1 capture of 7.00 NOK.\n" in done.out
    assert (
        "this run settles nothing of these payments:\n  ecom.capture of 3.00 NOK, payment order-2, key of-the"
        in done.err
    )
    assert [sandbox.payment(order).captured for order in ("order-1", "order-2")] == [1700, 0]


async def test_a_no_makes_no_journal_in_a_database(sandbox: Sandbox, shop: PostgresPlace) -> None:
    """Nor does a look: neither the doctor, nor a command of `journal`, nor `payment show`; a yes makes it."""
    asked = await live(sandbox, *HUNDRED, *options_of(shop), typed=("no",))
    assert (asked.status, f"journal {shop.name} {NOT_THERE}\n" in asked.err) == (1, True)
    checked = await live(sandbox, "doctor", *options_of(shop))
    assert (checked.status, f"there is no journal {shop.name}" in " ".join(checked.out.split())) == (1, True)
    listed = await live_journal(sandbox, "list", shop)
    assert (listed.status, f"there is no journal {shop.name}" in listed.err) == (2, True)
    assert "check --dsn and --schema" in listed.err
    assert (await live(sandbox, "payment", "show", "order-1", *options_of(shop))).status == 0
    assert not await shop.exists()
    assert (await live(sandbox, *HUNDRED, *options_of(shop), "--yes")).status == 0
    assert await shop.exists()


async def live_journal(sandbox: Sandbox, action: str, shop: PostgresPlace) -> Finished:
    """Run an action of `journal` that needs no `--allow-host`."""
    return await inline("journal", action, *options_of(shop), env=env(sandbox))


async def test_a_batch_and_the_doctor_know_the_shops_journal(
    sandbox: Sandbox, shop: PostgresPlace, tmp_path: Path
) -> None:
    """A batch settles what is open there first, and notes its rows there; the doctor counts what is open."""
    await leave_open(shop, "lost", payment="order-2", amount=700)
    checked = await live(sandbox, "doctor", **variables_of(shop))
    told = " ".join(checked.out.split())
    assert f"1 open in the journal {shop.name}, the oldest since " in told
    assert "-> settle it: vipps-async journal recover" in told
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-0\n")
    dry = await live(sandbox, "batch", "capture", str(file), "--dry-run", *options_of(shop))
    assert (dry.status, "Would be settled first: 1 operation" in dry.out) == (0, True)
    done = await live(sandbox, "batch", "capture", str(file), *options_of(shop), typed=("yes", "yes"))
    assert done.status == 0
    assert done.err.index(f"journal {shop.name}\n") < done.err.index("in PRODUCTION?")
    assert "The journal is kept from other processes" not in done.err.partition("Settle 1 capture")[2]
    assert [sandbox.payment(order).captured for order in ("order-1", "order-2")] == [1000, 700]
    again = await live(sandbox, "batch", "capture", str(file), "--yes", **variables_of(shop))
    assert (again.status, "1 captured before" in again.out) == (0, True)
    twin = await live(sandbox, *CAPTURE, "--amount", "10.00", typed=("no",), **variables_of(shop))
    assert "Look out: the journal has this as done on " in twin.err


async def test_show_tells_the_maker_by_the_shops_journal(sandbox: Sandbox, shop: PostgresPlace) -> None:
    """EPayment knows payments of eCom, too: the journal in the database tells."""
    stock_one(sandbox, "order-1234", 49_900)
    await note_done(shop, "done", payment="order-1234")
    shown = await live(sandbox, "payment", "show", "order-1234", "--api", "epayment", **variables_of(shop))
    assert (shown.status, "Made over ecom: the journal has its ecom.capture" in shown.out) == (0, True)


async def test_a_database_that_does_not_answer_sends_nothing(sandbox: Sandbox) -> None:
    """Status 2: what the shop has open is not known, so nothing is sent; its password is not shown."""
    away = "postgresql://shop:hush-hush@127.0.0.1:9/shop"
    refused = await live(sandbox, *HUNDRED, "--yes", VIPPS_JOURNAL_DSN=away)
    assert (refused.status, sent(sandbox)) == (2, [])
    assert "hush-hush" not in refused.err
    assert "the journal's database could not be opened" in refused.err


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://shop:hush-hush@db.internal/shop", "own@db.internal/shop"),
        ("host=db.internal password=hush-hush", "own@db.internal"),
        ("service=shop", "own@shop"),
        ("dbname=shop", "own@localhost/shop"),
        ("postgresql://a:hush-hush@[oops/shop", "own"),
    ],
)
def test_the_name_of_a_database_shows_no_password(monkeypatch: pytest.MonkeyPatch, dsn: str, name: str) -> None:
    """Schema, host and database, as far as the DSN says them."""
    for variable in ("PGHOST", "PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(variable, raising=False)
    place = PostgresPlace(dsn, "own")
    assert place.name == name
    assert "hush-hush" not in repr(place)

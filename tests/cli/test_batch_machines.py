"""`vipps-async batch submit`, `work`, `status` and `report`: what a person types, sees and gets."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.batch.shop import MSN, stock, stock_one
from tests.cli.processes import Finished, command, environment_with_keys, run
from tests.short_waits import shorten_waits
from vipps_async import dkk
from vipps_async.batch.distributed import submit
from vipps_async.batch.distributed.chunks import ROUNDS
from vipps_async.cli.main import carried_out, main, read_command_line
from vipps_async.config import RetryPolicy
from vipps_async.sandbox import Fault, SandboxCredentials, SandboxSettings
from vipps_async.testing import Sandbox

PATIENCE = 60.0
HEADING = "order_id,amount_ore,transaction_text,reference\n"


@pytest.fixture
def schema(postgres_schema: str) -> str:
    """A schema of the command's own making, gone after the test."""
    return postgres_schema


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


@pytest.fixture
def env(sandbox: Sandbox, postgres_dsn: str) -> Mapping[str, str]:
    """The environment of a command that talks to the sandbox and finds the database."""
    return environment_with_keys(
        VIPPS_BASE_URL=sandbox.url,
        VIPPS_ENVIRONMENT="test",
        VIPPS_BATCH_DSN=postgres_dsn,
    )


Batch = Callable[..., Awaitable[Finished]]


@pytest.fixture
def batch(
    env: Mapping[str, str], schema: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Batch:
    """Runs `vipps-async batch ACTION` to its end, in this process: starting one takes longer than most of them do."""

    async def run_here(action: str, *arguments: str, command: str = "batch", **variables: str) -> Finished:
        with monkeypatch.context() as patch:
            shorten_waits(patch.setattr)
            for name, value in {**env, **variables}.items():
                if name.startswith("VIPPS_"):
                    patch.setenv(name, value)
            try:
                dsn = () if command == "batch" else ("--dsn", env["VIPPS_BATCH_DSN"])
                options = read_command_line([command, action, *arguments, *dsn, "--schema", schema])
                status = await carried_out(options)
            except SystemExit as end:
                status = int(end.code or 0)
        return Finished(status, *capsys.readouterr())

    return run_here


def orders(tmp_path: Path, count: int) -> Path:
    """A file that captures 10 kroner of each of the first orders."""
    file = tmp_path / "captures.csv"
    file.write_text(HEADING + "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(count)))
    return file


async def test_from_a_file_to_its_report(
    sandbox: Sandbox, env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """Submitted, worked on by two workers, watched, reported; submitted again, nothing happens."""
    stock(sandbox, 120)
    file, report = orders(tmp_path, 120), tmp_path / "report.jsonl"
    submitted = await batch("submit", str(file))
    assert submitted.status == 0, submitted.err
    assert submitted.out == "1\n"
    assert submitted.err.startswith(f"batch and journal in {schema}@")
    assert "Batch 1: 120 rows in 3 chunks, to be captured over ecom for sales unit 123456 in the test" in submitted.err
    before = await batch("status", "1")
    assert before.status == 4
    assert "0 of 120" in before.out
    assert "Chunks: 0 ended, 0 in work, 3 waiting; 0 workers." in before.out
    one, watch = await asyncio.gather(
        run("batch", "work", "--once", "--schema", schema, env=env),
        run("batch", "status", "1", "--watch", "--schema", schema, env=env),
    )
    assert one.status == 0, one.err
    assert f"for sales unit 123456 in the test environment.\njournal {schema}@" in one.err
    assert watch.status == 0, watch.err
    assert "120 captured, 1200.00 NOK" in watch.out.replace(",200", "200")
    status = await batch("status", "1", "--json")
    facts = json.loads(status.out)
    expected = {"batch": 1, "ended": True, "rows": 120, "moved": 120_000, "environment": "test", "note": None}
    assert expected.items() <= facts.items()
    assert (await batch("report", "1", "--report", str(report))).status == 0
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["order_id"] for line in lines] == [f"order-{number}" for number in range(120)]
    assert {line["outcome"] for line in lines} == {"captured"}
    again = await batch("submit", str(file))
    assert (again.status, again.out) == (0, "1\n")
    assert "This file is batch 1 already; nothing was added." in again.err
    other = json.loads((await batch("submit", str(file), "--new-batch", "--json")).out)
    assert other == {"batch": 2, "api": "ecom", "new": True, "chunks": 3, "held": 0, "rows": 120, "invalid": 0}
    assert all(payment.captured == 1000 for payment in sandbox.payments)


async def test_another_currency_goes_to_the_workers(
    env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """A batch over `epayment-dkk` is captured in kroner of Denmark, status and report say so."""
    file = tmp_path / "captures.csv"
    file.write_text("reference,amount_dkk\nacme-order-1,499.00\nacme-order-2,all\n")
    async with Sandbox(settings=SandboxSettings(currencies={MSN: "DKK"}), rate_limits=False) as sandbox:
        async with sandbox.session() as vipps:
            for number in (1, 2):
                reference = f"acme-order-{number}"
                await vipps.epayment.create(reference=reference, amount=dkk(499), return_url="https://example.com/back")
                await sandbox.approve(reference)
        there = {"VIPPS_BASE_URL": sandbox.url}
        submitted = await batch("submit", str(file), "--api", "epayment-dkk", **there)
        assert submitted.status == 0, submitted.err
        done = await run("batch", "work", "--once", "--schema", schema, env={**env, **there})
        assert done.status == 0, done.err
        assert [payment.captured for payment in sandbox.payments] == [49_900, 49_900]
    facts = json.loads((await batch("status", "1", "--json")).out)
    assert (facts["api"], facts["currency"], facts["moved"]) == ("epayment", "DKK", 99_800)
    assert "2 captured, 998.00 DKK" in (await batch("status", "1")).out
    report = tmp_path / "report.csv"
    assert (await batch("report", "1", "--report", str(report))).status == 0
    assert report.read_text().splitlines()[1].startswith("2,epayment,acme-order-1,499.00,")


async def test_a_bad_file_submits_nothing(
    sandbox: Sandbox, env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """Every bad row is named; without them the rest goes through, and the report tells of both."""
    stock(sandbox, 2)
    stock_one(sandbox, "waiting", 1000, approve=False)
    file = tmp_path / "captures.csv"
    rows = ["order-0,1000,Shipped.,s-0", "order-1,1e3,Shipped.,s-1", "unknown,1000,Shipped.,s-2"]
    file.write_text(HEADING + "\n".join(rows))
    refused = await batch("submit", str(file))
    assert refused.status == 2
    assert "line 3: order-1: " in refused.err
    assert "Nothing was submitted" in refused.err
    assert refused.out == ""
    assert (await batch("status", "1")).status == 2
    assert (await batch("submit", str(file), "--skip-invalid")).status == 0
    assert (await batch("work", "--once")).status == 0
    status = await batch("status", "1")
    assert status.status == 1
    assert "1 refused" in status.out
    assert "1 invalid, not sent" in status.out
    report = await batch("report", "1")
    assert report.status == 1
    outcomes = [line["outcome"] for line in csv.DictReader(io.StringIO(report.out))]
    assert outcomes == ["captured", "invalid", "refused"]


async def test_a_limit_is_waited_for_and_is_no_outcome(sandbox: Sandbox, batch: Batch, tmp_path: Path) -> None:
    """Vipps takes five captures a minute of one order: however often it says so, the row ends captured, not failed."""
    stock(sandbox, 3)
    # The first time it is tried as often as any call; then, that the limit is known, once each time.
    refusals = RetryPolicy().attempts + ROUNDS
    sandbox.faults.script("capture", *[Fault.HTTP_429] * refusals, order_id="order-0")
    assert (await batch("submit", str(orders(tmp_path, 3)))).status == 0
    assert (await batch("work", "--once")).status == 0
    ended = await batch("report", "1")
    assert [row["outcome"] for row in csv.DictReader(io.StringIO(ended.out))] == ["captured"] * 3
    assert (await batch("status", "1")).status == 0
    assert [payment.captured for payment in sandbox.payments] == [1000] * 3
    refused = [request for request in sandbox.requests if request.status == 429]
    assert len(refused) == refusals


async def test_what_stays_unknown_is_status_3(sandbox: Sandbox, batch: Batch, tmp_path: Path) -> None:
    """It says how to go on; the same file again has these rows tried again."""
    stock(sandbox, 1)
    # Details are put off, so that nobody can tell.
    sandbox.faults.retry_after = 3600
    sandbox.faults.script("capture", *[Fault.HTML_200_AFTER] * 60, order_id="order-0")
    sandbox.faults.script("details", *[Fault.HTTP_429_RETRY_AFTER] * 200, order_id="order-0")
    file = orders(tmp_path, 1)
    assert (await batch("submit", str(file))).status == 0
    assert (await batch("work", "--once")).status == 0
    status = await batch("status", "1")
    assert status.status == 3
    assert "1 unknown" in status.out
    assert "submit the same file again" in status.out
    listed = await batch("list", "--open", "--payment", "order-0", "--msn", MSN, command="journal")
    assert "1 open, 0 settled are shown." in listed.out
    sandbox.faults.clear()
    again = await batch("submit", str(file))
    assert "1 chunk of it that ended with rows without an outcome is tried again" in again.err
    assert (await batch("work", "--once")).status == 0
    assert (await batch("status", "1", "--watch", "--json")).status == 0
    assert sandbox.payment("order-0").captured == 1000


async def test_another_amount_than_was_asked_for(sandbox: Sandbox, batch: Batch, tmp_path: Path) -> None:
    """An outcome of its own with what moved: status 3, counted, never tried again; it holds what may be the same."""
    stock(sandbox, 3)
    sandbox.faults.script("capture", Fault.OTHER_AMOUNT_MOVED, order_id="order-0")
    file = orders(tmp_path, 3)
    assert (await batch("submit", str(file))).status == 0
    assert (await batch("work", "--once")).status == 0
    status = await batch("status", "1")
    assert (status.status, "1 captured otherwise, 5.00 NOK" in status.out) == (3, True)
    assert "submit the same file again" not in status.out
    facts = json.loads((await batch("status", "1", "--json")).out)
    assert (facts["outcomes"]["otherwise"], facts["moved"], facts["moved_otherwise"]) == (1, 2000, 500)
    line = next(csv.DictReader(io.StringIO((await batch("report", "1")).out)))
    assert (line["outcome"], line["amount_ore"], line["moved_ore"]) == ("captured otherwise", "1000", "500")
    assert "10.00 NOK were asked for, and " in line["what_happened"]
    assert json.loads((await batch("submit", str(file), "--json")).out)["chunks"] == 0
    unnamed = tmp_path / "unnamed.csv"
    _write(unnamed, "order_id,amount_ore,transaction_text\norder-0,1000,Shipped.\n")
    assert (await batch("submit", str(unnamed))).status == 5
    assert sandbox.payment("order-0").captured == 500


async def test_a_stopped_worker_gives_its_chunk_back(
    sandbox: Sandbox, env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """It finishes what is on its way, says how to go on, and ends with 130; the rest is there for the next one."""
    stock(sandbox, 60)
    file = orders(tmp_path, 60)
    assert (await batch("submit", str(file), "--rate", "30")).status == 0
    process = await asyncio.create_subprocess_exec(
        *command("batch", "work", "--schema", schema), stderr=asyncio.subprocess.PIPE, env=env
    )
    async with asyncio.timeout(PATIENCE):
        while not any(payment.captured for payment in sandbox.payments):  # noqa: ASYNC110 - done by the process
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert process.returncode == 130, err.decode()
    assert b"Finishing what is on its way" in err
    assert b"What is left goes to other workers" in err
    assert b"Traceback" not in err
    facts = json.loads((await batch("status", "1", "--json")).out)
    captured = sum(payment.captured > 0 for payment in sandbox.payments)
    assert facts["outcomes"]["done"] == captured < 60
    assert facts["chunks"]["running"] == 0
    assert (await batch("work", "--once")).status == 0
    assert (await batch("status", "1")).status == 0
    assert all(payment.captured == 1000 and len(payment.request_ids) == 1 for payment in sandbox.payments)


async def test_a_second_signal_ends_a_worker_at_once(
    sandbox: Sandbox, env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """Whatever hangs at Vipps: what is on its way is settled by the next worker."""
    stock(sandbox, 3)
    sandbox.faults.stall_seconds = 300
    sandbox.faults.script("capture", Fault.STALL_AFTER_EFFECT, order_id="order-1")
    assert (await batch("submit", str(orders(tmp_path, 3)))).status == 0
    process = await asyncio.create_subprocess_exec(
        *command("batch", "work", "--schema", schema), stderr=asyncio.subprocess.PIPE, env=env
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while sum(payment.captured > 0 for payment in sandbox.payments) < 3:  # noqa: ASYNC110 - done by the process
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        while b"Finishing" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    assert (await batch("work", "--once")).status == 0
    assert (await batch("status", "1")).status == 0
    assert all(payment.captured == 1000 and len(payment.moved("CAPTURE")) == 1 for payment in sandbox.payments)


async def test_refunds_and_cancels_are_named(
    sandbox: Sandbox, env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """`--operation` says what is done; what belongs to a cancel only is refused for others."""
    stock(sandbox, 2)
    file = tmp_path / "cancels.jsonl"
    file.write_text('{"order_id": "order-0", "transaction_text": "No."}\n')
    wrong = await batch("submit", str(file), "--operation", "refund", "--release-remaining")
    assert wrong.status == 2
    assert "--release-remaining belongs to a cancel" in wrong.err
    done = await batch("submit", str(file), "--operation", "cancel", "--release-remaining")
    assert "to be cancelled" in done.err
    assert (await batch("work", "--once")).status == 0
    assert "1 cancelled" in (await batch("status", "1")).out


async def test_rows_are_held_against_the_journal_and_all_batches(
    sandbox: Sandbox, batch: Batch, tmp_path: Path
) -> None:
    """A changed file, before and after it was worked on: each order once; a wanted second part when it is named."""
    stock(sandbox, 2, amount=5000)
    file = tmp_path / "captures.csv"
    unnamed = "order_id,amount_ore,transaction_text\norder-0,1000,Shipped.\n"
    _write(file, unnamed)
    assert (await batch("submit", str(file))).status == 0
    _write(file, unnamed + "order-1,1000,Shipped.\n")
    waiting = await batch("submit", str(file))
    assert (waiting.status, waiting.out) == (5, "2\n")
    assert "line 2: order-0: 10.00 NOK is held: it meets line 2 of batch 1" in waiting.err
    assert (await batch("work", "--once")).status == 0
    assert [payment.captured for payment in sandbox.payments] == [1000, 1000]
    _write(file, unnamed.replace("_text", "_text,reference").replace("Shipped.", "Shipped.,s-1"))
    named = await batch("submit", str(file), "--json")
    assert (named.status, json.loads(named.out)["held"]) == (5, 1)
    assert "is held: it meets a capture of 10.00 NOK over ecom, done" in named.err
    assert (await batch("work", "--once")).status == 0
    assert (await batch("status", "3")).status == 5
    released = await batch("submit", str(file), "--another", "order-0")
    assert (released.status, released.out) == (0, "3\n")
    assert (await batch("work", "--once")).status == 0
    assert [payment.captured for payment in sandbox.payments] == [2000, 1000]
    again = await batch("submit", str(file), "--another", "order-0", "--json")
    assert (again.status, json.loads(again.out)["chunks"]) == (0, 0)


async def test_production_is_confirmed_and_at_vipps_own_host(batch: Batch, tmp_path: Path) -> None:
    """Count, sum and sales unit before anything is submitted; another host than Vipps' own is named, or refused."""
    file = str(orders(tmp_path, 2))
    other = await batch("submit", file, VIPPS_ENVIRONMENT="production")
    assert other.status == 2
    assert "127.0.0.1, which is not Vipps' own host" in other.err
    asked = await batch("submit", file, "--allow-host", "127.0.0.1", VIPPS_ENVIRONMENT="production")
    assert asked.status == 2
    assert "give --yes. Nothing was sent." in asked.err
    done = await batch("submit", file, "--allow-host", "127.0.0.1", "--yes", VIPPS_ENVIRONMENT="production")
    assert done.status == 0
    worker = await batch("work", "--once", VIPPS_ENVIRONMENT="production")
    assert worker.status == 2
    assert "say --allow-host 127.0.0.1" in worker.err


async def test_a_worker_of_other_settings_refuses_loudly(sandbox: Sandbox, batch: Batch, tmp_path: Path) -> None:
    """Another host, environment or sales unit: a status of its own, and nothing is sent; none at all is wrong usage."""
    stock(sandbox, 20)
    assert (await batch("submit", str(orders(tmp_path, 20)))).status == 0
    host = await batch("work", "--once", VIPPS_BASE_URL="http://127.0.0.1:9")
    assert (host.status, "and this is the test environment at http://127.0.0.1:9" in host.err) == (7, True)
    place = await batch("work", "--once", "--allow-host", "127.0.0.1", VIPPS_ENVIRONMENT="production")
    assert place.status == 7
    unit = await batch("work", "--once", VIPPS_MERCHANT_SERIAL_NUMBER="654321")
    assert unit.status == 7
    assert "1 batch of sales unit 123456 has not ended: this worker takes none of them." in unit.err
    untold = await batch("work", "--once", VIPPS_ENVIRONMENT="")
    assert (untold.status, "which environment?" in untold.err) == (2, True)
    submitted = await batch("submit", str(orders(tmp_path, 21)), VIPPS_BASE_URL="http://127.0.0.1:9")
    assert submitted.status == 7
    assert not sandbox.requests


async def test_a_batch_is_withdrawn(sandbox: Sandbox, batch: Batch, tmp_path: Path) -> None:
    """Nothing more of it is begun, and status says so."""
    stock(sandbox, 20)
    assert (await batch("submit", str(orders(tmp_path, 20)))).status == 0
    done = await batch("withdraw", "1")
    assert (done.status, done.out) == (0, "Batch 1 is withdrawn: nothing more of it is begun.\n")
    assert (await batch("work", "--once")).status == 0
    status = await batch("status", "1")
    assert (status.status, "Withdrawn " in status.out, sandbox.requests) == (1, True, ())
    unknown = await batch("withdraw", "7")
    assert (unknown.status, "there is no batch 7 in the schema" in unknown.err) == (2, True)


@pytest.mark.parametrize("takes_effect", [True, False])
async def test_a_commit_without_an_answer_is_looked_up(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, takes_effect: bool
) -> None:
    """The line breaks while the database commits: it is said whether the batch is there, not guessed."""
    _break_at_commit(monkeypatch, takes_effect=takes_effect)
    done = await batch("submit", str(orders(tmp_path, 20)))
    if takes_effect:
        assert (done.status, done.out) == (0, "1\n")
    else:
        assert done.status == 2
        assert "nothing was submitted" in done.err
    assert (await batch("submit", str(orders(tmp_path, 20)))).status == 0
    assert (await batch("status", "3")).status == 2


async def test_a_commit_that_opens_a_batch_again_is_done_again(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening it twice does no more than once."""
    file = str(orders(tmp_path, 20))
    assert (await batch("submit", file)).status == 0
    _break_at_commit(monkeypatch, takes_effect=False)
    done = await batch("submit", file)
    assert (done.status, done.out) == (0, "1\n")


async def test_a_number_that_cannot_be_printed(batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is there: a status of its own, and the number on standard error."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        done = await batch("submit", str(orders(tmp_path, 20)))
    assert done.status == 8
    assert done.err.endswith("\n1\n")


async def test_a_commit_that_nobody_can_tell_about(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database stays away: status 3, and what to do."""
    _break_at_commit(monkeypatch, takes_effect=True)
    monkeypatch.setattr(submit, "_PATIENCE", 0.0)
    done = await batch("submit", str(orders(tmp_path, 20)))
    assert done.status == 3
    assert "does not say whether batch 1 is there" in done.err
    assert "submit the same file again" in done.err


def _break_at_commit(monkeypatch: pytest.MonkeyPatch, *, takes_effect: bool) -> None:
    """Break the line at the COMMIT of a submission, once."""
    armed: list[bool] = []
    ready, commit = submit._submitted, psycopg.AsyncConnection.commit

    async def arm(*arguments: Any, **named: Any) -> Any:
        armed.append(not armed)
        return await ready(*arguments, **named)

    async def break_off(self: psycopg.AsyncConnection[Any]) -> None:
        if not armed or not armed[-1]:
            return await commit(self)
        armed.append(False)
        await (commit(self) if takes_effect else self.rollback())
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(submit, "_submitted", arm)
    monkeypatch.setattr(psycopg.AsyncConnection, "commit", break_off)


async def test_status_and_report_need_no_rights_to_write(
    env: Mapping[str, str], schema: str, batch: Batch, tmp_path: Path
) -> None:
    """A role that may only read sees a batch; where there is none, nothing is made."""
    nowhere = await batch("status", "1")
    assert (nowhere.status, "there are no batches in the schema" in nowhere.err) == (2, True)
    with psycopg.connect(env["VIPPS_BATCH_DSN"], autocommit=True) as connection:
        found = connection.execute("SELECT to_regnamespace(%s) IS NULL", (schema,)).fetchone()
        assert found == (True,)
    assert (await batch("submit", str(orders(tmp_path, 3)))).status == 0
    role = "vipps_reader"
    with psycopg.connect(env["VIPPS_BATCH_DSN"], autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role}")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    reader = make_conninfo(env["VIPPS_BATCH_DSN"], options=f"-c role={role}")
    try:
        assert (await batch("status", "1", VIPPS_BATCH_DSN=reader)).status == 4
        report = await batch("report", "1", VIPPS_BATCH_DSN=reader)
        assert (report.status, report.out.count("not begun")) == (4, 3)
        assert (await batch("submit", str(orders(tmp_path, 4)), VIPPS_BATCH_DSN=reader)).status == 2
    finally:
        with psycopg.connect(env["VIPPS_BATCH_DSN"], autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def _write(file: Path, content: str) -> None:
    file.write_text(content)


async def test_keys_that_are_refused_are_told_once(batch: Batch, tmp_path: Path) -> None:
    """The worker ends by itself, with the reason."""
    keys = SandboxCredentials(client_id="other", client_secret="other", subscription_key="other")
    async with Sandbox(settings=SandboxSettings(credentials=[keys])) as sandbox:
        assert (await batch("submit", str(orders(tmp_path, 20)), VIPPS_BASE_URL=sandbox.url)).status == 0
        done = await batch("work", VIPPS_BASE_URL=sandbox.url)
    assert done.status == 1
    assert done.err.count("no row gets a usable answer") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "nowhere.csv"), "no such file"),
        (("submit", "{file}", "--chunk-size", "0"), "is no positive number"),
        (("status", "77"), "there are no batches in the schema"),
        (("report", "77"), "there are no batches in the schema"),
        (("report", "1", "--report", "/nowhere/report.csv"), "no directory /nowhere"),
        (("work", "--concurrency", "0"), "is not from 1 to 100"),
    ],
)
async def test_wrong_usage_and_input_is_status_2(
    batch: Batch, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """It says what is wrong, in one place."""
    file = str(orders(tmp_path, 1))
    done = await batch(*[argument.format(file=file) for argument in arguments])
    assert done.status == 2
    assert words in done.err


async def test_a_schema_has_a_plain_name(
    env: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused before anything is asked of the database."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    options = read_command_line(["batch", "submit", str(orders(tmp_path, 1)), "--schema", "Shop"])
    assert await options.run(options) == 2
    assert "schema must be" in capsys.readouterr().err


async def test_a_password_is_never_printed(batch: Batch, tmp_path: Path) -> None:
    """Neither that of a database that does not answer, nor that of a DSN that cannot be read; in no command."""
    file = str(orders(tmp_path, 1))
    for dsn in ("postgresql://shop:hush-hush@127.0.0.1:9/shop", "postgresql://shop:hush-hush@[oops/shop"):
        for arguments in (("submit", file), ("status", "1"), ("work",)):
            done = await batch(*arguments, VIPPS_BATCH_DSN=dsn)
            assert done.status == 2
            assert "hush" not in done.out + done.err
    help_text = await batch("work", "--help", VIPPS_BATCH_DSN="postgresql://a:hush-hush@b/c")
    assert "hush" not in help_text.out


def test_a_database_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line or in the environment."""
    monkeypatch.delenv("VIPPS_BATCH_DSN", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["batch", "status", "1"])
    assert end.value.code == 2
    assert "give --dsn, or set VIPPS_BATCH_DSN" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence that says what to install; other commands work without it."""
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    assert main(["batch", "status", "1", "--dsn", "postgresql://a:hush-hush@b/c"]) == 2
    text = capsys.readouterr().err
    assert "`batch status` needs the extra 'distributed'" in text
    assert "hush" not in text

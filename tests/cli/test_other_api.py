"""The command line knows no API: payments, batches, journals and the doctor go over a toy API, without eCom as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from attrs import frozen

from tests.cli.inline import inline
from tests.cli.processes import Finished, environment
from tests.toy.service import ToyService
from tests.toy.session import served, with_toy
from tests.toy.without_ecom import run_without_ecom

KEYS = {
    "VIPPS_CLIENT_ID": "client-id",
    "VIPPS_CLIENT_SECRET": "client-secret",
    "VIPPS_SUBSCRIPTION_KEY": "subscription-key",
    "VIPPS_MERCHANT_SERIAL_NUMBER": "123456",
}


@frozen
class Shell:
    """A shell at a shop of the toy API, with a journal."""

    service: ToyService
    url: str
    folder: Path

    async def run(self, *arguments: str, **further: str) -> Finished:
        """Run a command with `VIPPS_API=toy`."""
        env = {"VIPPS_BASE_URL": self.url, "VIPPS_API": "toy", "VIPPS_JOURNAL": str(self.folder / "journal.db")}
        return await inline(*arguments, env=environment(**{**KEYS, **env, **further}))


@asynccontextmanager
async def shell(*, losing: int = 0) -> AsyncIterator[Shell]:
    """Two payments of 10 euro at a toy API, of which the next answers may get lost."""
    service = ToyService({"toy-0": 1000, "toy-1": 1000}, losing=losing)
    with TemporaryDirectory() as folder:
        async with served(service) as url, with_toy():
            yield Shell(service, url, Path(folder))


async def test_a_payment_is_captured_refunded_and_shown() -> None:
    """A part, then all that remains, and one sum back: in the API's currency, each once under its key."""
    async with shell() as at:
        part = await at.run("payment", "capture", "toy-0", "--amount", "3.00", "--idempotency-key", "k-1")
        rest = await at.run("payment", "capture", "toy-0", "--all", "--idempotency-key", "k-2")
        again = await at.run("payment", "capture", "toy-0", "--all", "--idempotency-key", "k-2")
        back = await at.run("payment", "refund", "toy-0", "--amount", "0.50", "--json")
        shown = await at.run("payment", "show", "toy-0")
        facts = orjson.loads((await at.run("payment", "show", "toy-0", "--json")).out)
    assert (part.status, part.out) == (0, "3.00 EUR captured, toy payment toy-0\n"), part.err
    assert (rest.status, rest.out) == (0, "7.00 EUR captured, toy payment toy-0\n"), rest.err
    assert (again.status, "nothing was sent now" in again.out) == (0, True), again.err
    assert orjson.loads(back.out)["api"] == "toy"
    assert [key for verb, key in at.service.sent if verb == "capture"] == ["k-1", "k-2"]
    assert "captured                   10.00 EUR" in shown.out
    assert "left to refund              9.50 EUR" in shown.out
    assert (facts["api"], facts["payment"], facts["currency"], facts["captured_amount"]) == (
        "toy",
        "toy-0",
        "EUR",
        1000,
    )


async def test_all_that_remains_is_the_same_amount_under_the_same_key() -> None:
    """Without the journal that has it, the payment's history tells what the key stands for: nothing moves twice."""
    async with shell() as at:
        everything = ("payment", "refund", "toy-0", "--all", "--idempotency-key", "k-2")
        assert (await at.run("payment", "capture", "toy-0", "--amount", "4", "--idempotency-key", "k-1")).status == 0
        assert (await at.run(*everything)).out == "4.00 EUR refunded, toy payment toy-0\n"
        again = await at.run(*everything, VIPPS_JOURNAL=str(at.folder / "other.db"))
        nothing = await at.run("payment", "refund", "toy-0", "--all")
    assert (again.status, again.out) == (0, "4.00 EUR refunded, toy payment toy-0\n"), again.err
    assert at.service.total("toy-0", "refund") == 400
    assert (nothing.status, "nothing is left of the payment, so nothing was sent" in nothing.err) == (1, True)


async def test_a_cancel_has_a_key_where_the_api_takes_one() -> None:
    """It is printed, and goes with the request."""
    async with shell() as at:
        done = await at.run("payment", "cancel", "toy-1", "--idempotency-key", "k-3")
        refused = await at.run("payment", "capture", "toy-1", "--amount", "1")
    assert (done.status, done.out) == (0, "10.00 EUR cancelled, toy payment toy-1\n"), done.err
    assert "\nkey k-3: repeat with" in done.err
    assert at.service.sent[0] == ("cancel", "k-3")
    assert refused.status == 1


async def test_what_an_api_does_not_have_is_refused() -> None:
    """Its ids, amounts, texts and actions are its own: another's is wrong use, and nothing is sent."""
    async with shell() as at:
        for arguments, words in {
            ("capture", "order-1", "--all"): "payment must be text that begins with toy-",
            (
                "capture",
                "toy-0",
                "--amount",
                "0",
            ): "is no amount: euro with at most two decimals, such as 499.00 (or 499,00), from 0.01",
            ("capture", "toy-0", "--amount", "all"): "say --all to take all that remains",
            ("capture", "toy-0", "--all", "--text", "x"): "No such option '--text'",
            ("cancel", "toy-0", "--release-remaining"): "No such option '--release-remaining'",
            ("initiate", "toy-0"): "No such command 'initiate'",
            ("show", "toy-0", "--api", "no"): "there is no API 'no'; name one of",
            ("show", "toy-0", "--api"): "Option '--api' requires an argument",
        }.items():
            wrong = await at.run("payment", *arguments)
            assert (wrong.status, words in wrong.err) == (2, True), wrong.err
        assert (await at.run("payment", "show", "toy-0", VIPPS_API="no")).status == 2
    assert at.service.sent == []


async def test_an_unknown_outcome_is_settled_by_recovery() -> None:
    """What to do names the API; the journal lists the operation with it, and recovery asks it what happened."""
    from vipps_async.apis import DEFAULT_API  # noqa: PLC0415 - where eCom is blocked, it is the toy

    capture = ("payment", "capture", "toy-0", "--amount", "3.00", "--idempotency-key", "k-1", "--api", "toy")
    async with shell() as at:
        at.service.unknown = True
        lost = await at.run(*capture, VIPPS_API="")
        listed = await at.run("journal", "list", "--open")
        at.service.unknown = False
        settled = await at.run("journal", "recover", "--json")
        again = await at.run(*capture)
    assert lost.status == 3
    named = "" if DEFAULT_API == "toy" else " --api toy"
    assert f"To find out: vipps-async payment show toy-0{named}\n" in lost.err
    assert listed.out.split()[:5] == ["open", "toy.capture", "toy-0", "3.00", "EUR"]
    assert (settled.status, orjson.loads(settled.out)["sent_again"]) == (0, 1), settled.out
    assert (again.status, "nothing was sent now" in again.out) == (0, True), again.err
    assert at.service.total("toy-0", "capture") == 300


async def test_rebind_asks_the_api_of_what_is_done() -> None:
    """The same payments at another address are recognised by their history; others are not."""
    async with shell() as at:
        assert (await at.run("payment", "capture", "toy-0", "--amount", "3", "--idempotency-key", "k-1")).status == 0
        async with served(ToyService({"toy-0": 1000})) as stranger, served(ToyService({})) as empty:
            other = await at.run("journal", "rebind", "--yes", VIPPS_BASE_URL=stranger)
            unknown = await at.run("journal", "rebind", "--yes", VIPPS_BASE_URL=empty)
        async with served(at.service) as moved:
            same = await at.run("journal", "rebind", "--yes", VIPPS_BASE_URL=moved)
    assert (other.status, "history there lacks what is done in the journal (toy.capture of 3.00 EUR" in other.err) == (
        7,
        True,
    )
    assert (unknown.status, "does not know the payment" in unknown.err) == (7, True)
    assert (same.status, same.out.startswith("bound to test at 127.0.0.1:")) == (0, True), same.err


async def test_a_batch_goes_over_the_api_that_is_named() -> None:
    """Rows in its columns and currency, a report that names it, and a dry run by its history."""
    async with shell() as at:
        file, report = at.folder / "day.csv", at.folder / "report.csv"
        file.write_text("toy,amount_eur,reference\ntoy-0,3.00,a\ntoy-1,all,b\n")
        dry = await at.run("batch", "capture", str(file), "--dry-run")
        done = await at.run("batch", "capture", str(file), "--report", str(report), "--json", "--api", "toy")
        lines = report.read_text().splitlines()
    assert (dry.status, done.status) == (0, 0), dry.err + done.err
    facts = orjson.loads(done.out)
    assert (facts["api"], facts["moved"], facts["outcomes"]["done"]) == ("toy", 1300, 2)
    assert lines[1].startswith("2,toy,toy-0,3.00,a,captured,3.00,")
    assert len(at.service.sent) == 2


async def test_the_doctor_asks_the_api_that_is_named() -> None:
    """A payment that cannot exist is unknown to it: keys and sales unit are good there."""
    async with shell() as at:
        found = await at.run("doctor", "--json", "--api", "toy")
    unit = next(check for check in orjson.loads(found.out)["checks"] if check["check"] == "sales unit")
    assert (unit["state"], unit["api"]) == ("ok", "toy")
    assert "accepted by toy: a payment that does not exist is answered as unknown" in unit["text"]
    assert unit["advice"].endswith("vipps-async payment show ID --api toy")


_WITHOUT_ECOM = """
from tests.toy.session import instead_of_ecom
instead_of_ecom()
import asyncio
from tests.cli import test_other_api as tests
for name in sorted(vars(tests)):
    if asyncio.iscoroutinefunction(getattr(tests, name)) and name.startswith("test_"):
        asyncio.run(getattr(tests, name)())
        print(name)
"""


def test_the_command_line_needs_no_ecom() -> None:
    """With eCom's folder blocked from import, all of it works the same."""
    found = run_without_ecom(_WITHOUT_ECOM)
    assert (len(found.stdout.splitlines()), found.returncode) == (8, 0), found.stderr

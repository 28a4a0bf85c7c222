"""`vipps-async … --api epayment`: what a person types and reads, against a sandbox, over real sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import MSN, stock_one
from tests.cli.processes import Finished
from tests.cli.shell import CUSTOMER, HERE, PERSONAL, shell
from tests.support.rows import each_row
from vipps_async import Scope, SqliteJournal, dkk, eur, nok
from vipps_async.cli.main import read_command_line
from vipps_async.money import Money, format_amount
from vipps_async.sandbox import Fault, RequestRecord, SandboxSettings
from vipps_async.testing import Sandbox

PAYMENT = "acme-order-1"
CREATE = (
    *("payment", "create", PAYMENT, "--amount", "499.00", "--payment-description", "One pair of socks."),
    *("--return-url", "https://example.com/back"),
)
APPROVE = ("payment", "approve", PAYMENT, "--phone-number", f"47{CUSTOMER.mobile_number}")
SHOW = ("payment", "show", PAYMENT)
CAPTURE = ("payment", "capture", PAYMENT)
REFUND = ("payment", "refund", PAYMENT)
CANCEL = ("payment", "cancel", PAYMENT)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


async def run(
    sandbox: Sandbox, *arguments: str, said: str | None = None, personal: bool = False, **further: str
) -> Finished:
    """Run a command over ePayment, by the variable."""
    return await shell(sandbox, *arguments, said=said, personal=personal, VIPPS_API="epayment", **further)


async def paid(sandbox: Sandbox, reference: str = PAYMENT, amount: Money = nok(499)) -> None:  # noqa: B008 - frozen
    """Let a customer have accepted a payment."""
    async with sandbox.session() as vipps:
        await vipps.epayment.create(
            reference=reference, amount=amount, payment_description="Socks.", return_url="https://example.com/back"
        )
    await sandbox.approve(reference)


def sent(sandbox: Sandbox, verb: str) -> list[RequestRecord]:
    """The requests to one operation."""
    return [request for request in sandbox.requests if request.path.endswith(f"/{verb}")]


def moved(sandbox: Sandbox, reference: str = PAYMENT) -> tuple[int, int, int]:
    """What the sandbox's ledger has as captured, refunded and released, in minor units."""
    payment = sandbox.payment(reference)
    return payment.captured, payment.refunded, payment.released


# --- one payment ------------------------------------------------------------------------------------------------------


async def test_a_payment_from_its_creation_to_a_refund(sandbox: Sandbox) -> None:
    """Created, approved by its URL, captured in two parts, refunded: each says what moved and what is left."""
    created = await run(sandbox, *CREATE)
    assert (created.status, created.err) == (0, "")
    assert created.out.startswith(f"{sandbox.url}/dwo-api-application/v1/deeplink/vippsgateway?v=2&token=")
    assert len(created.out.splitlines()) == 1
    waiting = await run(sandbox, *SHOW)
    assert waiting.out.startswith(f"epayment payment {PAYMENT}: not accepted so far (Vipps: CREATED)\n")
    approved = await run(sandbox, *APPROVE, said=created.out)
    assert (approved.status, approved.out) == (0, f"approved, payment {PAYMENT}\n"), approved.err
    part = await run(sandbox, *CAPTURE, "--amount", "200.00", "--idempotency-key", "k-1")
    line = f"200.00 NOK captured, epayment payment {PAYMENT}; left to capture: 299.00 NOK, to refund: 200.00 NOK\n"
    assert (part.status, part.out) == (0, line), part.err
    assert "\nkey k-1: repeat with --idempotency-key=k-1" in part.err
    rest = await run(sandbox, *CAPTURE, "--all", "--idempotency-key", "k-2")
    assert rest.out.startswith("299.00 NOK captured, ")
    back = await run(sandbox, *REFUND, "--amount", "99", "--idempotency-key", "k-3")
    assert back.out.endswith("left to capture: 0.00 NOK, to refund: 400.00 NOK\n")
    assert moved(sandbox) == (49_900, 9_900, 0)
    lines = [" ".join(line.split()) for line in (await run(sandbox, *SHOW)).out.splitlines()]
    assert lines[:6] == [
        f"epayment payment {PAYMENT}: captured, refunded in part (Vipps: AUTHORIZED)",
        "reserved 499.00 NOK",
        "captured 499.00 NOK",
        "refunded 99.00 NOK",
        "left to capture 0.00 NOK",
        "left to refund 400.00 NOK",
    ]
    facts = orjson.loads((await run(sandbox, *SHOW, "--json")).out)
    assert (facts["state"], facts["reserved_amount"], facts["remaining_to_refund"]) == ("AUTHORIZED", 49_900, 40_000)
    assert [(event["verb"], event["amount"], event["is_done"], event["key"]) for event in facts["history"][:3]] == [
        ("refund", 9_900, True, "k-3"),
        ("capture", 29_900, True, "k-2"),
        ("capture", 20_000, True, "k-1"),
    ]
    assert [line.split()[2:] for line in lines[8:11]] == [
        ["REFUNDED", "99.00", "NOK", "yes", "k-3"],
        ["CAPTURED", "299.00", "NOK", "yes", "k-2"],
        ["CAPTURED", "200.00", "NOK", "yes", "k-1"],
    ]


async def test_all_that_remains_is_computed_once(sandbox: Sandbox) -> None:
    """Under the same key it is the same amount, which the journal has; under another one nothing is left."""
    await paid(sandbox)
    everything = (*CAPTURE, "--all", "--idempotency-key", "k-1")
    assert (await run(sandbox, *everything)).out.startswith("499.00 NOK captured, ")
    again = await run(sandbox, *everything)
    assert (again.status, "nothing was sent now" in again.out) == (0, True), again.err
    assert len(sent(sandbox, "capture")) == 1
    another = await run(sandbox, *CAPTURE, "--all")
    assert (another.status, "nothing is left of the payment, so nothing was sent" in another.err) == (1, True)
    assert moved(sandbox) == (49_900, 0, 0)


async def test_a_lost_journal_moves_nothing_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    """All that remains, asked for again under its key with an empty journal, is the amount of the event."""
    await paid(sandbox)
    everything = (*CAPTURE, "--all", "--idempotency-key", "k-1")
    await run(sandbox, *everything, "--journal", str(tmp_path / "one.db"))
    again = await run(sandbox, *everything, "--journal", str(tmp_path / "two.db"))
    assert (again.status, again.out.startswith("499.00 NOK captured, ")) == (0, True), again.err
    assert moved(sandbox) == (49_900, 0, 0)


async def test_a_cancel_after_a_part_capture_releases_the_rest(sandbox: Sandbox) -> None:
    """Without being asked twice, as ePayment does."""
    await paid(sandbox)
    await run(sandbox, *CAPTURE, "--amount", "200")
    done = await run(sandbox, *CANCEL)
    line = f"299.00 NOK cancelled, epayment payment {PAYMENT}; left to capture: 0.00 NOK, to refund: 200.00 NOK\n"
    assert (done.status, done.out) == (0, line), done.err
    assert moved(sandbox) == (20_000, 0, 29_900)
    facts = orjson.loads((await run(sandbox, *SHOW, "--json")).out)
    assert (facts["is_released"], facts["remaining_to_capture"], facts["remaining_to_refund"]) == (True, 0, 20_000)


async def test_a_cancelled_payment_says_so(sandbox: Sandbox) -> None:
    """Though its state at Vipps stays AUTHORIZED."""
    await paid(sandbox)
    assert (await run(sandbox, *CANCEL)).out == (
        f"499.00 NOK cancelled, epayment payment {PAYMENT}; left to capture: 0.00 NOK, to refund: 0.00 NOK\n"
    )
    assert (await run(sandbox, *SHOW)).out.startswith(f"epayment payment {PAYMENT}: cancelled (Vipps: AUTHORIZED)\n")


@each_row(
    ("arguments", "words"),
    [
        (("show", "short-1"), "(a payment that eCom made under a shorter order id can be handled by eCom only)"),
        (("capture", "short-1", "--all"), "can be handled by eCom only"),
        (("capture", PAYMENT, "--amount", "0.99"), "from 1.00 NOK to 650000.00 NOK"),
        (("capture", PAYMENT), "give either --amount or --all"),
        (("capture", PAYMENT, "--all", "--text", "x"), "No such option '--text'"),
        (("cancel", PAYMENT, "--release-remaining"), "No such option '--release-remaining'"),
        (("capture", PAYMENT, "--all", "--idempotency-key", "k" * 51), "1 to 50 printable ASCII characters"),
        (("initiate", PAYMENT), "No such command 'initiate'"),
        (("approve", PAYMENT, "--phone-number", "91234567"), "9 to 15 digits, the country's code first"),
        (("show", PAYMENT, "--api", "epayment-sek"), "there is no API 'epayment-sek'; name one of ecom, epayment,"),
    ],
)
async def test_what_breaks_a_rule_is_wrong_use(sandbox: Sandbox, arguments: tuple[str, ...], words: str) -> None:
    """Status 2, the rule in one line, and nothing is sent."""
    wrong = await run(sandbox, "payment", *arguments)
    assert (wrong.status, words in wrong.err) == (2, True), wrong.err
    assert not sandbox.requests


async def test_an_unknown_reference(sandbox: Sandbox) -> None:
    """Vipps' refusal with its code, no money moved, and what to check; for machines, too."""
    for arguments in (("show", "acme-order-9"), ("capture", "acme-order-9", "--all")):
        unknown = await run(sandbox, "payment", *arguments)
        assert unknown.status == 1
        assert "ErrorCode 5090" in unknown.err
        assert "check its id" in unknown.err
        assert "No money moved by this command." in unknown.err
    facts = orjson.loads((await run(sandbox, "payment", "capture", "acme-order-9", "--amount", "1", "--json")).out)
    error = facts["error"]
    assert (error["api"], error["operation"], error["kind"]) == ("epayment", "capture", "OrderNotFoundError")
    assert error["codes"] == ["ErrorCode 5090"]


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_personal_data_are_shown_only_when_asked_for(sandbox: Sandbox, form: tuple[str, ...]) -> None:
    """Who the customer is needs --personal; `shell` finds it anywhere else."""
    async with sandbox.session() as vipps:
        await vipps.epayment.create(
            reference=PAYMENT,
            amount=nok(499),
            payment_description="Socks.",
            return_url="https://example.com/back",
            scope=[Scope.NAME, Scope.EMAIL, Scope.PHONE_NUMBER, Scope.ADDRESS],
            metadata={"order": "Zebulonia's"},
        )
    await sandbox.approve(PAYMENT, customer=CUSTOMER)
    assert (await run(sandbox, *SHOW, *form)).status == 0
    asked = await run(sandbox, *SHOW, "--personal", *form, personal=True)
    assert [datum for datum in PERSONAL[:-1] if datum not in asked.out] == []


async def test_real_money_is_confirmed(sandbox: Sandbox) -> None:
    """In production nothing is sent without a yes, and only to a host that was named."""
    await paid(sandbox)
    before = len(sent(sandbox, "capture"))
    for arguments, words in (((*CAPTURE, "--all", *HERE), "--yes"), ((*CAPTURE, "--all", "--yes"), "--allow-host")):
        refused = await run(sandbox, *arguments, VIPPS_ENVIRONMENT="production")
        assert (refused.status, words in refused.err) == (2, True), refused.err
    assert len(sent(sandbox, "capture")) == before
    done = await run(sandbox, *CAPTURE, "--all", "--yes", *HERE, VIPPS_ENVIRONMENT="production")
    assert done.status == 0, done.err
    approve = await run(sandbox, *APPROVE, *HERE, said="", VIPPS_ENVIRONMENT="production")
    assert (approve.status, "test environment only" in approve.err) == (2, True), approve.err


async def test_the_question_names_the_sum(sandbox: Sandbox) -> None:
    """Whoever confirms all that remains reads how much that is, over which API."""
    await paid(sandbox)
    await run(sandbox, *CAPTURE, "--amount", "200")
    asked = (*CAPTURE, "--all", *HERE)
    finished = await shell(sandbox, *asked, typed=("no",), VIPPS_ENVIRONMENT="production", VIPPS_API="epayment")
    assert f"Capture all that remains, 299.00 NOK, of epayment payment {PAYMENT}" in " ".join(finished.err.split())
    assert moved(sandbox) == (20_000, 0, 0)


# --- unknown outcomes -------------------------------------------------------------------------------------------------


async def test_an_unknown_outcome_is_settled_by_recovery(sandbox: Sandbox) -> None:
    """Status 3 and what to do; the journal lists `epayment.capture`, and recovery settles it without a second one."""
    await paid(sandbox)
    sandbox.faults.randomise(
        rate=1,
        seed=1,
        operations={"capture", "get", "events"},
        kinds={Fault.RESET_AFTER_EFFECT},
    )
    lost = await run(sandbox, *CAPTURE, "--amount", "200", "--idempotency-key", "k-1")
    assert (lost.status, "Money may have moved." in lost.err) == (3, True), lost.err
    assert f"To find out: vipps-async payment show {PAYMENT}\n" in lost.err
    assert "--idempotency-key=k-1, never with a new key" in lost.err
    listed = await run(sandbox, "journal", "list", "--open")
    assert listed.out.split()[:5] == ["open", "epayment.capture", PAYMENT, "200.00", "NOK"]
    sandbox.faults.clear()
    settled = await run(sandbox, "journal", "recover", "--json")
    assert (settled.status, orjson.loads(settled.out)["proven"]) == (0, 1), settled.out
    again = await run(sandbox, *CAPTURE, "--amount", "200", "--idempotency-key", "k-1")
    assert (again.status, "nothing was sent now" in again.out) == (0, True), again.err
    assert moved(sandbox) == (20_000, 0, 0)


async def test_what_to_do_names_the_api(sandbox: Sandbox) -> None:
    """A command to be copied says the API and its currency where the variable does not."""
    await paid(sandbox)
    sandbox.faults.randomise(rate=1, seed=1, operations={"cancel", "get", "events"}, kinds={Fault.RESET_AFTER_EFFECT})
    lost = await shell(sandbox, *CANCEL, "--api", "epayment-eur")
    assert lost.status == 3
    assert f"vipps-async payment show {PAYMENT} --api epayment-eur\n" in lost.err


async def test_the_doctor_asks_epayment(sandbox: Sandbox) -> None:
    """Keys and sales unit are good where a payment that cannot exist is unknown."""
    found = orjson.loads((await run(sandbox, "doctor", "--json")).out)
    unit = next(check for check in found["checks"] if check["check"] == "sales unit")
    assert (unit["state"], unit["api"]) == ("ok", "epayment")
    assert "accepted by epayment" in unit["text"]


# --- which API made it ------------------------------------------------------------------------------------------------


async def test_the_journal_tells_which_api_made_a_payment(sandbox: Sandbox) -> None:
    """One that was created over ePayment, and one of eCom that is read over ePayment."""
    await run(sandbox, *CREATE)
    shown = await run(sandbox, *SHOW)
    assert "\nMade over epayment: the journal has its epayment.create, done " in shown.out
    assert orjson.loads((await run(sandbox, *SHOW, "--json")).out)["made_by"] == "epayment"
    initiate = (
        "--text",
        "Socks.",
        "--callback-prefix",
        "https://example.com/c",
        "--fall-back",
        "https://example.com/b",
    )
    ecom = "ecom-order-2"
    await shell(sandbox, "payment", "initiate", ecom, "--amount", "499", *initiate)
    of_ecom = await run(sandbox, "payment", "show", ecom)
    assert "\nMade over ecom: the journal has its ecom.initiate, done " in of_ecom.out
    listed = await run(sandbox, "journal", "list", "--payment", ecom)
    assert "\nMade over ecom: " in listed.out


async def test_what_moved_over_ecom_was_made_by_it(sandbox: Sandbox) -> None:
    """ECom moves its own payments alone, so a capture over it in the journal proves it; one over ePayment does not."""
    stock_one(sandbox, "ecom-order-1", 49_900)
    show = ("payment", "show", "ecom-order-1")
    await run(sandbox, "payment", "capture", "ecom-order-1", "--amount", "1")
    unknown = await run(sandbox, *show)
    assert "\nWhich API made it is not known: the journal has nothing done that shows it." in unknown.out
    assert "if ecom knows it, ecom made it.\nTo see: vipps-async payment show ecom-order-1 --api ecom\n" in unknown.out
    assert orjson.loads((await run(sandbox, *show, "--json")).out)["made_by"] is None
    assert "Made over ecom, which knows its own payments only.\n" in (await shell(sandbox, *show)).out
    await shell(sandbox, "payment", "capture", "ecom-order-1", "--amount", "1", "--text", "Shipped.")
    assert "\nMade over ecom: the journal has its ecom.capture, done " in (await run(sandbox, *show)).out


async def test_what_was_refused_or_is_open_proves_nothing(sandbox: Sandbox) -> None:
    """A capture that eCom refused, as it does not know the payment, and a create whose outcome nobody knows."""
    await paid(sandbox)
    refused = await shell(sandbox, "payment", "capture", PAYMENT, "--amount", "1", "--text", "Shipped.")
    assert refused.status == 1
    assert "\nWhich API made it is not known: " in (await run(sandbox, *SHOW)).out
    sandbox.faults.randomise(rate=1, seed=1, operations={"create", "get"}, kinds={Fault.RESET_AFTER_EFFECT})
    assert (await run(sandbox, *CREATE[:2], "acme-order-2", *CREATE[3:])).status == 3
    sandbox.faults.clear()
    shown = await run(sandbox, "payment", "show", "acme-order-2")
    assert "has nothing done that shows it; epayment.create is open there." in shown.out


async def test_a_journal_that_cannot_be_read_hides_no_payment(sandbox: Sandbox, tmp_path: Path) -> None:
    """What Vipps has is shown all the same, and why the journal tells nothing."""
    await paid(sandbox)
    broken = tmp_path / "journal.db"
    broken.write_text("no journal")
    shown = await run(sandbox, *SHOW, "--journal", str(broken))
    assert (shown.status, shown.out.startswith(f"epayment payment {PAYMENT}: reserved ")) == (0, True), shown.err
    assert "\nThe journal could not be read: " in shown.out


async def test_a_journal_in_use_is_not_waited_for(sandbox: Sandbox, tmp_path: Path) -> None:
    """A payment is shown at once while another process has the journal, and who that is."""
    await paid(sandbox)
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    try:
        shown = await run(sandbox, *SHOW, "--journal", str(tmp_path / "journal.db"))
    finally:
        await journal.aclose()
    assert (shown.status, shown.out.startswith(f"epayment payment {PAYMENT}: reserved ")) == (0, True), shown.err
    assert "\nThe journal could not be read: " in shown.out
    assert str(os.getpid()) in shown.out
    assert read_command_line(SHOW).wait == 0


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_a_batch_in_its_columns(sandbox: Sandbox, tmp_path: Path) -> None:
    """A dry run says what would move; the run moves it, one row all that is left; run again, nothing moves."""
    for number in (1, 2, 3):
        await paid(sandbox, f"acme-order-{number}")
    file, report = tmp_path / "day.csv", tmp_path / "report.csv"
    file.write_text("reference,amount_nok\nacme-order-1,200.00\nacme-order-2,all\nacme-order-9,10\n")
    command = ("batch", "capture", str(file), "--report", str(report), "--json")
    dry = await run(sandbox, *command, "--dry-run")
    assert not sent(sandbox, "capture")
    assert orjson.loads(dry.out)["outcomes"]["done"] == 2, dry.err
    done = await run(sandbox, *command)
    facts = orjson.loads(done.out)
    assert (done.status, facts["api"], facts["currency"], facts["moved"]) == (1, "epayment", "NOK", 69_900), done.err
    lines = report.read_text().splitlines()
    assert lines[0].startswith("line,api,reference,amount_nok,")
    assert lines[1].startswith("2,epayment,acme-order-1,200.00,")
    assert "refused" in lines[3]
    assert "5090" in lines[3]
    again = orjson.loads((await run(sandbox, *command)).out)
    assert (again["moved"], again["moved_before"]) == (0, 69_900)
    assert [moved(sandbox, f"acme-order-{number}")[0] for number in (1, 2, 3)] == [20_000, 49_900, 0]
    refunds = tmp_path / "refunds.jsonl"
    refunds.write_text('{"reference": "acme-order-2", "amount_ore": "all"}\n')
    assert (await run(sandbox, "batch", "refund", str(refunds))).status == 0
    cancels = tmp_path / "cancels.csv"
    cancels.write_text("reference\nacme-order-1\nacme-order-3\n")
    assert (await run(sandbox, "batch", "cancel", str(cancels))).status == 0
    assert [moved(sandbox, f"acme-order-{number}") for number in (1, 2, 3)] == [
        (20_000, 0, 29_900),
        (49_900, 49_900, 0),
        (0, 0, 49_900),
    ]


async def test_two_parcels_of_one_payment_are_two_rows(sandbox: Sandbox, tmp_path: Path) -> None:
    """The column `reference` names the payment; a row has its own name in `row_reference`, and the report has both."""
    await paid(sandbox)
    file, report = tmp_path / "day.csv", tmp_path / "report.jsonl"
    file.write_text(f"reference,amount_nok,row_reference\n{PAYMENT},100.00,parcel-1\n{PAYMENT},100.00,parcel-2\n")
    command = ("batch", "capture", str(file), "--report", str(report))
    assert (await run(sandbox, *command)).status == 0
    assert moved(sandbox) == (20_000, 0, 0)
    lines = [orjson.loads(line) for line in report.read_text().splitlines()]
    assert [(line["reference"], line["row_reference"]) for line in lines] == [
        (PAYMENT, "parcel-1"),
        (PAYMENT, "parcel-2"),
    ]
    other = tmp_path / "next.csv"
    other.write_text(f"reference,amount_nok,row_reference\n{PAYMENT},100.00,parcel-2\n{PAYMENT},100.00,parcel-3\n")
    assert (await run(sandbox, "batch", "capture", str(other))).status == 0
    assert moved(sandbox) == (30_000, 0, 0)


async def test_an_unnamed_row_that_may_be_done_before_is_held(sandbox: Sandbox, tmp_path: Path) -> None:
    """The payment's id is no name of the row: the same capture in another file is held, and moves nothing."""
    await paid(sandbox)
    for name, line in (("day.csv", ""), ("again.csv", "\n")):
        (tmp_path / name).write_text(f"reference,amount_nok\n{PAYMENT},100.00\n{line}")
    assert (await run(sandbox, "batch", "capture", str(tmp_path / "day.csv"))).status == 0
    held = await run(sandbox, "batch", "capture", str(tmp_path / "again.csv"))
    assert (held.status, "over epayment, done" in held.err) == (5, True), held.err
    assert moved(sandbox) == (10_000, 0, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("reference,amount_nok\nshort-1,1\n", "can be handled by eCom only"),
        (
            "order_id,amount_nok\nacme-order-1,1\n",
            '"order_id" (is it reference?) is no column of a batch file; there are reference,',
        ),
        ("reference,amount_dkk\nacme-order-1,1\n", ". Amounts in DKK: --api epayment-dkk"),
        ("reference,amount_cent\nacme-order-1,1\n", ". Amounts in EUR: --api epayment-eur"),
        (
            f"reference,amount_nok\n{PAYMENT},1\n{PAYMENT},1\n",
            "if both are meant, give each a row_reference of its own",
        ),
        ("reference,transaction_text\nacme-order-1,Shipped.\n", '"transaction_text" is no column'),
    ],
)
async def test_a_file_that_breaks_a_rule_sends_nothing(
    sandbox: Sandbox, tmp_path: Path, content: str, words: str
) -> None:
    """Status 2, and the line that says what is meant."""
    file = tmp_path / "day.csv"
    file.write_text(content)
    wrong = await run(sandbox, "batch", "capture", str(file))
    assert (wrong.status, words in wrong.err) == (2, True), wrong.err
    assert not sandbox.requests


# --- other currencies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [dkk(499), eur("49.90")], ids=str)
async def test_another_currency_is_named_with_the_api(tmp_path: Path, amount: Money) -> None:
    """`--api epayment-dkk`: amounts, questions, reports and headings are in that currency."""
    code, word = amount.currency, amount.currency.lower()
    async with Sandbox(
        settings=SandboxSettings(currencies={MSN: code}, partial_capture=[MSN]), rate_limits=False
    ) as sandbox:
        for number in (1, 2):
            await paid(sandbox, f"acme-order-{number}", amount)
        api = ("--api", f"epayment-{word}")
        part = await shell(sandbox, *CAPTURE, "--amount", "10.00", *api)
        assert (part.status, part.out.startswith(f"10.00 {code} captured, ")) == (0, True), part.err
        rest = await shell(sandbox, *REFUND, "--all", *api)
        assert (rest.status, rest.out.startswith(f"10.00 {code} refunded, ")) == (0, True), rest.err
        file = tmp_path / "day.csv"
        file.write_text(f"reference,amount_{word}\nacme-order-1,5.00\nacme-order-2,all\n")
        done = await shell(sandbox, "batch", "capture", str(file), "--json", *api)
        facts = orjson.loads(done.out)
        assert (done.status, facts["currency"], facts["moved"]) == (0, code, 500 + amount.value), done.err
        back = await shell(sandbox, "batch", "refund", str(file), *api)
        assert back.out.split() == ["2", "refunded,", format_amount(500 + amount.value, code).split()[0], code]
        assert [moved(sandbox, f"acme-order-{number}")[:2] for number in (1, 2)] == [
            (1_500, 1_500),
            (amount.value, amount.value),
        ]


async def test_a_payment_in_another_currency_than_was_named(tmp_path: Path) -> None:
    """Nothing moves: what takes all is refused before it is sent, an amount by Vipps; it is shown as it is."""
    async with Sandbox(settings=SandboxSettings(currencies={MSN: "DKK"}), rate_limits=False) as sandbox:
        await paid(sandbox, amount=dkk(499))
        everything = await run(sandbox, *CAPTURE, "--all")
        assert (everything.status, "payment must be one in NOK, not 'DKK'" in everything.err) == (2, True)
        amount = await run(sandbox, *CAPTURE, "--amount", "499")
        assert (amount.status, "No money moved by this command." in amount.err) == (1, True), amount.err
        file = tmp_path / "day.csv"
        file.write_text("reference,amount_nok\nacme-order-1,all\n")
        assert (await run(sandbox, "batch", "capture", str(file))).status == 1
        assert moved(sandbox) == (0, 0, 0)
        assert "left to capture 499.00 DKK" in " ".join((await run(sandbox, *SHOW)).out.split())

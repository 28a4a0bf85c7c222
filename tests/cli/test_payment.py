"""`vipps-async payment`: what a person types and reads, against a sandbox."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import orjson
import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.processes import environment
from tests.cli.shell import CUSTOMER, HERE, PERSONAL, at_terminal, shell
from tests.ecom.scripted_runner import ScriptedRunner
from tests.support.payments import initiate
from tests.support.rows import each_row
from vipps_async import ExpressCheckout, ShippingDetails, nok
from vipps_async.cli.main import main, read_command_line
from vipps_async.cli.output import json_line
from vipps_async.cli.payment_text import operation_result, state_result
from vipps_async.core.batch import BatchOperation
from vipps_async.core.operation import SettledBy
from vipps_async.core.payment_api import PaymentState
from vipps_async.ecom.details import PaymentDetails, TransactionLogEntry
from vipps_async.ecom.enums import OperationName, TransactionStatus
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.ecom.responses import CaptureResult, TransactionInfo
from vipps_async.sandbox import Fault, State
from vipps_async.testing import Sandbox

CAPTURE = ("payment", "capture", "order-1", "--text", "Shipped.")
REFUND = ("payment", "refund", "order-1", "--text", "Came back.")
CANCEL = ("payment", "cancel", "order-1", "--text", "Sold out.")
INITIATE = (
    *("payment", "initiate", "order-2", "--amount", "499.00", "--text", "Socks."),
    *("--callback-prefix", "https://example.com/callbacks", "--fall-back", "https://example.com/back"),
)
APPROVE = ("payment", "approve", "order-2", "--mobile-number", CUSTOMER.mobile_number)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with one payment of 499 kroner that the customer has accepted."""
    async with Sandbox(rate_limits=False) as running:
        stock_one(running, "order-1", 49_900)
        yield running


# --- looking at it ----------------------------------------------------------------------------------------------------


async def _express(sandbox: Sandbox) -> None:
    shipping = ShippingDetails(
        is_default=True, priority=1, shipping_cost=nok("49.50"), shipping_method="Post", shipping_method_id="post"
    )
    async with sandbox.session() as vipps:
        await vipps.ecom.initiate(
            order_id="express-1",
            amount=nok(100),
            transaction_text="Socks.",
            callback_prefix="https://example.com/callbacks",
            fall_back="https://example.com/back",
            express=ExpressCheckout(
                consent_removal_prefix="https://example.com/consents", static_shipping_details=[shipping]
            ),
        )
    await sandbox.approve("express-1", customer=CUSTOMER)


async def test_details_show_sums_and_history(sandbox: Sandbox) -> None:
    """In kroner with the unit, the newest first, failures named, with the key of each operation."""
    await shell(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key", "cap-1")
    await shell(sandbox, *CAPTURE, "--amount", "1000", "--idempotency-key", "cap-2")
    finished = await shell(sandbox, "payment", "show", "order-1")
    assert (finished.status, finished.err) == (0, "")
    lines = finished.out.splitlines()
    assert lines[0] == "ecom payment order-1: captured in part (Vipps: CAPTURE failed)"
    assert [" ".join(line.split()) for line in lines[1:6]] == [
        "reserved 499.00 NOK",
        "captured 100.00 NOK",
        "refunded 0.00 NOK",
        "left to capture 399.00 NOK",
        "left to refund 100.00 NOK",
    ]
    assert [line.split()[2:] for line in lines[8:10]] == [
        ["CAPTURE", "1000.00", "NOK", "FAILED", "cap-2"],
        ["CAPTURE", "100.00", "NOK", "yes", "cap-1"],
    ]
    assert lines[-3].split()[2:] == ["INITIATE", "499.00", "NOK", "yes"]
    assert lines[-2:] == ["", "Made over ecom, which knows its own payments only."]


async def test_details_for_machines_are_one_object(sandbox: Sandbox) -> None:
    """--json has everything under the names of the models, in øre."""
    await shell(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key", "cap-1")
    finished = await shell(sandbox, "payment", "show", "order-1", "--json")
    assert finished.status == 0
    facts = orjson.loads(finished.out)
    assert facts["order_id"] == "order-1"
    assert (facts["reserved_amount"], facts["remaining_to_capture"], facts["is_released"]) == (49_900, 39_900, False)
    assert facts["transaction_summary"]["captured_amount"] == 10_000
    newest = facts["transaction_log_history"][0]
    assert (newest["operation"], newest["operation_success"], newest["request_id"]) == ("CAPTURE", True, "cap-1")
    assert not {"user_details", "shipping_details", "sub"} & set(facts)


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_personal_data_are_shown_only_when_asked_for(sandbox: Sandbox, form: tuple[str, ...]) -> None:
    """Who the customer is, and the card's digits, need --personal; `shell` finds them anywhere else."""
    await _express(sandbox)
    await shell(sandbox, "payment", "show", "express-1", *form)
    asked = await shell(sandbox, "payment", "show", "express-1", "--personal", *form, personal=True)
    assert asked.status == 0
    assert [datum for datum in PERSONAL if datum not in asked.out] == []
    assert "Post" in asked.out
    assert "49.5" in asked.out


async def test_a_customer_of_whom_nothing_is_known(sandbox: Sandbox) -> None:
    """--personal says so when Vipps has nothing, before the customer has acted as well."""
    async with sandbox.session() as vipps:
        await initiate(vipps, "order-3", amount=nok(1))
    finished = await shell(sandbox, "payment", "show", "order-3", "--personal")
    assert "ecom payment order-3: not accepted so far (Vipps: INITIATE)" in finished.out
    assert "\n\nVipps has nothing about the customer here.\n\n" in finished.out
    assert "transaction_summary" in (await shell(sandbox, "payment", "show", "order-3", "--json")).out


async def test_an_unknown_order_is_status_1(sandbox: Sandbox) -> None:
    """The library's sentence with its advice, and that no money moved."""
    finished = await shell(sandbox, "payment", "show", "order-9")
    assert (finished.status, finished.out) == (1, "")
    assert "ecom.details of payment order-9: Vipps answered HTTP 404: Merchant 35" in finished.err
    assert "check its id" in finished.err
    assert finished.err.endswith("No money moved by this command.\n")


@pytest.mark.parametrize("order", ["47829164", "4747829164", "12345678901", "eyJabcdefgh"])
async def test_an_order_id_is_never_taken_out(sandbox: Sandbox, order: str) -> None:
    """Though it looks like a phone number, an identity number or a token: also where Vipps repeats it."""
    for arguments in (("show", order), ("capture", order, "--all", "--text", "x")):
        finished = await shell(sandbox, "payment", *arguments)
        assert f"orderId: {order}, " in finished.err
        assert "redacted" not in finished.err


async def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    """A key with control characters is shown without them; a history without times, or with a new word, is shown."""
    entry = TransactionLogEntry(
        amount=100, operation=OperationName("NEW\x1b[31m"), operation_success=True, request_id="k\x1b]0;x\x07\nforged"
    )
    runner = ScriptedRunner([PaymentDetails(transaction_log_history=(entry,))])
    shown = state_result(ECOM_API, "order-1", await ECOM_API.read_state(runner, "order-1"), personal=False)
    assert "\x1b" not in shown.text
    assert shown.text.splitlines()[-1].endswith("k ]0;x forged")
    assert orjson.loads(json_line(shown.facts))["transaction_log_history"][0]["operation"] == "NEW\x1b[31m"


# --- moving its money -------------------------------------------------------------------------------------------------


async def test_a_part_then_all_that_remains_then_a_refund(sandbox: Sandbox) -> None:
    """Capture a part, capture the rest, pay a part back: sums in kroner, and the money is where they say."""
    part = await shell(sandbox, *CAPTURE, "--amount", "100.00")
    assert part.status == 0, part.err
    assert part.out == "100.00 NOK captured, ecom payment order-1; left to capture: 399.00 NOK, to refund: 100.00 NOK\n"
    rest = await shell(sandbox, *CAPTURE, "--all")
    assert rest.out.startswith("399.00 NOK captured, ecom payment order-1; left to capture: 0.00 NOK")
    back = await shell(sandbox, *REFUND, "--amount", "9.50")
    assert back.out.startswith("9.50 NOK refunded, ecom payment order-1;")
    payment = sandbox.payment("order-1")
    assert (payment.captured, payment.refunded) == (49_900, 950)
    everything = await shell(sandbox, *REFUND, "--all", "--json")
    assert sandbox.payment("order-1").refunded == 49_900
    facts = orjson.loads(everything.out)
    assert (facts["operation"], facts["order_id"], facts["settled_by"]) == ("refund", "order-1", "answer")
    assert facts["transaction"]["amount"] == 48_950
    assert facts["transaction_summary"]["refunded_amount"] == 49_900
    assert f"\nkey {facts['idempotency_key']}: repeat with --idempotency-key=" in everything.err


@pytest.mark.parametrize("command", [CAPTURE, REFUND])
async def test_all_that_remains_of_nothing_is_told_so(sandbox: Sandbox, command: tuple[str, ...]) -> None:
    """Vipps' own words speak of an amount, where nobody has given one; what is refused for another reason does not."""
    early = await shell(sandbox, "payment", "capture", "order-9", "--text", "x", "--all")
    assert "Nothing is left" not in early.err
    for each in (CAPTURE, REFUND)[: 1 + (command is REFUND)]:
        assert (await shell(sandbox, *each, "--all")).status == 0
    again = await shell(sandbox, *command, "--all")
    assert again.status == 1
    assert f"Nothing is left to {command[1]}. Vipps has of this payment: reserved 499.00 NOK" in again.err
    assert "No money moved by this command." in again.err


async def test_cancel(sandbox: Sandbox) -> None:
    """A payment that is not captured is cancelled; it has no key, so only the journal is named."""
    finished = await shell(sandbox, *CANCEL)
    assert finished.status == 0
    assert re.fullmatch(r"journal \S+\.journal\.db \(the command line's own: [^\n]+\)\n", finished.err)
    assert finished.out.startswith("499.00 NOK cancelled, ecom payment order-1")
    assert sandbox.payment("order-1").released == 49_900
    assert "ecom payment order-1: cancelled (Vipps: " in (await shell(sandbox, "payment", "show", "order-1")).out


async def test_a_partly_captured_payment_is_released_only_when_told_so(sandbox: Sandbox) -> None:
    """Vipps refuses a plain cancel of it; --release-remaining releases the rest."""
    await shell(sandbox, *CAPTURE, "--amount", "100.00")
    refused = await shell(sandbox, *CANCEL)
    assert refused.status == 1
    assert "Payment 51" in refused.err
    assert (await shell(sandbox, *CANCEL, "--release-remaining")).status == 0
    assert sandbox.payment("order-1").released == 39_900


async def test_another_amount_is_told_as_settled(sandbox: Sandbox) -> None:
    """Vipps has moved another amount: both are told, with what to do, and nothing is said to be unknown or open."""
    sandbox.faults.script("capture", Fault.OTHER_AMOUNT_MOVED)
    finished = await shell(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key", "cap-1")
    assert finished.status == 3
    assert "Vipps has carried it out otherwise than asked" in finished.err
    assert "To see it: vipps-async payment show order-1" in finished.err
    for untrue in ("To repeat it", "To settle it", "Money may have moved"):
        assert untrue not in finished.err


async def test_a_refusal_is_status_1(sandbox: Sandbox) -> None:
    """What Vipps said, what to do, and that no money moved; for machines the same as one object."""
    refused = await shell(sandbox, *CAPTURE, "--amount", "500.00")
    assert (refused.status, refused.out) == (1, "")
    assert "Payment 61" in refused.err
    assert "ask details for what is left to capture" in refused.err
    assert refused.err.endswith("No money moved by this command.\n")
    for_machines = await shell(sandbox, *CAPTURE, "--amount", "500.00", "--idempotency-key", "k-1", "--json")
    assert for_machines.status == 1
    error = orjson.loads(for_machines.out)["error"]
    assert (error["kind"], error["effect"], error["codes"]) == ("CaptureError", "none", ["Payment 61"])
    assert (error["api"], error["operation"], error["payment"]) == ("ecom", "capture", "order-1")
    assert error["idempotency_key"] == "k-1"
    assert sandbox.payment("order-1").captured == 0


async def test_a_vipps_that_cannot_be_reached_is_status_1() -> None:
    """Nothing was sent, so no money moved."""
    async with Sandbox() as gone:
        pass
    finished = await shell(gone, *CAPTURE, "--all")
    assert finished.status == 1
    assert "connection refused" in finished.err
    assert finished.err.endswith("No money moved by this command.\n")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (SettledBy.ANSWER, ""),
        (SettledBy.HISTORY, "the payment's history proves it"),
        (SettledBy.JOURNAL, "nothing was sent now"),
        (SettledBy.EARLIER_CALL, "An equal command that was under way brought it"),
    ],
)
def test_a_result_says_what_it_rests_on(how: SettledBy, words: str) -> None:
    """Anything but Vipps' own answer is told; an answer without sums is shown all the same."""
    transaction = TransactionInfo(amount=49900, status=TransactionStatus.CAPTURED)
    result = CaptureResult(order_id="order-1", transaction=transaction, settled_by=how)
    shown = operation_result(ECOM_API, BatchOperation.CAPTURE, "order-1", result, idempotency_key="k")
    assert shown.text.splitlines()[0] == "499.00 NOK captured, ecom payment order-1"
    assert words in shown.text
    assert len(shown.text.splitlines()) == (2 if words else 1)


# --- wrong use --------------------------------------------------------------------------------------------------------


@each_row(
    "text",
    [
        "0",
        "0.99",
        "-5",
        "1e3",
        "499,001",
        "1,499",
        "1.499",
        "1.49,00",
        "1.499,0",
        "1.499 000,00",
        "499.001",
        "nan",
        "inf",
        "1_000",
        "٤٩٩",
        "",
        " 5",
        "499.00 DKK",
        "21474836.48",
    ],
)
@each_row("arguments", [CAPTURE, REFUND, (*INITIATE[:3], *INITIATE[5:])], ids=lambda a: a[1])
def test_wrong_amounts_are_status_2(arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no exact sum in kroner, from 1 krone on, is refused before anything else happens."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, f"--amount={text}"])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "is no amount: kroner with at most two decimals, such as 499.00 (or 499,00), from 1.00 NOK" in err


@each_row(
    ("text", "ore"),
    [
        ("499,00", 49_900),
        ("499,5", 49_950),
        ("1.499,00", 149_900),
        ("1 499,00", 149_900),
        ("1 499", 149_900),
        ("1\u00a0499,00", 149_900),
        ("1.234.567,89", 123_456_789),
        ("1499", 149_900),
        ("1.49", 149),
    ],
)
def test_a_comma_is_read_where_it_means_one_amount(text: str, ore: int) -> None:
    """As people in Norway write it, with or without the sign for thousands."""
    assert read_command_line([*CAPTURE, f"--amount={text}"]).amount == ore


@each_row(
    ("reserved", "captured", "refunded", "released", "word"),
    [
        (0, 0, 0, False, "not accepted so far"),
        (0, 0, 0, True, "cancelled"),
        (500, 0, 0, False, "reserved"),
        (500, 0, 0, True, "cancelled"),
        (500, 200, 0, False, "captured in part"),
        (500, 200, 0, True, "captured in part, the rest released"),
        (500, 500, 0, False, "captured"),
        (500, 500, 100, False, "captured, refunded in part"),
        (500, 500, 500, False, "captured, refunded"),
        (500, 200, 100, False, "captured in part, refunded in part"),
    ],
)
def test_a_word_says_where_a_payment_is(
    reserved: int,
    captured: int,
    refunded: int,
    released: bool,  # noqa: FBT001 - a case
    word: str,
) -> None:
    """By its sums, whatever Vipps calls it."""
    state = PaymentState(
        currency="NOK",
        reserved_amount=reserved,
        captured_amount=captured,
        refunded_amount=refunded,
        remaining_to_capture=0 if released else reserved - captured,
        remaining_to_refund=captured - refunded,
        is_released=released,
        vendor_state="AUTHORIZED",
        answer=PaymentDetails(transaction_log_history=()),
    )
    shown = state_result(ECOM_API, "order-1", state, personal=False)
    assert shown.text.startswith(f"ecom payment order-1: {word} (Vipps: AUTHORIZED)\n")
    assert shown.facts["state_word"] == word


@each_row(
    ("arguments", "words"),
    [
        (CAPTURE, "give either --amount or --all"),
        (REFUND, "give either --amount or --all"),
        ((*CAPTURE, "--amount", "5", "--all"), "give either --amount or --all"),
        ((*CAPTURE, "--all", "--idempotency-key", "--json"), "Option '--idempotency-key' requires an argument"),
        ((*CAPTURE, "--amount", "--all"), "Option '--amount' requires an argument"),
        ((*CAPTURE[:3], "--all", "--text", "--yes"), "one that begins with -- is given as --text=..."),
        ((*CAPTURE, "--al"), "No such option '--al'"),
        (CAPTURE[:3], "Missing option '--text'"),
        ((*CAPTURE[:3], "--all", "--text", " "), "transaction_text must be"),
        ((*CAPTURE, "--all", "--idempotency-key", "x" * 41), "idempotency_key must be"),
        (("payment", "show", "order/1"), "order_id must be"),
        (("payment", "show", "a" * 51), "order_id must be"),
        ((*APPROVE[:3], "--mobile-number", "+4747829163"), "mobile_number must be"),
        (("payment",), "Usage: vipps-async payment [OPTIONS] ACTION ..."),
        (("payment", "--api", "epayment", "show", "acme-order-1"), "Give it once, behind the action"),
        (("payment", "status", "order-1"), "No such command 'status'"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) else None,
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A forgotten option never takes everything; a phone number that is refused is not repeated."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert CUSTOMER.mobile_number not in err


async def test_missing_settings_are_status_2(sandbox: Sandbox) -> None:
    """The variables are named, and nothing is sent."""
    finished = await inline(*CAPTURE, "--all", env=environment(VIPPS_CLIENT_ID="id"))
    assert (finished.status, finished.out) == (2, "")
    assert "not set in the environment: VIPPS_CLIENT_SECRET, VIPPS_SUBSCRIPTION_KEY" in finished.err
    assert finished.err.endswith("No money moved by this command.\n")
    assert not sandbox.requests


@pytest.mark.parametrize("action", ["show", "capture", "refund", "cancel", "initiate", "approve"])
def test_help_tells_the_exit_statuses(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each action says what its exit status means."""
    with pytest.raises(SystemExit) as caught:
        main(["payment", action, "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Exit status 0: done; 1: Vipps refused" in text
    assert ("3: the outcome is not known" in text) == (action != "show")
    assert ("PERSONAL DATA" in text) == (action == "show")


# --- initiate and approve ---------------------------------------------------------------------------------------------


async def test_initiate_prints_the_url_and_approve_reads_it(sandbox: Sandbox) -> None:
    """The URL alone goes to stdout, so that it can be piped; no token need be typed on a command line."""
    asked = await shell(sandbox, *INITIATE, "--mobile-number", CUSTOMER.mobile_number)
    assert (asked.status, asked.err) == (0, "")
    assert asked.out == f"{sandbox.landing_url('order-2')}\n"
    assert sandbox.payment("order-2").amount == 49_900
    approved = await shell(sandbox, *APPROVE, said=asked.out)
    assert (approved.status, approved.out) == (0, "approved, payment order-2\n")
    assert sandbox.payment("order-2").state is State.RESERVE


async def test_initiate_for_machines_and_a_bare_token(sandbox: Sandbox) -> None:
    """--json has order and URL; approve takes the token alone, too."""
    facts = orjson.loads((await shell(sandbox, *INITIATE, "--json")).out)
    assert facts == {
        "api": "ecom",
        "operation": "initiate",
        "payment": "order-2",
        "url": sandbox.landing_url("order-2"),
    }
    approved = await shell(sandbox, *APPROVE, "--json", said=facts["url"].rpartition("token=")[2])
    assert (approved.status, orjson.loads(approved.out)["approved"]) == (0, True)


async def test_an_order_id_that_was_used_is_status_1(sandbox: Sandbox) -> None:
    """Vipps' 34, with the advice to look that payment up before another id is taken."""
    assert (await shell(sandbox, *INITIATE)).status == 0
    again = await shell(sandbox, *INITIATE)
    assert again.status == 1
    assert "it may be paid; take a new id" in again.err


async def test_a_url_that_vipps_cannot_call_is_status_2(sandbox: Sandbox) -> None:
    """The library's own rules hold, before anything is sent."""
    wrong = await shell(sandbox, *(text.replace("https://example.com/c", "http://example.com/c") for text in INITIATE))
    assert wrong.status == 2
    assert "callback_prefix must be an https URL" in wrong.err
    assert not sandbox.requests


@pytest.mark.parametrize("said", ["https://example.com/no-token\n", "two words\n"])
async def test_approve_without_a_token_is_status_2(sandbox: Sandbox, said: str) -> None:
    """What holds no token is refused, and not shown."""
    finished = await shell(sandbox, *APPROVE, said=said)
    assert finished.status == 2
    assert "token must be the token out of the payment's URL" in finished.err
    assert said.strip() not in finished.err
    assert not sandbox.requests


async def test_approve_without_number_and_url(sandbox: Sandbox) -> None:
    """Vipps wants neither the test user's number nor the token."""
    await shell(sandbox, *INITIATE)
    finished = await shell(sandbox, "payment", "approve", "order-2", said="\n")
    assert finished.status == 0
    assert sandbox.payment("order-2").reserved == 49_900


async def test_approve_is_for_the_test_environment_only(sandbox: Sandbox) -> None:
    """In production it is refused before anything is sent."""
    finished = await shell(sandbox, *APPROVE, *HERE, said="token", VIPPS_ENVIRONMENT="production")
    assert finished.status == 2
    assert "test environment only" in finished.err
    assert not sandbox.requests


async def test_at_a_terminal_approve_asks_for_the_url(sandbox: Sandbox) -> None:
    """The question goes to stderr, the answer is typed or pasted."""
    url = (await shell(sandbox, *INITIATE)).out
    async with at_terminal(sandbox, *APPROVE) as terminal:
        await terminal.until("The payment's URL: ")
        terminal.type(url)
        finished = await terminal.end()
    assert (finished.status, finished.out) == (0, "approved, payment order-2\n")


async def test_a_lost_answer_to_initiate_is_told_as_it_is(sandbox: Sandbox) -> None:
    """The payment exists, its URL is lost: status 1, for no money can move; an unreadable answer is status 3."""
    sandbox.faults.script("initiate", Fault.RESET_AFTER_EFFECT)
    lost = await shell(sandbox, *INITIATE)
    assert lost.status == 1
    assert "its URL is lost" in lost.err
    sandbox.faults.script("initiate", Fault.HTML_200_AFTER)
    sandbox.faults.retry_after = 3600
    sandbox.faults.script("details", *[Fault.HTTP_429_RETRY_AFTER] * 5)
    unread = await shell(sandbox, *(text.replace("order-2", "order-4") for text in INITIATE))
    assert unread.status == 3
    assert "It probably took effect. The payment may exist; no money moves before the customer accepts" in unread.err

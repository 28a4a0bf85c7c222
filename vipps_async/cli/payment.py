"""`vipps-async payment`: looks at one payment, and initiates, captures, refunds or cancels it from a shell."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from vipps_async.cli.confirmation import add_yes
from vipps_async.cli.hosts import add_allow_host
from vipps_async.cli.journal_file import add_journal
from vipps_async.cli.payment_arguments import (
    amount,
    idempotency_key,
    mobile_number,
    order_id,
    token_in,
    transaction_text,
)
from vipps_async.cli.payment_conduct import EXIT_STATUS, Plan, conduct
from vipps_async.cli.payment_display import Shown, shown_details, shown_result
from vipps_async.cli.terminal import is_terminal, typed_line
from vipps_async.ecom.responses import CaptureResult, RefundResult
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.money import format_nok
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.session import VippsSession

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

_PERSONAL_HELP = "show PERSONAL DATA as well: the customer's name, phone number, e-mail, address, ids, card digits"


def add_command(commands: Commands) -> None:
    """Add `payment details`, `capture`, `refund`, `cancel`, `initiate` and `approve` to the command line."""
    parser = commands.add_parser(
        "payment",
        help="look at one payment; initiate, capture, refund or cancel it",
        description="Looks at one payment of the sales unit of the VIPPS_ variables, or changes it.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_details(actions)
    _add_money(actions, "capture", "capture a reserved payment, or a part of it")
    _add_money(actions, "refund", "pay back what was captured, or a part of it")
    _add_cancel(actions)
    _add_initiate(actions)
    _add_approve(actions)


def _add(actions: Commands, name: str, purpose: str, more: str = "") -> argparse.ArgumentParser:
    # Without abbreviations: what takes everything, or answers for somebody, is to be written in full.
    description = f"{purpose[0].upper()}{purpose[1:]}. {more}{EXIT_STATUS}"
    parser = actions.add_parser(name, help=purpose, description=description, allow_abbrev=False)
    parser.add_argument("order", type=order_id, metavar="ORDER", help="the order id")
    parser.add_argument("--json", action="store_true", help="one JSON object, sums in øre; an error, too, is one")
    add_allow_host(parser)
    return parser


def _add_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text",
        type=transaction_text,
        required=True,
        metavar="TEXT",
        help="what the customer reads in Vipps, 1 to 100 characters",
    )


# --- details ---------------------------------------------------------------------------------------------------------


def _add_details(actions: Commands) -> None:
    parser = _add(actions, "details", "show a payment's sums and history")
    parser.add_argument("--personal", action="store_true", help=_PERSONAL_HELP)
    parser.set_defaults(run=_details)


async def _details(options: argparse.Namespace) -> int:
    async def ask(vipps: VippsSession) -> Shown:
        details = await vipps.ecom.details(options.order)
        return shown_details(options.order, details, personal=options.personal)

    return await conduct(options, Plan(operation="details", order_id=options.order, do=ask, noted=False))


# --- capture and refund ----------------------------------------------------------------------------------------------


def _add_money(actions: Commands, name: str, purpose: str) -> None:
    more = "The idempotency key is printed before anything is sent; with it the same command can be repeated. "
    parser = _add(actions, name, purpose, more)
    how_much = parser.add_mutually_exclusive_group(required=True)
    how_much.add_argument("--amount", type=amount, metavar="KRONER", help="how much, such as 499.00")
    how_much.add_argument("--all", action="store_true", help="all that remains")
    _add_text(parser)
    parser.add_argument(
        "--idempotency-key",
        type=idempotency_key,
        metavar="KEY",
        help="of an earlier try of the very same thing, which then is not done twice (default: a new one)",
    )
    add_journal(parser)
    add_yes(parser)
    parser.set_defaults(run=_money, operation=name)


async def _money(options: argparse.Namespace) -> int:
    operation: str = options.operation
    key: str = options.idempotency_key or new_idempotency_key()
    how_much: int | NotGiven = NOT_GIVEN if options.all else options.amount

    async def move(vipps: VippsSession) -> Shown:
        result: CaptureResult | RefundResult
        if operation == "capture":
            result = await vipps.ecom.capture(
                options.order, transaction_text=options.text, amount=how_much, idempotency_key=key
            )
        else:
            result = await vipps.ecom.refund(
                options.order, transaction_text=options.text, amount=how_much, idempotency_key=key
            )
        return shown_result(operation, result, idempotency_key=key)

    async def question() -> str:
        if not options.all:
            return f"{operation.capitalize()} {format_nok(options.amount)} of order {options.order}"
        # Whoever confirms "all that remains" should know how much that is.
        async with VippsSession.from_env() as vipps:
            details = await vipps.ecom.details(options.order)
        remains = details.remaining_to_capture if operation == "capture" else details.remaining_to_refund
        return f"{operation.capitalize()} all that remains, {format_nok(remains)}, of order {options.order}"

    plan = Plan(operation=operation, order_id=options.order, do=move, key=key, question=question)
    return await conduct(options, plan)


# --- cancel ----------------------------------------------------------------------------------------------------------


def _add_cancel(actions: Commands) -> None:
    parser = _add(actions, "cancel", "cancel a payment that is not captured")
    _add_text(parser)
    parser.add_argument(
        "--release-remaining",
        action="store_true",
        help="release what is left of a partly captured payment, which Vipps otherwise refuses to cancel",
    )
    add_journal(parser)
    add_yes(parser)
    parser.set_defaults(run=_cancel)


async def _cancel(options: argparse.Namespace) -> int:
    async def cancel(vipps: VippsSession) -> Shown:
        result = await vipps.ecom.cancel(
            options.order,
            transaction_text=options.text,
            should_release_remaining_funds=options.release_remaining,
        )
        return shown_result("cancel", result, idempotency_key=None)

    async def question() -> str:
        what = "Release what is left of order" if options.release_remaining else "Cancel order"
        return f"{what} {options.order}"

    return await conduct(options, Plan(operation="cancel", order_id=options.order, do=cancel, question=question))


# --- initiate and approve --------------------------------------------------------------------------------------------


def _add_initiate(actions: Commands) -> None:
    parser = _add(
        actions,
        "initiate",
        "ask for a payment, and print the URL for the customer",
        "No money moves before the customer accepts. Nothing but the URL goes to stdout; it is good for 5 minutes. ",
    )
    parser.add_argument("--amount", type=amount, required=True, metavar="KRONER", help="how much, such as 499.00")
    _add_text(parser)
    parser.add_argument(
        "--callback-prefix", required=True, metavar="URL", help="where Vipps posts the outcome: https, of a public host"
    )
    parser.add_argument(
        "--fall-back", required=True, metavar="URL", help="where the customer comes back to, paid or not"
    )
    parser.add_argument(
        "--mobile-number", type=mobile_number, metavar="NUMBER", help="the customer's, 8 digits, if you know it already"
    )
    add_journal(parser)
    parser.set_defaults(run=_initiate)


async def _initiate(options: argparse.Namespace) -> int:
    async def initiate(vipps: VippsSession) -> Shown:
        payment = await vipps.ecom.initiate(
            order_id=options.order,
            amount=options.amount,
            transaction_text=options.text,
            callback_prefix=options.callback_prefix,
            fall_back=options.fall_back,
            mobile_number=options.mobile_number,
        )
        return Shown(payment.url, {"order_id": payment.order_id, "url": payment.url})

    return await conduct(options, Plan(operation="initiate", order_id=options.order, do=initiate))


def _add_approve(actions: Commands) -> None:
    parser = _add(
        actions,
        "approve",
        "accept a payment as the customer would, in the test environment only",
        "The payment's URL, as initiate prints it, is read from standard input: it holds a token. An empty line sends "
        "none, which Vipps takes, too. ",
    )
    parser.add_argument(
        "--mobile-number",
        type=mobile_number,
        metavar="NUMBER",
        help="the test user's, 8 digits; left out, none is sent",
    )
    parser.set_defaults(run=_approve)


async def _approve(options: argparse.Namespace) -> int:
    async def approve(vipps: VippsSession) -> Shown:
        line = await typed_line("The payment's URL: ") if is_terminal() else sys.stdin.readline().strip()
        token = token_in(options.order, line) if line else None
        await vipps.ecom.approve(options.order, mobile_number=options.mobile_number, token=token)
        return Shown(f"approved, order {options.order}", {"order_id": options.order, "approved": True})

    return await conduct(options, Plan(operation="approve", order_id=options.order, do=approve, noted=False))

"""`vipps-async payment`: shows one payment of an API, moves its money, and does what that API alone can do."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import attrs

from vipps_async.apis import session_api
from vipps_async.cli.confirmation import add_yes, is_terminal, typed_line
from vipps_async.cli.journal_file import add_journal
from vipps_async.cli.maker import maker_by_answer, maker_by_file
from vipps_async.cli.options import Commands, add_allow_host, add_api, amount_of, checked
from vipps_async.cli.output import plain, say
from vipps_async.cli.payment_command import EXIT_STATUS, Command, run_command
from vipps_async.core.batch import BatchOperation
from vipps_async.core.operation import Repeat, SettledBy
from vipps_async.core.payment_api import (
    Action,
    ActionResult,
    BatchClient,
    HistoryEntry,
    PaymentApi,
    PaymentCommand,
    PaymentState,
)
from vipps_async.errors import ApiError, Effect, VippsError
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.money import format_amount
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.session import VippsSession

__all__ = ["add_command", "operation_result", "state_result"]

_PURPOSES = {
    BatchOperation.CAPTURE: "capture a reserved payment, or a part of it",
    BatchOperation.REFUND: "pay back what was captured, or a part of it",
    BatchOperation.CANCEL: "cancel a payment that is not captured",
}
#: What may have happened if the outcome is not known.
_DOUBTS = {
    BatchOperation.CAPTURE: "Money may have moved.",
    BatchOperation.REFUND: "Money may have moved.",
    BatchOperation.CANCEL: "The reservation may have been released.",
}
_SETTLED_BY = {
    SettledBy.ANSWER: "",
    SettledBy.HISTORY: "Vipps' answer got lost or proved nothing; the payment's history proves it.",
    SettledBy.JOURNAL: "It was done before under this key, as the journal has it; nothing was sent now.",
    SettledBy.EARLIER_CALL: "An equal command that was under way brought it.",
}


def add_command(commands: Commands, api: PaymentApi) -> None:
    """Add `payment` and its actions to the command line, with the options that an API takes."""
    parser = commands.add_parser(
        "payment",
        help="show one payment, capture, refund or cancel it, or make one",
        description="Shows one payment of the sales unit of the VIPPS_ variables, or changes it.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    show = _add(actions, api, "show", "show a payment's sums and history")
    personal = "show PERSONAL DATA as well: the customer's name, phone number, e-mail, address, ids, card digits"
    show.add_argument("--personal", action="store_true", help=personal)
    add_journal(show)
    # It only tells which API made the payment: that is not waited for.
    show.set_defaults(wait=0.0)
    show.set_defaults(run=_show)
    for operation in BatchOperation:
        _add_operation(actions, api, operation)
    for action in api.actions:
        _add_own_action(actions, api, action)


def _add(actions: Commands, api: PaymentApi, name: str, purpose: str, more: str = "") -> argparse.ArgumentParser:
    # Without abbreviations: what takes everything, or answers for somebody, is to be written in full.
    description = f"{purpose[0].upper()}{purpose[1:]}. {more}{EXIT_STATUS}"
    parser = actions.add_parser(name, help=purpose, description=description, allow_abbrev=False)
    heading = api.payment_heading.replace("_", " ")
    parser.add_argument("payment", type=checked(api.check_payment), metavar="PAYMENT", help=f"its {heading}")
    add_api(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object, sums in minor units; also of an error")
    add_allow_host(parser)
    return parser


def _client(vipps: VippsSession, api: PaymentApi) -> BatchClient:
    return session_api(vipps, api).batch


# --- show -------------------------------------------------------------------------------------------------------------


async def _show(options: argparse.Namespace) -> int:
    api: PaymentApi = options.api

    async def read(vipps: VippsSession) -> ActionResult:
        state = await api.read_state(_client(vipps, api).runner, options.payment)
        shown = state_result(api, options.payment, state, personal=options.personal)
        maker = maker_by_answer(api) or await maker_by_file(options, vipps.merchant_serial_number)
        return ActionResult(f"{shown.text}\n\n{maker.text}", {**shown.facts, "made_by": maker.api})

    return await run_command(
        options, Command(api=api, verb="show", payment=options.payment, call=read, is_journalled=False)
    )


def state_result(api: PaymentApi, payment: str, state: PaymentState, *, personal: bool) -> ActionResult:
    """Show a payment with its history.

    Args:
        api: what it was made with.
        payment: its id as it was asked for; an answer may come without one.
        state: what Vipps has.
        personal: show the customer as well.
    """
    lines = [f"{api.name} payment {payment}{f' ({state.status})' if state.status else ''}"]
    lines += [f"  {name:<16}{amount:>20}" for name, amount in state.sums.items()]
    lines += ["", *_history(state.history, state.currency)]
    facts = attrs.asdict(state.answer)
    if personal:
        known = [f"{name}: {plain(value)}" for name, value in _personal(facts, api.personal_fields)]
        lines += ["", *(known or ["Vipps has nothing about the customer here."])]
    else:
        facts = _without(facts, api.personal_fields)
    own = attrs.asdict(state, filter=lambda at, _: at.name != "answer")
    return ActionResult("\n".join(lines), facts | own)


def _history(entries: tuple[HistoryEntry, ...], currency: str) -> list[str]:
    rows = [("time (UTC)", "operation", "amount", "done", "idempotency key")]
    for entry in entries:
        time = "" if entry.time is None else f"{entry.time:%Y-%m-%d %H:%M:%S}"
        done = "yes" if entry.is_done else "FAILED"
        rows.append((time, plain(entry.name), format_amount(entry.amount, currency), done, plain(entry.key or "")))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        f"{time:<{widths[0]}}  {operation:<{widths[1]}}  {amount:>{widths[2]}}  {done:<{widths[3]}}  {key}".rstrip()
        for time, operation, amount, done, key in rows
    ]


def _without(facts: Any, names: frozenset[str]) -> Any:
    """Leave fields out, at any depth."""
    if isinstance(facts, dict):
        return {name: _without(value, names) for name, value in facts.items() if name not in names}
    return [_without(each, names) for each in facts] if isinstance(facts, list) else facts


def _personal(facts: Any, names: frozenset[str], within: str = "") -> Iterator[tuple[str, Any]]:
    """Find the values of these fields at any depth, with the way to each."""
    for name, value in facts.items() if isinstance(facts, dict) else ():
        way = f"{within}.{name}" if within else name if name in names else ""
        if isinstance(value, dict):
            yield from _personal(value, names, way)
        elif way and value is not None:
            yield way, value


# --- capture, refund and cancel ---------------------------------------------------------------------------------------


def _add_operation(actions: Commands, api: PaymentApi, operation: BatchOperation) -> None:
    is_keyed = api.operations[operation].repeat is Repeat.KEYED
    told = "The idempotency key is printed before anything is sent; with it the same command can be repeated. "
    parser = _add(actions, api, operation.value, _PURPOSES[operation], told if is_keyed else "")
    if operation is BatchOperation.CANCEL and not api.cancel_releases_rest:
        parser.add_argument(
            "--release-remaining",
            action="store_true",
            help="release what is left of a partly captured payment, which Vipps otherwise refuses to cancel",
        )
    elif operation is not BatchOperation.CANCEL:
        how_much = parser.add_mutually_exclusive_group(required=True)
        word = api.main_unit.word.upper()
        how_much.add_argument("--amount", type=amount_of(api), metavar=word, help="how much, such as 499.00")
        how_much.add_argument("--all", action="store_true", help="all that remains")
    if api.text_heading is not None:
        parser.add_argument(
            "--text", type=checked(api.check_text), required=True, metavar="TEXT", help="what the customer reads"
        )
    if is_keyed:
        parser.add_argument(
            "--idempotency-key",
            type=checked(api.check_key),
            metavar="KEY",
            help="of an earlier try of the very same thing, which then is not done twice (default: a new one)",
        )
    add_journal(parser)
    add_yes(parser)
    parser.set_defaults(run=_run_operation, operation=operation, is_keyed=is_keyed)


async def _say_if_nothing_is_left(client: BatchClient, command: PaymentCommand, error: ApiError) -> None:
    """Say of a refusal of all that remains that nothing does, where Vipps' own words speak of an amount."""
    operation = command.operation
    if (
        operation is BatchOperation.CANCEL
        or not isinstance(command.amount, NotGiven)
        or error.effect is not Effect.NONE
    ):
        return
    # The refusal is told all the same, whether or not Vipps answers here.
    with contextlib.suppress(VippsError):
        state = await client.api.read_state(client.runner, command.payment)
        if state.remaining(operation) <= 0:
            say(f"Nothing is left to {operation.value}. {state.describe()}")


async def _run_operation(options: argparse.Namespace) -> int:
    api: PaymentApi = options.api
    operation: BatchOperation = options.operation
    payment: str = options.payment
    key = (options.idempotency_key or new_idempotency_key()) if options.is_keyed else None
    amount: int | None = getattr(options, "amount", None)
    is_rest: bool = getattr(options, "release_remaining", False)

    async def move(vipps: VippsSession) -> ActionResult:
        client = _client(vipps, api)
        command = PaymentCommand(
            operation=operation,
            payment=payment,
            merchant_serial_number=client.merchant_serial_number,
            text=getattr(options, "text", ""),
            amount=NOT_GIVEN if amount is None else amount,
            key=key,
            release_remaining=is_rest,
        )
        try:
            result = await client.runner.run(api.make_call(await client.with_amount(command)))
        except ApiError as error:
            await _say_if_nothing_is_left(client, command, error)
            raise
        return operation_result(api, operation, payment, result, idempotency_key=key)

    async def question() -> str:
        named = f"{api.name} payment {payment}"
        if operation is BatchOperation.CANCEL:
            return f"Release what is left of {named}" if is_rest else f"Cancel {named}"
        word = operation.value.capitalize()
        if amount is not None:
            return f"{word} {format_amount(amount, api.currency)} of {named}"
        # Whoever confirms "all that remains" should know how much that is.
        async with VippsSession.from_env() as vipps:
            state = await api.read_state(_client(vipps, api).runner, payment)
        return f"{word} all that remains, {format_amount(state.remaining(operation), state.currency)}, of {named}"

    command = Command(
        api=api,
        verb=operation.value,
        payment=payment,
        call=move,
        key=key,
        question=question,
        doubt=_DOUBTS[operation],
        is_recovered=True,
    )
    return await run_command(options, command)


def operation_result(
    api: PaymentApi, operation: BatchOperation, payment: str, result: Any, *, idempotency_key: str | None
) -> ActionResult:
    """Show what a capture, refund or cancel did.

    Args:
        api: the payment's.
        operation: what was done.
        payment: its id.
        result: what the call returned.
        idempotency_key: what it was sent with; None: it has no key.
    """
    moved = api.moved(result)
    amount = "" if moved.amount is None else f"{format_amount(moved.amount, api.currency)} "
    lines = [f"{amount}{operation.done}, {api.name} payment {payment}"]
    if moved.left_to_capture is not None and moved.left_to_refund is not None:
        lines[0] += f"; left to capture: {format_amount(moved.left_to_capture, api.currency)}"
        lines[0] += f", to refund: {format_amount(moved.left_to_refund, api.currency)}"
    if how := _SETTLED_BY[result.settled_by]:
        lines.append(how)
    facts = _without(attrs.asdict(result), api.personal_fields)
    return ActionResult("\n".join(lines), {"idempotency_key": idempotency_key, **facts})


# --- what an API alone can do -----------------------------------------------------------------------------------------


def _add_own_action(actions: Commands, api: PaymentApi, action: Action) -> None:
    parser = _add(actions, api, action.verb, action.purpose, action.more)
    for option in action.options:
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=amount_of(api) if option.check is None else checked(option.check),
            required=option.required,
            metavar=option.metavar,
            help=option.help,
        )
    if action.is_journalled:
        add_journal(parser)
    parser.set_defaults(run=_run_own_action, action=action)


async def _run_own_action(options: argparse.Namespace) -> int:
    action: Action = options.action
    payment: str = options.payment

    async def call(vipps: VippsSession) -> ActionResult:
        values = {option.name: getattr(options, option.name) for option in action.options}
        if action.reads is not None:
            name, question = action.reads
            values[name] = await typed_line(question) if is_terminal() else sys.stdin.readline().strip()
        return await action.run(session_api(vipps, options.api), payment, values)

    command = Command(
        api=options.api,
        verb=action.verb,
        payment=payment,
        call=call,
        doubt=action.doubt,
        is_journalled=action.is_journalled,
    )
    return await run_command(options, command)

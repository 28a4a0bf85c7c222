"""`vipps-async payment`: shows one payment of an API, moves its money, and does what that API alone can do."""

from __future__ import annotations

import contextlib
import shlex
import sys

import click

from vipps_async.apis import DEFAULT_API, name_with_currency, payment_api, session_api
from vipps_async.batch.refusals import is_only_part_captured
from vipps_async.cli.commands import Command, Group, Options, Run, UsageError
from vipps_async.cli.confirmation import add_yes, is_terminal, typed_line
from vipps_async.cli.journal_place import add_journal
from vipps_async.cli.maker import maker_by_answer, maker_by_options
from vipps_async.cli.options import Reader, add_allow_host, add_api, add_sales_unit, amount_of, api_named_in
from vipps_async.cli.output import say
from vipps_async.cli.payment_check import JournalCheck
from vipps_async.cli.payment_command import EXIT_STATUS, EXIT_STATUS_OF_READ, PaymentRun, run_command
from vipps_async.cli.payment_text import operation_result, state_result
from vipps_async.core.batch import BatchOperation
from vipps_async.core.batch_client import BatchClient
from vipps_async.core.operation import Repeat
from vipps_async.core.payment_api import (
    Action,
    ActionResult,
    PaymentApi,
    PaymentCommand,
)
from vipps_async.errors import ApiError, Effect, VippsError
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.money import format_amount
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.session import VippsSession

#: The payment of the help's examples.
_EXAMPLE = "acme-order-1234"


class _Payment(Group):
    """`payment`, whose actions and options are those of the API that the command line names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Group`."""
        self.commands = {made.name: made for made in _actions(api_named_in(args)) if made.name is not None}
        return super().parse_args(ctx, args)


def command() -> Group:
    """Make `payment` and its actions."""
    made = _Payment(
        "payment",
        "show one payment, capture, refund or cancel it, or make one",
        "Shows one payment of the sales unit of the VIPPS_ variables, or changes it. The actions are those of the API "
        "that --api or VIPPS_API names. What the journal has of the payment is held against it first: let --journal or "
        "--dsn (VIPPS_JOURNAL, VIPPS_JOURNAL_DSN) name your service's, else it is one of the command line's own.",
        examples=(
            "payment show acme-shop-123-order123abc",
            f'payment capture {_EXAMPLE} --amount 499.00 --text "Shipped."',
            "payment --help --api epayment",
        ),
    )
    api = click.Option(
        ["--api"], metavar="NAME", help="with --help: list what this API has; else say it behind the action"
    )
    made.params.append(api)
    return made


def _actions(api: PaymentApi) -> list[Command]:
    example = f"payment show {_EXAMPLE}"
    show = _action(api, "show", _show, "show a payment's sums and history", example, more=EXIT_STATUS_OF_READ)
    show.flag(
        "--personal", "show PERSONAL DATA as well: the customer's name, phone number, e-mail, address, ids, card digits"
    )
    add_journal(show)
    # It only tells which API made the payment: that is not waited for.
    show.defaults(wait=0.0)
    return [
        show,
        *(_operation(api, operation) for operation in BatchOperation if operation in api.operations),
        *(_own_action(api, action) for action in api.actions),
    ]


def _action(
    api: PaymentApi, name: str, run: Run, purpose: str, *examples: str, more: str = EXIT_STATUS, **fixed: object
) -> Command:
    def check(options: Options) -> None:
        # The options are this API's: whatever made the line look like one of another API is not carried out by guess.
        if options.api is not api:
            raise UsageError("--api: which one is meant? Give it once, behind the action")
        if "all" in vars(options) and options.all == (options.amount is not None):
            raise UsageError("give either --amount or --all")
        if getattr(options, "new_key", False) and options.idempotency_key is None:
            raise UsageError("--new-key belongs to --idempotency-key")

    description = f"{purpose[0].upper()}{purpose[1:]}. {more}"
    shown = [f"{example}{_suffix(api)}" for example in examples]
    made = Command(name, run, purpose, description, examples=shown, check=check, fixed=fixed)
    heading = api.payment_heading.replace("_", " ")
    made.argument("payment", type=Reader(api.check_payment), metavar="PAYMENT", help=f"its {heading}")
    add_api(made)
    add_sales_unit(made)
    made.flag("--json", "one JSON object, sums in minor units; also of an error")
    add_allow_host(made)
    return made


def _suffix(api: PaymentApi) -> str:
    return "" if api is payment_api(DEFAULT_API) else f" --api {name_with_currency(api)}"


def _client(vipps: VippsSession, api: PaymentApi) -> BatchClient:
    return session_api(vipps, api).batch


# --- show -------------------------------------------------------------------------------------------------------------


async def _show(options: Options) -> int:
    api: PaymentApi = options.api

    async def read(vipps: VippsSession) -> ActionResult:
        state = await api.read_state(_client(vipps, api).runner, options.payment)
        shown = state_result(api, options.payment, state, personal=options.personal)
        maker = maker_by_answer(api) or await maker_by_options(options, vipps.merchant_serial_number)
        return ActionResult(f"{shown.text}\n\n{maker.text}", {**shown.facts, "made_by": maker.api})

    return await run_command(
        options, PaymentRun(api=api, verb="show", payment=options.payment, call=read, is_journalled=False)
    )


# --- capture, refund and cancel ---------------------------------------------------------------------------------------


def _operation(api: PaymentApi, operation: BatchOperation) -> Command:
    is_keyed = api.operations[operation].repeat is Repeat.KEYED
    is_cancel = operation is BatchOperation.CANCEL
    text = "" if api.text_heading is None else f' --text "{operation.facts.example}"'
    begins = f"payment {operation.value} {_EXAMPLE}"
    examples = [f"{begins}{text}"] if is_cancel else [f"{begins} --amount 499.00{text}", f"{begins} --all{text}"]
    told = "The idempotency key is printed before anything is sent; with it the same command can be repeated. "
    made = _action(
        api,
        operation.value,
        _run_operation,
        operation.facts.purpose,
        *examples,
        more=f"{told if is_keyed else ''}{EXIT_STATUS}",
        operation=operation,
        is_keyed=is_keyed,
    )
    if is_cancel and not api.cancel_releases_rest:
        made.flag(
            "--release-remaining",
            "release what is left of a partly captured payment, which Vipps otherwise refuses to cancel",
        )
    elif not is_cancel:
        word = api.main_unit.word.upper()
        made.option("--amount", type=amount_of(api), metavar=word, help="how much, such as 499.00; or --all")
        made.flag("--all", "all that remains; or --amount")
    if api.text_heading is not None:
        made.option(
            "--text", type=Reader(api.check_text), required=True, metavar="TEXT", help="what the customer reads"
        )
    if is_keyed:
        made.option(
            "--idempotency-key",
            type=Reader(api.check_key),
            metavar="KEY",
            help="of an earlier try of the very same thing, which then is not done twice (default: a new one)",
        )
        made.flag("--new-key", "the key is a new one of your own, which the journal need not know")
    made.flag("--another", "it is another one than what the journal has of the payment as open, or cannot read")
    add_journal(made)
    add_yes(made)
    return made


async def _say_what_is_left(client: BatchClient, command: PaymentCommand, error: ApiError) -> None:
    """Say what a refusal is about where Vipps' own words do not: nothing is left, or a part of it is captured."""
    operation = command.operation
    is_cancel = operation is BatchOperation.CANCEL
    if (not is_cancel and not isinstance(command.amount, NotGiven)) or error.effect is not Effect.NONE:
        return
    # The refusal is told all the same, whether or not Vipps answers here.
    with contextlib.suppress(VippsError):
        state = await client.api.read_state(client.runner, command.payment)
        if not is_cancel and state.remaining(operation) <= 0:
            say(f"Nothing is left to {operation.value}. {state.describe()}")
        elif is_only_part_captured(client.api, command, state):
            say(f"A part of it is captured: --release-remaining releases the rest. {state.describe()}")


async def _run_operation(options: Options) -> int:
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
            await _say_what_is_left(client, command, error)
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

    check = JournalCheck(
        api=api,
        operation=operation,
        payment=payment,
        key=key,
        is_given=options.is_keyed and options.idempotency_key is not None,
        is_new_key=getattr(options, "new_key", False),
        amount=amount,
        is_another=options.another,
    )
    to_run = PaymentRun(
        api=api,
        verb=operation.value,
        payment=payment,
        call=move,
        key=key,
        check=check,
        question=question,
        doubt=operation.facts.doubt,
        is_recovered=True,
    )
    return await run_command(options, to_run)


# --- what an API alone can do -----------------------------------------------------------------------------------------


def _own_action(api: PaymentApi, action: Action) -> Command:
    made = _action(api, action.verb, _run_own_action, action.purpose, more=f"{action.more}{EXIT_STATUS}", action=action)
    needed = []
    for option in action.options:
        name = f"--{option.name.replace('_', '-')}"
        needed += [f" {name} {shlex.quote(option.example)}"] if option.required else []
        made.option(
            name,
            type=amount_of(api) if option.check is None else Reader(option.check),
            required=option.required,
            metavar=option.metavar,
            help=option.help,
        )
    made.examples = [f"payment {action.verb} {_EXAMPLE}{''.join(needed)}{_suffix(api)}"]
    if action.is_journalled:
        add_journal(made)
    return made


async def _run_own_action(options: Options) -> int:
    action: Action = options.action
    payment: str = options.payment

    async def call(vipps: VippsSession) -> ActionResult:
        values = {option.name: getattr(options, option.name) for option in action.options}
        if action.reads is not None:
            name, question = action.reads
            values[name] = await typed_line(question) if is_terminal() else sys.stdin.readline().strip()
        return await action.run(session_api(vipps, options.api), payment, values)

    to_run = PaymentRun(
        api=options.api,
        verb=action.verb,
        payment=payment,
        call=call,
        doubt=action.doubt,
        is_journalled=action.is_journalled,
    )
    return await run_command(options, to_run)

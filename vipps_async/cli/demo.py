"""`vipps-async demo`: the quick start step by step, on a sandbox of its own or on a real test account."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import frozen

from vipps_async.apis import payment_api, session_api
from vipps_async.cli.commands import Command, Options, UsageError
from vipps_async.cli.demo_output import MoneyRow, Output, RecordingTransport
from vipps_async.cli.options import add_api
from vipps_async.cli.output import say
from vipps_async.config import Environment
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi, PaymentCommand, PaymentState
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.epayment.payment_api import EPAYMENT_API
from vipps_async.errors import ConfigurationError, InvalidInputError, VippsError
from vipps_async.money import Money, nok
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.sandbox import SandboxError
from vipps_async.session import VippsSession
from vipps_async.testing import Sandbox
from vipps_async.transports.aiohttp import AiohttpTransport

PRICE, FIRST_PARCEL, RETURNED = nok("499.00"), nok("200.00"), nok("99.00")

#: All that differs between the APIs here: what the action that makes a payment is told beside its amount. `{}` is the
#: payment's id.
_TOLD: Final = {
    ECOM_API.name: {
        "text": "One pair of socks.",
        "callback_prefix": "https://example.com/vipps/callbacks",
        "fall_back": "https://example.com/vipps/result/{}",
        "mobile_number": None,
    },
    EPAYMENT_API.name: {
        "payment_description": "One pair of socks.",
        "return_url": "https://example.com/vipps/result/{}",
        "phone_number": None,
    },
}


class StepFailed(Exception):  # noqa: N818 - ends the walk; printed, never raised to a caller
    """A step had another result than it should."""


@frozen
class Walk:
    """The steps of the quick start: each is carried out, shown and checked."""

    vipps: VippsSession
    api: PaymentApi
    output: Output
    #: Lets the customer accept a payment, whose URL it is given.
    approve: Callable[[str, str], Awaitable[None]]
    shop: str

    async def run(self) -> None:
        """Buy, capture in two parts, refund one thing; then order a second time and cancel."""
        first = await self._order("1", PRICE)
        await self._capture_and_refund(first)
        second = await self._order("2", PRICE)
        await self._cancel(second)

    async def _order(self, suffix: str, amount: Money) -> str:
        payment, make = f"{self.shop}-{suffix}", self.api.actions[0]
        self.output.step(f"{make.verb.capitalize()} payment {payment} over {amount}")
        told = {name: value and value.format(payment) for name, value in _TOLD[self.api.name].items()}
        made = await make.run(session_api(self.vipps, self.api), payment, {"amount": amount.value, **told})
        self._expect(bool(made.text), "the answer has a link for the customer")
        self.output.step("The customer follows the link and approves")
        await self.approve(payment, made.text)
        state = await self._read(payment, "Ask Vipps: is the money reserved?")
        self._expect(state.reserved_amount == amount.value, "the money is reserved")
        self._expect(state.remaining_to_capture == amount.value, f"{amount} can be captured")
        return payment

    async def _capture_and_refund(self, payment: str) -> None:
        self.output.step(f"Ship the first parcel: capture {FIRST_PARCEL}")
        await self._move(BatchOperation.CAPTURE, payment, FIRST_PARCEL.value, text="The first sock.")
        self.output.step("Ship the rest: capture all that is left")
        await self._move(BatchOperation.CAPTURE, payment, text="The other sock.")
        state = await self._read(payment, "Ask Vipps: is all of it captured?")
        self._expect(state.remaining_to_capture == 0, "nothing is left to capture")
        self._expect(state.remaining_to_refund == PRICE.value, "all of it could be refunded")
        self.output.step(f"A sock comes back: refund {RETURNED}")
        await self._move(BatchOperation.REFUND, payment, RETURNED.value, text="One sock returned.")
        state = await self._read(payment, "Ask Vipps: what has moved?")
        self._expect(state.remaining_to_refund == (PRICE - RETURNED).value, "the refund is on record")
        self._record(payment, state)

    async def _cancel(self, payment: str) -> None:
        self.output.step("Out of stock: cancel the second order")
        await self._move(BatchOperation.CANCEL, payment, text="Out of stock.")
        state = await self._read(payment, "Ask Vipps: is the money released?")
        self._expect(state.is_released, "the payment is cancelled")
        self._expect(state.remaining_to_capture == 0, "nothing can be captured any more")
        self._record(payment, state)

    async def _move(
        self, operation: BatchOperation, payment: str, amount: int | NotGiven = NOT_GIVEN, *, text: str
    ) -> None:
        client = session_api(self.vipps, self.api).batch
        command = PaymentCommand(
            operation=operation,
            payment=payment,
            merchant_serial_number=client.merchant_serial_number,
            text=text,
            amount=amount,
        )
        await client.runner.run(self.api.make_call(await client.with_amount(command)))

    async def _read(self, payment: str, title: str) -> PaymentState:
        self.output.step(title)
        return await self.api.read_state(session_api(self.vipps, self.api).batch.runner, payment)

    def _record(self, payment: str, state: PaymentState) -> None:
        self.output.money(
            MoneyRow(
                payment=payment,
                reserved=state.reserved_amount,
                captured=state.captured_amount,
                refunded=state.refunded_amount,
                left=state.remaining_to_capture,
            )
        )

    def _expect(self, holds: bool, what: str) -> None:  # noqa: FBT001 - reads as "expect that"
        self.output.check(what, holds=holds)
        if not holds:
            raise StepFailed(f"not so: {what}")


def command() -> Command:
    """Make `demo`."""
    made = Command(
        "demo",
        _run,
        "take a payment from its beginning to a refund, step by step",
        "Walks the quick start against a sandbox that runs inside this command: no account needed.",
        examples=("demo", "demo --api epayment", "demo --live --mobile-number 91234567"),
        check=_check_number,
    )
    add_api(made, read=_walked, names=tuple(_TOLD), purpose="the API that the payments are made with")
    made.flag("--json", "print one JSON document at the end, for machines")
    made.flag("--live", "use a real Vipps test account, from the VIPPS_… environment variables (never production)")
    made.option(
        "--mobile-number",
        metavar="NUMBER",
        help="with --live: approve as this test user without the app; else open the printed link yourself",
    )
    return made


def _check_number(options: Options) -> None:
    number: str | None = options.mobile_number
    if number is None:
        return
    if not options.live:
        raise UsageError("--mobile-number goes with --live")
    (number_option,) = options.api.actions[1].options
    try:
        (number_option.check or str)(number)
    except InvalidInputError as error:
        raise UsageError(f"--mobile-number: over {options.api.name}, {error}") from error


def _walked(name: str) -> PaymentApi:
    if name not in _TOLD:
        raise ConfigurationError(f"the demo has no walk over {name!r}", advice=f"say --api {' or '.join(_TOLD)}")
    return payment_api(name)


async def _run(options: Options) -> int:
    api: PaymentApi = options.api
    number: str | None = options.mobile_number
    output = Output(api.name, is_json=options.json)
    transport = RecordingTransport(AiohttpTransport(proxy=os.environ.get("VIPPS_PROXY") or None), output)
    shop = f"demo-{int(time.time())}"
    try:
        if options.live:
            await _walk_live(transport, api, output, shop, number)
        else:
            await _walk_sandbox(transport, api, output, shop)
    except (StepFailed, VippsError, SandboxError, TimeoutError) as error:
        # TimeoutError: nobody followed the link and approved.
        output.failed(str(error))
        return 1
    finally:
        await transport.aclose()
    output.done()
    return 0


async def _walk_sandbox(transport: RecordingTransport, api: PaymentApi, output: Output, shop: str) -> None:
    async with Sandbox() as sandbox, sandbox.session(transport=transport) as vipps:

        async def approve(payment: str, _url: str) -> None:
            await sandbox.approve(payment)

        await Walk(vipps, api, output, approve, shop).run()


async def _walk_live(
    transport: RecordingTransport, api: PaymentApi, output: Output, shop: str, number: str | None
) -> None:
    async with VippsSession.from_env(transport=transport) as vipps:
        if vipps.environment is Environment.PRODUCTION:
            raise StepFailed("the demo moves money: it does not run in production (VIPPS_ENVIRONMENT)")

        async def approve(payment: str, url: str) -> None:
            if number is not None:
                _, accept = api.actions
                (of_user,) = accept.options
                await accept.run(session_api(vipps, api), payment, {of_user.name: number, "token": url})
                return
            # To stderr, so that the JSON on stdout stays whole; the person at the keyboard needs the link.
            say(f"\nOpen this link and approve with a test user:\n{url}\n")
            await (vipps.epayment if api is EPAYMENT_API else vipps.ecom).wait_for(payment)

        await Walk(vipps, api, output, approve, shop).run()

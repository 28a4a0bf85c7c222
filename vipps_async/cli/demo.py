"""`vipps-async demo`: the quick start step by step, on a sandbox of its own or on a real test account."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from attrs import frozen

from vipps_async.cli.demo_output import JsonOutput, MoneyRow, Output, RecordingTransport, TextOutput
from vipps_async.cli.output import say
from vipps_async.config import Environment
from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.responses import InitiatedPayment
from vipps_async.errors import VippsError
from vipps_async.money import Money, nok
from vipps_async.sandbox import SandboxError
from vipps_async.session import VippsSession
from vipps_async.testing import Sandbox
from vipps_async.transports.aiohttp import AiohttpTransport

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_command"]

PRICE, FIRST_PARCEL, RETURNED = nok("499.00"), nok("200.00"), nok("99.00")


class StepFailed(Exception):  # noqa: N818 - ends the walk; printed, never raised to a caller
    """A step did something else than it should."""


@frozen
class Walk:
    """The quick start as a walk: every step is carried out, shown and checked."""

    vipps: VippsSession
    output: Output
    approve: Callable[[InitiatedPayment], Awaitable[None]]
    shop: str

    async def run(self) -> None:
        """Buy, capture in two parts, refund one thing; then order a second time and cancel."""
        first = await self._order("1", PRICE)
        await self._capture_and_refund(first)
        second = await self._order("2", PRICE)
        await self._cancel(second)

    async def _order(self, suffix: str, amount: Money) -> str:
        order_id = f"{self.shop}-{suffix}"
        self.output.step(f"Initiate order {order_id} over {amount}")
        payment = await self.vipps.ecom.initiate(
            order_id=order_id,
            amount=amount,
            transaction_text="One pair of socks.",
            callback_prefix="https://example.com/vipps/callbacks",
            fall_back=f"https://example.com/vipps/result/{order_id}",
        )
        self._expect(payment.order_id == order_id, "the answer names the order")
        self.output.step("The customer follows the link and approves")
        await self.approve(payment)
        details = await self._details(order_id, "Ask details: is the money reserved?")
        self._expect(details.is_reserved, "the money is reserved")
        self._expect(details.remaining_to_capture == amount.value, f"{amount} can be captured")
        return order_id

    async def _capture_and_refund(self, order_id: str) -> None:
        ecom = self.vipps.ecom
        self.output.step(f"Ship the first parcel: capture {FIRST_PARCEL}")
        await ecom.capture(order_id, amount=FIRST_PARCEL, transaction_text="The first sock.")
        self.output.step("Ship the rest: capture all that is left")
        await ecom.capture(order_id, transaction_text="The other sock.")
        details = await self._details(order_id, "Ask details: is all of it captured?")
        self._expect(details.remaining_to_capture == 0, "nothing is left to capture")
        self._expect(details.remaining_to_refund == PRICE.value, "all of it could be refunded")
        self.output.step(f"A sock comes back: refund {RETURNED}")
        await ecom.refund(order_id, amount=RETURNED, transaction_text="One sock returned.")
        details = await self._details(order_id, "Ask details: what has moved?")
        self._expect(details.remaining_to_refund == (PRICE - RETURNED).value, "the refund is on record")
        self._record(order_id, details)

    async def _cancel(self, order_id: str) -> None:
        self.output.step("Out of stock: cancel the second order")
        await self.vipps.ecom.cancel(order_id, transaction_text="Out of stock.")
        details = await self._details(order_id, "Ask details: is the money released?")
        self._expect(details.is_cancelled, "the payment is cancelled")
        self._expect(details.remaining_to_capture == 0, "nothing can be captured any more")
        self._record(order_id, details)

    async def _details(self, order_id: str, title: str) -> PaymentDetails:
        self.output.step(title)
        return await self.vipps.ecom.details(order_id)

    def _record(self, order_id: str, details: PaymentDetails) -> None:
        summary = details.transaction_summary
        self.output.money(
            MoneyRow(
                order_id=order_id,
                reserved=details.reserved_amount,
                captured=summary.captured_amount if summary is not None else 0,
                refunded=summary.refunded_amount if summary is not None else 0,
                left=details.remaining_to_capture,
            )
        )

    def _expect(self, holds: bool, what: str) -> None:  # noqa: FBT001 - reads as "expect that"
        self.output.check(what, holds=holds)
        if not holds:
            raise StepFailed(f"not so: {what}")


def add_command(commands: Commands) -> None:
    """Add `demo` to the command line."""
    parser = commands.add_parser(
        "demo",
        help="take a payment from initiate to refund, step by step",
        description="Walks the quick start against a sandbox that runs inside this command: no account needed.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end, for machines")
    parser.add_argument(
        "--live",
        action="store_true",
        help="use a real Vipps test account, from the VIPPS_… environment variables (never production)",
    )
    parser.add_argument(
        "--mobile-number",
        metavar="NUMBER",
        help="with --live: approve as this test user without the app; else open the printed link yourself",
    )
    parser.set_defaults(run=_run, refuse_usage=parser.error)


async def _run(options: argparse.Namespace) -> int:
    if options.mobile_number is not None and not options.live:
        options.refuse_usage("--mobile-number goes with --live")
    output: Output = JsonOutput() if options.json else TextOutput()
    transport = RecordingTransport(AiohttpTransport(proxy=os.environ.get("VIPPS_PROXY") or None), output)
    shop = f"demo-{int(time.time())}"
    try:
        if options.live:
            await _walk_live(transport, output, shop, options.mobile_number)
        else:
            await _walk_sandbox(transport, output, shop)
    except (StepFailed, VippsError, SandboxError, TimeoutError) as error:
        # TimeoutError: nobody followed the link and approved.
        output.failed(str(error))
        return 1
    finally:
        await transport.aclose()
    output.done()
    return 0


async def _walk_sandbox(transport: RecordingTransport, output: Output, shop: str) -> None:
    async with Sandbox() as sandbox, sandbox.session(transport=transport) as vipps:

        async def approve(payment: InitiatedPayment) -> None:
            await sandbox.approve(payment.order_id)

        await Walk(vipps, output, approve, shop).run()


async def _walk_live(transport: RecordingTransport, output: Output, shop: str, mobile_number: str | None) -> None:
    async with VippsSession.from_env(transport=transport) as vipps:
        if vipps.environment is Environment.PRODUCTION:
            raise StepFailed("the demo moves money: it does not run in production (VIPPS_ENVIRONMENT)")

        async def approve(payment: InitiatedPayment) -> None:
            if mobile_number is not None:
                await vipps.ecom.approve(payment.order_id, mobile_number=mobile_number, token=payment.token or "")
                return
            # To stderr, so that the JSON on stdout stays whole; the person at the keyboard needs the link.
            say(f"\nOpen this link and approve with a test user:\n{payment.url}\n")
            await vipps.ecom.wait_for(payment.order_id)

        await Walk(vipps, output, approve, shop).run()

"""An API of an open session, for batches and the command line: its `PaymentApi`, runner and journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from attrs import evolve, frozen

from vipps_async.core.batch import BatchOperation
from vipps_async.core.events import AttemptListener
from vipps_async.core.operation import Runner
from vipps_async.core.payment_api import PaymentApi, PaymentCommand
from vipps_async.journals.protocol import Journal
from vipps_async.not_given import NotGiven


@frozen(kw_only=True)
class BatchClient:
    """An API of an open session, for batches and the command line: its `PaymentApi`, runner and journal."""

    api: PaymentApi
    runner: Runner
    merchant_serial_number: str
    #: Adds a listener of attempts for the length of a `with` block.
    listening: Callable[[AttemptListener], AbstractContextManager[None]]
    #: The session's journal; None: it has none.
    journal: Journal | None

    async def with_amount(self, command: PaymentCommand) -> PaymentCommand:
        """Return a command without an amount with the amount of all that remains, for an API that must be given one.

        If the journal or the payment's history has the key, it is the amount there: the same key, the same amount.

        Raises:
            VippsError: the payment cannot be read, the journal failed, or nothing is left.
        """
        takes_all = isinstance(command.amount, NotGiven) and command.operation is not BatchOperation.CANCEL
        if self.api.takes_all or not takes_all:
            return command
        amount = None
        if self.journal is not None:
            msn = command.merchant_serial_number
            for entry in await self.journal.find(payment=command.payment, merchant_serial_number=msn):
                if (entry.intent.api, entry.intent.key) == (self.api.name, command.key):
                    amount = entry.intent.amount
        if amount is None:
            state = await self.api.read_state(self.runner, command.payment)
            self.api.check_currency(state)
            done = state.has_done(command.operation.value, command.key or "")
            amount = state.remaining(command.operation) if done is None else done.amount
            if amount <= 0:
                raise self.api.refusal(command, "nothing is left of the payment, so nothing was sent")
        return evolve(command, amount=amount)


class SupportsBatch(Protocol):
    """An API whose captures, refunds and cancels can be carried out as a batch: ``vipps.ecom``, for example."""

    @property
    def batch(self) -> BatchClient:
        """What a batch needs of it."""
        ...

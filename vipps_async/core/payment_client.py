"""The base class of the payment APIs' clients: runner, sales unit, waits for payments, and batches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

from vipps_async.config import Environment
from vipps_async.core.batch_client import BatchClient
from vipps_async.core.events import AttemptListener
from vipps_async.core.operation import Runner
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.polling import HasOutcome, PaymentPoller
from vipps_async.input_rules import check_merchant_serial_number
from vipps_async.journals.protocol import Journal
from vipps_async.one_loop import OneLoop

P = TypeVar("P", bound=HasOutcome)


class PaymentClient(Generic[P]):
    """One payment API for one sales unit; `P` is what reading a payment gives."""

    #: The API, as batches and the command line know it.
    _payment_api: PaymentApi

    def __init__(
        self,
        runner: Runner,
        *,
        merchant_serial_number: str,
        environment: Environment,
        is_vipps: bool = False,
        poller: PaymentPoller[P] | None = None,
        listening: Callable[[AttemptListener], AbstractContextManager[None]] = lambda _listener: nullcontext(),
        journal: Journal | None = None,
    ) -> None:
        """Make the API ready for one sales unit.

        Args:
            runner: runs the calls.
            merchant_serial_number: the sales unit, 4 to 10 digits.
            environment: which Vipps; production refuses `approve` and URLs on loopback.
            is_vipps: whether calls go to Vipps' own host, which takes and reaches public URLs only.
            poller: the waits of all sales units of a session; None: one of its own.
            listening: adds a listener of attempts for the length of a `with` block; batches adjust their rate by it.
            journal: the session's journal, if it has one.

        Raises:
            InvalidInputError: the serial number is not 4 to 10 digits.
        """
        self._runner = runner
        self._merchant_serial_number = check_merchant_serial_number(merchant_serial_number)
        self._listening = listening
        self._journal = journal
        self._environment = environment
        self._is_vipps = is_vipps
        self._poller = poller or PaymentPoller(OneLoop())

    @property
    def batch(self) -> BatchClient:
        """The API for `vipps_async.batch`: ``capture_many(vipps.epayment, rows)``."""
        return BatchClient(
            api=self._payment_api,
            runner=self._runner,
            merchant_serial_number=self._merchant_serial_number,
            listening=self._listening,
            journal=self._journal,
        )

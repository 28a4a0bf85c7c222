"""Waiting for the customer: asks details at the pace that Vipps' guidelines set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from vipps_async.ecom.details import PaymentDetails
from vipps_async.errors import ApiError, TransportError
from vipps_async.input_rules import check_seconds

__all__ = ["FIRST_PAUSE", "PAUSE", "wait_for_customer"]

#: Seconds before the first question: nobody accepts a payment faster (API guide, polling).
FIRST_PAUSE = 5.0
#: Seconds between the further ones: 30 a minute, of the 120 that Vipps takes.
PAUSE = 2.0


async def wait_for_customer(
    ask: Callable[[], Awaitable[PaymentDetails]],
    *,
    timeout: float,  # noqa: ASYNC109 - it paces questions, and ends between two of them
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> PaymentDetails:
    """Ask until the payment is accepted or cancelled.

    An answer that fails for the moment is asked for again: a customer who is paying should not be lost to a short
    outage.

    Args:
        ask: asks details once.
        timeout: how long to wait in all, in seconds.
        sleep: pauses for some seconds.
        clock: tells the time in seconds.

    Raises:
        InvalidInputError: `timeout` is no positive number.
        TimeoutError: the customer has done neither in time. The payment may still be accepted later.
        vipps_async.errors.VippsError: details failed for good, or failed last when the time was up.
    """
    end = clock() + check_seconds("timeout", timeout)
    pause = FIRST_PAUSE
    trouble: TransportError | ApiError | None = None
    while (left := end - clock()) > 0:
        await sleep(min(pause, left))
        pause = PAUSE
        try:
            details = await ask()
        except TransportError as error:
            trouble = error
        except ApiError as error:
            if not error.retryable:
                raise
            trouble = error
        else:
            if details.is_approved or details.is_cancelled:
                return details
            trouble = None
    if trouble is not None:
        raise trouble
    raise TimeoutError(f"the customer has neither accepted nor declined the payment within {timeout:g} seconds")

"""Runs a merchant's handlers: coroutines on the loop, plain functions in threads, where they cannot block it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vipps_async.ecom.callbacks import ConsentRemoval, PaymentUpdate, ShippingDetailsRequest
from vipps_async.ecom.express import ShippingDetails
from vipps_async.session import VippsSession

__all__ = ["ConsentHandler", "HandlerRunner", "PaymentHandler", "ShippingHandler", "is_async"]

#: What is done when something happened to a payment.
PaymentHandler = Callable[[PaymentUpdate, VippsSession], Awaitable[None] | None]
#: What gives the ways of shipping.
ShippingHandler = Callable[
    [ShippingDetailsRequest, VippsSession], Awaitable[Iterable[ShippingDetails]] | Iterable[ShippingDetails]
]
#: What deletes a customer's data.
ConsentHandler = Callable[[ConsentRemoval, VippsSession], Awaitable[None] | None]


def is_async(handler: object) -> bool:
    """Whether a handler is a coroutine function, or an object that is called as one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 - asks what kind of function it is, not whether there is one


class HandlerRunner:
    """Runs handlers, plain functions in threads of its own.

    Args:
        threads: how many plain functions run at the same time.
        name: what the threads are called.
    """

    def __init__(self, threads: int, name: str) -> None:
        # Not the loop's own pool: handlers that hang would take file access and name look-ups along.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, handler: Callable[..., Any], *arguments: object) -> Any:
        """Run a handler to its end and return what it returns.

        Raises:
            BaseException: whatever the handler raises.
        """
        if is_async(handler):
            return await handler(*arguments)
        context = contextvars.copy_context()
        call = functools.partial(context.run, _call, handler, *arguments)
        result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        # A plain function may return a coroutine, as a lambda around a coroutine function does.
        return await result if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Begin nothing more. What runs in a thread runs on: threads cannot be stopped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _call(handler: Callable[..., Any], *arguments: object) -> Any:
    try:
        return handler(*arguments)
    except StopIteration as error:
        # A future does not take this one, and whoever waits for it would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from error

"""What a session sets up when it is made: the pipeline, the journal's part in it, and the APIs upon both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Self, TypeVar

from attrs import frozen

from vipps_async.apis import passed_over, rebuild_call
from vipps_async.config import Environment, Settings
from vipps_async.core.clock import Clock
from vipps_async.core.operation import Call, Runner
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.recorder import Recorder
from vipps_async.core.recovery import Recovery
from vipps_async.core.world import find_world
from vipps_async.ecom.client import EcomApi
from vipps_async.epayment.client import EpaymentApi
from vipps_async.journals.protocol import Journal, World
from vipps_async.one_loop import OneLoop
from vipps_async.transports.protocol import Transport
from vipps_async.userinfo import UserinfoApi
from vipps_async.webhooks.client import WebhooksApi

__all__ = ["SessionParts"]

R = TypeVar("R")


@frozen
class _RunnerInOneLoop:
    """Runs calls in the session's event loop, and refuses them in any other before anything is noted or sent."""

    runner: Runner
    one_loop: OneLoop

    # Not `async`: that would be one coroutine more for each call.
    def run(self, call: Call[R]) -> Coroutine[Any, Any, R]:
        """See `Runner`."""
        self.one_loop.check()
        return self.runner.run(call)


@frozen(kw_only=True)
class SessionParts:
    """The parts of one session. Each uses those before it."""

    #: Runs calls.
    pipeline: Pipeline
    #: Notes them in the journal meanwhile; None: there is no journal.
    recorder: Recorder | None
    #: Settles what the journal has open; None: there is no journal.
    recovery: Recovery | None
    #: The event loop that all of them belong to.
    one_loop: OneLoop
    #: Finds out which Vipps the calls go to.
    find_world: Callable[[], Awaitable[World]]
    ecom: EcomApi
    epayment: EpaymentApi
    userinfo: UserinfoApi
    webhooks: WebhooksApi

    @classmethod
    def of(cls, settings: Settings, transport: Transport, journal: Journal | None, clock: Clock | None = None) -> Self:
        """Put the parts together; nothing is opened or sent.

        Args:
            settings: the session's, checked.
            transport: how requests travel.
            journal: where operations are noted; None: nowhere.
            clock: tells the time and waits; None: the machine's own.
        """
        serial_number = settings.credentials.merchant_serial_number
        pipeline = Pipeline(settings, transport, clock=clock)
        one_loop = OneLoop()
        finding = partial(find_world, settings, transport, pipeline.clock)
        recorder: Recorder | None = None
        recovery: Recovery | None = None
        if journal is not None:
            recorder = Recorder(
                pipeline,
                journal,
                rebuild=rebuild_call,
                merchant_serial_number=serial_number,
                deadline=settings.retry.deadline,
                settle_after=settings.settle_after,
                find_world=finding,
            )
            recovery = Recovery(recorder, rebuild=rebuild_call, passed_over=passed_over())
        in_one_loop = _RunnerInOneLoop(recorder or pipeline, one_loop)
        of_payments: dict[str, Any] = {
            "merchant_serial_number": serial_number,
            "environment": settings.environment,
            "is_vipps": settings.is_vipps,
            "one_loop": one_loop,
            "clock": pipeline.clock,
            "listening": pipeline.log.listening,
            "journal": journal,
        }
        return cls(
            pipeline=pipeline,
            recorder=recorder,
            recovery=recovery,
            one_loop=one_loop,
            find_world=finding,
            ecom=EcomApi(in_one_loop, **of_payments),
            epayment=EpaymentApi(in_one_loop, **of_payments),
            userinfo=UserinfoApi(_RunnerInOneLoop(pipeline, one_loop), pipeline.clock),
            webhooks=WebhooksApi(
                _RunnerInOneLoop(pipeline, one_loop),
                loopback=settings.environment is not Environment.PRODUCTION,
                is_vipps=settings.is_vipps,
            ),
        )

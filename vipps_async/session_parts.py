"""The parts of a session: pipeline, recorder, recovery and the APIs; made when the session is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from attrs import evolve, field, frozen

from vipps_async.apis import APIS, amount_moved, passed_over, rebuild_call
from vipps_async.config import Environment, Settings
from vipps_async.core.call_options import CallOptions
from vipps_async.core.clock import Clock
from vipps_async.core.operation import Call, Runner
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.polling import PaymentPoller
from vipps_async.core.readiness import ReadinessCheck
from vipps_async.core.recorder import Recorder
from vipps_async.core.recovery import Recovery
from vipps_async.core.world import find_world
from vipps_async.ecom.client import EcomApi
from vipps_async.epayment.client import EpaymentApi
from vipps_async.journals.entries import World
from vipps_async.journals.protocol import Journal
from vipps_async.one_loop import OneLoop
from vipps_async.transports.protocol import Transport
from vipps_async.userinfo import UserinfoApi
from vipps_async.webhooks.client import WebhooksApi

if TYPE_CHECKING:
    from vipps_async.ecom.details import PaymentDetails
    from vipps_async.epayment.responses import Payment


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
    """The parts of a session, or of a view of it. Each uses those before it."""

    #: Checked.
    settings: Settings
    #: Whether calls go to Vipps' own host; found out once for all views.
    is_vipps: bool
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
    journal: Journal | None
    #: Waits for customers, of all sales units together: Vipps counts the questions of one subscription key.
    ecom_poller: PaymentPoller[PaymentDetails]
    epayment_poller: PaymentPoller[Payment]
    readiness: ReadinessCheck
    ecom: EcomApi = field(init=False)
    epayment: EpaymentApi = field(init=False)
    userinfo: UserinfoApi = field(init=False)
    webhooks: WebhooksApi = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings, set_part = self.settings, partial(object.__setattr__, self)
        journalled = _RunnerInOneLoop(self.recorder or self.pipeline, self.one_loop)
        plain = _RunnerInOneLoop(self.pipeline, self.one_loop)
        of_payments: dict[str, Any] = {
            "merchant_serial_number": settings.merchant_serial_number,
            "environment": settings.environment,
            "is_vipps": self.is_vipps,
            "listening": self.pipeline.log.listening,
            "journal": self.journal,
        }
        set_part("ecom", EcomApi(journalled, poller=self.ecom_poller, **of_payments))
        set_part("epayment", EpaymentApi(journalled, poller=self.epayment_poller, **of_payments))
        set_part("userinfo", UserinfoApi(plain, self.pipeline.clock))
        loopback = settings.environment is not Environment.PRODUCTION
        set_part("webhooks", WebhooksApi(plain, loopback=loopback, is_vipps=self.is_vipps))

    @classmethod
    def of(cls, settings: Settings, transport: Transport, journal: Journal | None, clock: Clock | None = None) -> Self:
        """Put the parts together; nothing is opened or sent.

        Args:
            settings: the session's, checked.
            transport: sends the requests.
            journal: where operations are noted; None: nowhere.
            clock: tells the time and waits; None: the machine's own.
        """
        pipeline = Pipeline(settings, transport, clock=clock)
        one_loop = OneLoop()
        finding = partial(find_world, settings, transport, pipeline.clock)
        recorder: Recorder | None = None
        if journal is not None:
            recorder = Recorder(
                pipeline,
                journal,
                rebuild=rebuild_call,
                merchant_serial_number=settings.merchant_serial_number,
                deadline=settings.retry.deadline,
                settle_after=settings.settle_after,
                find_world=finding,
            )
        return cls(
            settings=settings,
            is_vipps=settings.is_vipps,
            pipeline=pipeline,
            recorder=recorder,
            recovery=_recovery(recorder),
            one_loop=one_loop,
            find_world=finding,
            journal=journal,
            ecom_poller=PaymentPoller(one_loop, pipeline.clock),
            epayment_poller=PaymentPoller(one_loop, pipeline.clock),
            readiness=ReadinessCheck(pipeline, recorder),
        )

    def view(self, options: CallOptions) -> Self:
        """Return the parts of a view; these must be the session's own.

        Args:
            options: in what the view's calls differ, checked.
        """
        settings, recorder = options.applied_to(self.settings), self.recorder
        pipeline = self.pipeline.view(options)
        if recorder is not None:
            msn = settings.merchant_serial_number
            recorder = recorder.view(pipeline, merchant_serial_number=msn, deadline=settings.retry.deadline)
        return evolve(self, settings=settings, pipeline=pipeline, recorder=recorder, recovery=_recovery(recorder))

    async def aclose(self) -> None:
        """End all waits for customers, and what runs in the background."""
        await self.ecom_poller.aclose()
        await self.epayment_poller.aclose()
        await self.pipeline.aclose()


_PASSED_OVER: Final = passed_over()


def _recovery(recorder: Recorder | None) -> Recovery | None:
    if recorder is None:
        return None
    return Recovery(recorder, rebuild=rebuild_call, moved=amount_moved, passed_over=_PASSED_OVER)


#: The headers that carry the idempotency keys.
IDEMPOTENCY_HEADERS: Final = frozenset(api.dialect.idempotency_header for api in APIS.values())

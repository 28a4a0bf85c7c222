"""What a session sets up when it is made: the pipeline, the journal's part in it, and the APIs upon both."""

from __future__ import annotations

from functools import partial
from typing import Self

from attrs import frozen

from vipps_async.config import Settings
from vipps_async.core.clock import Clock
from vipps_async.core.journalling import JournalledRunner
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.recovery import Recovery
from vipps_async.core.world import find_world
from vipps_async.ecom.api import EcomApi
from vipps_async.ecom.recovery import NOTES, rebuild_call
from vipps_async.journals.protocol import Journal
from vipps_async.transports.protocol import Transport
from vipps_async.userinfo import UserinfoApi

__all__ = ["SessionParts"]


@frozen(kw_only=True)
class SessionParts:
    """The parts of one session, each standing on those before it."""

    #: Runs calls.
    pipeline: Pipeline
    #: Notes them in the journal meanwhile; None: there is no journal.
    journalled: JournalledRunner | None
    #: Settles what the journal has open; None: there is no journal.
    recovery: Recovery | None
    ecom: EcomApi
    userinfo: UserinfoApi

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
        journalled: JournalledRunner | None = None
        recovery: Recovery | None = None
        if journal is not None:
            journalled = JournalledRunner(
                pipeline,
                journal,
                rebuild=rebuild_call,
                merchant_serial_number=serial_number,
                deadline=settings.retry.deadline,
                settle_after=settings.settle_after,
                find_world=partial(find_world, settings, transport, pipeline.clock),
            )
            recovery = Recovery(journalled, rebuild=rebuild_call, passed_over=NOTES)
        return cls(
            pipeline=pipeline,
            journalled=journalled,
            recovery=recovery,
            ecom=EcomApi(
                journalled or pipeline,
                merchant_serial_number=serial_number,
                environment=settings.environment,
                is_vipps=settings.is_vipps,
            ),
            userinfo=UserinfoApi(pipeline),
        )

"""The examination: all checks in the order in which each stands on those before it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from attrs import evolve

from vipps_async.config import RetryPolicy, Settings, Timeouts
from vipps_async.core.clock import Clock, SystemClock
from vipps_async.diagnosis.finding import Finding, State
from vipps_async.diagnosis.host import look_at_clock, look_at_host
from vipps_async.diagnosis.journal_file import look_at_journal
from vipps_async.diagnosis.keys import look_at_keys
from vipps_async.diagnosis.settings import Place, look_at_place, look_at_variables, proxy_of
from vipps_async.diagnosis.versions import look_at_versions
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Transport

__all__ = ["examine"]

#: Somebody waits for it: shorter than a payment's own time-outs, and still what Vipps advises.
_TIMEOUTS = Timeouts(connect=5.0, read=10.0, total=15.0)
#: Once more at most: what fails now and then should be seen to fail.
_RETRY = RetryPolicy(attempts=2, deadline=20.0)


async def examine(
    env: Mapping[str, str], *, journal: Path | None = None, clock: Clock | None = None
) -> AsyncGenerator[Finding, None]:
    """Go through all checks. No money moves, and nothing is made at Vipps.

    Args:
        env: the environment variables, of which those that begin with `VIPPS_` count, and those that name a proxy.
        journal: a journal file to look at as well.
        clock: the local time; the machine's by default.

    Yields:
        What each check found, as soon as it is known.
    """
    clock = clock or SystemClock()
    variables, settings = look_at_variables(env)
    yield variables
    whereabouts, place = look_at_place(env)
    yield whereabouts
    transport = AiohttpTransport(proxy=proxy_of(env))
    try:
        async for finding in _over_the_line(place, settings, transport, clock):
            yield finding
    finally:
        await transport.aclose()
    if journal is not None:
        yield await look_at_journal(journal, clock)
    yield look_at_versions()


async def _over_the_line(
    place: Place | None, settings: Settings | None, transport: Transport, clock: Clock
) -> AsyncGenerator[Finding, None]:
    if place is None:
        for check in ("host", "clock", "token", "sales unit"):
            yield _not_checked(check, "it is not clear where to ask")
        return
    host, answer = await look_at_host(place, transport, clock, timeouts=_TIMEOUTS)
    yield host
    if answer is None:
        for check in ("clock", "token", "sales unit"):
            yield _not_checked(check, "the host does not answer")
        return
    yield look_at_clock(answer)
    if settings is None:
        for check in ("token", "sales unit"):
            yield _not_checked(check, "the settings cannot be used")
        return
    for finding in await look_at_keys(evolve(settings, timeouts=_TIMEOUTS, retry=_RETRY), transport, clock):
        yield finding


def _not_checked(check: str, text: str) -> Finding:
    return Finding(check=check, state=State.NOT_CHECKED, text=text)

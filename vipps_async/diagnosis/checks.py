"""Runs all checks, in the order in which each stands on those before it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping
from pathlib import Path

from attrs import evolve

from vipps_async.config import RetryPolicy, Settings, Timeouts
from vipps_async.core.clock import Clock, SystemClock
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.world import find_world
from vipps_async.diagnosis.host import check_clock, check_host
from vipps_async.diagnosis.keys import check_keys
from vipps_async.diagnosis.local import check_journal, check_versions
from vipps_async.diagnosis.result import CheckResult, CheckState
from vipps_async.diagnosis.settings import Place, check_environment, check_settings, proxy_of, settings_at
from vipps_async.errors import JournalError
from vipps_async.journals.entries import World
from vipps_async.journals.postgres.place import PostgresPlace
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Transport

#: Somebody waits for it: shorter than a payment's own time-outs, and still what Vipps advises.
_TIMEOUTS = Timeouts(connect=5.0, read=10.0, total=15.0)
#: Once more at most: what fails now and then should be seen to fail.
_RETRY = RetryPolicy(attempts=2, deadline=20.0)


async def run_checks(
    env: Mapping[str, str],
    *,
    api: PaymentApi | None,
    journal: Path | PostgresPlace | None = None,
    allowed_hosts: Collection[str] = (),
    clock: Clock | None = None,
) -> AsyncGenerator[CheckResult, None]:
    """Run all checks. No money moves, and nothing is made at Vipps.

    Args:
        env: the environment variables, of which those that begin with `VIPPS_` count, and those that name a proxy.
        api: what the sales unit is asked about: an API that it has; None: it is not known.
        journal: a journal to look at as well, a file or a database.
        allowed_hosts: hosts, not Vipps' own, that may be asked in production; to any other one nothing is sent.
        clock: the local time; the machine's by default.

    Yields:
        What each check found, as soon as it is known.
    """
    clock = clock or SystemClock()
    variables, settings = check_settings(env)
    yield variables
    whereabouts, place = check_environment(env, allowed_hosts=allowed_hosts)
    yield whereabouts
    transport = AiohttpTransport(proxy=proxy_of(env))
    world = None if place is None else World(environment=place.environment.value, host=place.host)
    try:
        async for result in _over_the_line(place, settings, api, transport, clock):
            yield result
            if place is not None and journal is not None and result.facts.get("sandbox") is True:
                # It answers, so that it can be asked which one it is.
                with contextlib.suppress(JournalError):
                    world = await find_world(settings_at(env, place.environment), transport, clock)
    finally:
        await transport.aclose()
    if journal is not None:
        number = env.get("VIPPS_MERCHANT_SERIAL_NUMBER", "")
        yield await check_journal(journal, world=world, merchant_serial_number=number)
    yield check_versions()


async def _over_the_line(
    place: Place | None, settings: Settings | None, api: PaymentApi | None, transport: Transport, clock: Clock
) -> AsyncGenerator[CheckResult, None]:
    if place is None:
        for result in _not_checked("it is not clear where to ask", "host", "clock", "token", "sales unit"):
            yield result
        return
    if not place.is_allowed:
        unasked = "nothing is sent to this host in production unless --allow-host names it"
        for result in _not_checked(unasked, "host", "clock", "token", "sales unit"):
            yield result
        return
    host, answer = await check_host(place, transport, clock, timeouts=_TIMEOUTS)
    yield host
    if answer is None:
        for result in _not_checked("the host does not answer", "clock", "token", "sales unit"):
            yield result
        return
    yield check_clock(answer)
    if settings is None:
        for result in _not_checked("the settings cannot be used", "token", "sales unit"):
            yield result
        return
    asking = evolve(settings, timeouts=_TIMEOUTS, retry=_RETRY)
    is_sandbox = host.facts.get("sandbox") is True
    for result in await check_keys(asking, api, transport, clock, is_sandbox=is_sandbox):
        yield result


def _not_checked(text: str, *checks: str) -> list[CheckResult]:
    return [CheckResult(check=check, state=CheckState.NOT_CHECKED, text=text) for check in checks]

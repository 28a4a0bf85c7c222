"""Determines environment and host of a session, so that a journal is never used with another one's facts."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson
from attrs import evolve

from vipps_async.config import Settings
from vipps_async.core.clock import Clock
from vipps_async.errors import JournalError, TransportError
from vipps_async.input_rules import LOOPBACK
from vipps_async.journals.entries import World
from vipps_async.transports.protocol import Request, Transport

#: Where a sandbox says which one it is: one that was started anew at the same port knows nothing of the old payments.
_INSTANCE_PATH = "/sandbox/instance"
#: How often it is asked, and the pause between, in seconds.
_TRIES, _PAUSE = 4, 0.1


async def find_world(settings: Settings, transport: Transport, clock: Clock) -> World:
    """Return the world of a session. All hosts of Vipps in one environment are one world, and are not asked.

    Only a host on loopback is asked which sandbox it is: other hosts get no request that Vipps does not have.

    Raises:
        JournalError: a host on loopback does not answer, so that it is not known which sandbox it is.
    """
    environment = settings.environment.value
    if settings.is_vipps:
        return World(environment=environment, host="vipps")
    parts = urlsplit(settings.base_url)
    world = World(environment=environment, host=parts.netloc)
    if parts.hostname not in LOOPBACK:
        return world
    return evolve(world, instance=await _instance(settings, transport, clock))


async def _instance(settings: Settings, transport: Transport, clock: Clock) -> str:
    request = Request(
        method="GET", url=settings.base_url + _INSTANCE_PATH, headers={}, body=None, timeouts=settings.timeouts
    )
    failure: TransportError | None = None
    for number in range(_TRIES):
        if number:
            await clock.sleep(_PAUSE * 2**number)
        try:
            response = await transport.send(request)
        except TransportError as error:
            failure = error
            continue
        if response.status != 200:
            # Something else on this machine, such as a tunnel to Vipps or a server of the application's tests.
            return ""
        try:
            return str(orjson.loads(response.body)["instance"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return ""
    raise JournalError(
        f"{settings.base_url} does not answer ({failure.message if failure else ''}), so it is not known which sandbox "
        "it is; nothing was sent",
        advice="start it, or look at VIPPS_BASE_URL",
    ) from failure

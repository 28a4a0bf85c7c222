"""Checks the host: whether it answers behind a certificate that is accepted, what it is, and what time it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import orjson
from attrs import frozen

from vipps_async.config import Environment, Timeouts
from vipps_async.core.clock import Clock
from vipps_async.diagnosis.result import CheckResult, CheckState
from vipps_async.diagnosis.settings import Place
from vipps_async.errors import RequestNotSent, TransportError
from vipps_async.transports.failures import connection_advice
from vipps_async.transports.protocol import Request, Response, Transport

#: A path that the embedded sandbox has and Vipps has not.
_SANDBOX_PATH = "/sandbox/clock"
#: Seconds that two clocks may differ: `Date` has whole seconds, and both machines keep their time within one or two.
_TOLERANCE = 5.0
#: Seconds from which it is called a failure: orders of events in journals and logs of several machines turn around,
#: and leases of a shared journal (90 s) run out while their owner is still at work.
_TOO_FAR = 60.0


@frozen
class HostAnswer:
    """What the host answered, and the local time in the middle between question and answer."""

    response: Response
    #: Aware, UTC.
    at: datetime
    #: Between question and answer.
    seconds: float


#: What to do where the transport's words give no cause away.
_LOOK_UP_ADVICE = "look at the name server; if this machine reaches the internet through a proxy only, set VIPPS_PROXY"
_ANY_ADVICE = (
    "look at the network from here to there: firewall, and proxy; if this machine reaches the internet through a proxy "
    "only, set VIPPS_PROXY"
)


def _advice(message: str) -> str:
    found = connection_advice(message)
    if found is not None:
        return found
    return _LOOK_UP_ADVICE if "could not look up" in message else _ANY_ADVICE


async def check_host(
    place: Place, transport: Transport, clock: Clock, *, timeouts: Timeouts
) -> tuple[CheckResult, HostAnswer | None]:
    """Ask the host for its front page, without any key: whatever it answers, it is there.

    Args:
        place: where to ask.
        transport: how.
        clock: the local time.
        timeouts: how long each of at most two questions may take, in seconds.

    Returns:
        The result, and the answer if there was one.
    """
    check = "host"
    asked, started = clock.now(), clock.monotonic()
    try:
        response = await transport.send(_request(place, "/", timeouts))
    except TransportError as error:
        # What the transport advises is about money, which nobody asked for here.
        reached = "" if isinstance(error, RequestNotSent) else "a connection was made, but "
        return CheckResult(
            check=check,
            state=CheckState.FAILED,
            text=f"{reached}{error.message}",
            advice=_advice(error.message),
            facts={"error": type(error).__name__},
        ), None
    seconds = clock.monotonic() - started
    answer = HostAnswer(response, asked + timedelta(seconds=seconds / 2), seconds)
    certificate = ", and its certificate is accepted" if place.base_url.startswith("https:") else ""
    text = f"{place.base_url} answers in {seconds * 1000:.0f} ms{certificate}"
    facts: dict[str, object] = {"milliseconds": round(seconds * 1000), "status": response.status}
    if response.status >= 500:
        text += f", but with HTTP {response.status}: it is in trouble"
        advice = "wait, and look at Vipps' status page; captures and refunds keep their keys meanwhile"
        return CheckResult(check=check, state=CheckState.WARNING, text=text, advice=advice, facts=facts), answer
    if place.is_vipps:
        return CheckResult(check=check, state=CheckState.OK, text=text, facts=facts | {"sandbox": False}), answer
    return await _say_what_it_is(place, transport, text, facts, timeouts=timeouts), answer


async def _say_what_it_is(
    place: Place, transport: Transport, text: str, facts: dict[str, object], *, timeouts: Timeouts
) -> CheckResult:
    is_sandbox = await _is_sandbox(place, transport, timeouts=timeouts)
    facts["sandbox"] = is_sandbox
    if not is_sandbox:
        text += "; it is neither Vipps nor the embedded sandbox"
        advice = "leave VIPPS_BASE_URL out to talk to Vipps"
    elif place.environment is Environment.PRODUCTION:
        text += "; it is the embedded sandbox, not Vipps, though the environment is production"
        advice = "leave VIPPS_BASE_URL out to move real money, or set VIPPS_ENVIRONMENT to test"
    else:
        text += "; it is the embedded sandbox, not Vipps"
        return CheckResult(check="host", state=CheckState.OK, text=text, facts=facts)
    return CheckResult(check="host", state=CheckState.WARNING, text=text, advice=advice, facts=facts)


async def _is_sandbox(place: Place, transport: Transport, *, timeouts: Timeouts) -> bool:
    try:
        response = await transport.send(_request(place, _SANDBOX_PATH, timeouts))
        told = orjson.loads(response.body)
    except (TransportError, orjson.JSONDecodeError):
        return False
    return response.status == 200 and isinstance(told, dict) and set(told) == {"now"}


def _request(place: Place, path: str, timeouts: Timeouts) -> Request:
    return Request(method="GET", url=place.base_url + path, headers={}, timeouts=timeouts)


def check_clock(answer: HostAnswer) -> CheckResult:
    """Hold the local clock against the `Date` header.

    Args:
        answer: what the host answered.
    """
    check = "clock"
    theirs = _date_of(answer.response)
    if theirs is None:
        text = "the host's answer has no Date header to hold the local clock against"
        return CheckResult(
            check=check, state=CheckState.WARNING, text=text, advice="see to it that this machine keeps time"
        )
    # The header leaves out the part of a second that had passed.
    ahead = (answer.at - theirs).total_seconds() - 0.5
    off = abs(ahead)
    # Half of a long exchange may have been on either side.
    allowed = _TOLERANCE + answer.seconds / 2
    facts = {"seconds_ahead": round(ahead, 1)}
    if off <= allowed:
        text = f"the local clock agrees with the host's within {max(1.0, off):.0f} s"
        return CheckResult(check=check, state=CheckState.OK, text=text, facts=facts)
    state = CheckState.FAILED if off > _TOO_FAR + answer.seconds / 2 else CheckState.WARNING
    text = f"the local clock is {off:.0f} s {'ahead of' if ahead > 0 else 'behind'} the host's"
    advice = "let this machine keep time (NTP): certificates, leases of a journal and times in it depend on it"
    return CheckResult(check=check, state=state, text=text, advice=advice, facts=facts)


def _date_of(response: Response) -> datetime | None:
    try:
        date = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
    # "-0000" gives a naive one; HTTP knows GMT only (RFC 9110 5.6.7).
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date

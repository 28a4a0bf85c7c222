"""Checks the keys: whether a token is given for them, and whether they open the sales unit. It only reads."""

from __future__ import annotations

import uuid

from attrs import evolve

from vipps_async.config import Settings
from vipps_async.core.clock import Clock
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.token import FETCH_TOKEN
from vipps_async.diagnosis.result import CheckResult, CheckState
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    OrderNotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransportError,
    VippsError,
)
from vipps_async.transports.failures import connection_advice
from vipps_async.transports.protocol import Transport

#: Seconds: a token that lives no longer is renewed all the time.
_SHORT_LIFE = 60
#: The token request has no fields but the keys: an unknown client id is answered with 400.
_KEYS_REFUSED = frozenset({400, 401, 403})
#: Another one may listen there than was meant.
_KEYS_OF_SANDBOX = (
    "set the keys that this sandbox takes: those that it printed when it was started, and that its page shows, or "
    "those that it was given by --keys; if you mean another sandbox, VIPPS_BASE_URL names the wrong one"
)
_PROOF = "that the serial number is yours is proven by a payment of yours: vipps-async payment show ID --api"


async def check_keys(
    settings: Settings, api: PaymentApi | None, transport: Transport, clock: Clock, *, is_sandbox: bool
) -> tuple[CheckResult, CheckResult]:
    """Fetch a token, and ask an API about a payment that cannot exist: no money moves, and nothing is made.

    Args:
        settings: the keys and where to take them.
        api: the API; None: it is not known.
        transport: how.
        clock: the local time.
        is_sandbox: whether it is the embedded sandbox that is asked.

    Returns:
        What was found of the token, and of the sales unit.
    """
    pipeline = Pipeline(settings, transport, clock=clock)
    try:
        token = await _check_token(pipeline, settings, clock, is_sandbox=is_sandbox)
        if token.state is CheckState.FAILED:
            text = "without a token nothing can be asked"
            return token, CheckResult(check="sales unit", state=CheckState.NOT_CHECKED, text=text)
        if api is None:
            text = "VIPPS_API names no API to ask: --api NAME does"
            return token, CheckResult(check="sales unit", state=CheckState.NOT_CHECKED, text=text)
        return token, await _check_sales_unit(pipeline, api, settings)
    finally:
        await pipeline.aclose()


async def _check_token(pipeline: Pipeline, settings: Settings, clock: Clock, *, is_sandbox: bool) -> CheckResult:
    try:
        answer = await pipeline.run(FETCH_TOKEN)
    except VippsError as error:
        result = CheckResult.of_error("token", error, text="no token was given: ")
        if isinstance(error, ApiError) and error.status in _KEYS_REFUSED:
            return evolve(result, advice=_KEYS_OF_SANDBOX if is_sandbox else _advice_on_keys(settings))
        return evolve(result, advice=_advice(error))
    seconds = answer.expires_in
    if seconds is None and answer.expires_on is not None:
        seconds = round(answer.expires_on - clock.now().timestamp())
    facts = {"seconds_valid": seconds}
    if seconds is None or seconds < _SHORT_LIFE:
        how_long = "but not for how long it is valid" if seconds is None else f"but valid for {seconds} s only"
        text, advice = f"a token was given, {how_long}", "tell Vipps; look at the local clock"
        return CheckResult(check="token", state=CheckState.WARNING, text=text, advice=advice, facts=facts)
    text = f"client id and client secret are accepted: a token was given, valid for {_span(seconds)}"
    return CheckResult(check="token", state=CheckState.OK, text=text, facts=facts)


def _advice(error: VippsError) -> str:
    """Say what to do about a failed question; what the error itself advises is about a payment, and there is none."""
    if isinstance(error, TransportError):
        return connection_advice(error.message) or "look at the network from here to there, and run doctor again"
    if isinstance(error, RateLimitedError):
        return "wait a minute, and run doctor again"
    if isinstance(error, ServerError):
        return "wait, look at Vipps' status page, and run doctor again"
    if isinstance(error, PermissionDeniedError):
        return error.advice
    return (
        "look at what answered: it is not Vipps' answer to this question. VIPPS_BASE_URL, a proxy or a gateway may "
        "lead somewhere else"
    )


def _advice_on_keys(settings: Settings) -> str:
    environment = settings.environment.value
    return (
        "check the keys VIPPS_CLIENT_ID, VIPPS_CLIENT_SECRET and VIPPS_SUBSCRIPTION_KEY: all of them of sales unit "
        f"{settings.merchant_serial_number} in the {environment} environment (VIPPS_ENVIRONMENT), whose "
        "keys differ from the other's"
    )


def _span(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


async def _check_sales_unit(pipeline: Pipeline, api: PaymentApi, settings: Settings) -> CheckResult:
    check, facts = "sales unit", {"api": api.name}
    serial_number = settings.merchant_serial_number
    text = f"subscription key and merchant serial number {serial_number} are accepted by {api.name}"
    try:
        await api.read_state(pipeline, f"doctor-{uuid.uuid4().hex}")
    except OrderNotFoundError:
        # A serial number that is another's can be answered in the same way: only a payment of one's own proves more.
        text += ": a payment that does not exist is answered as unknown"
        advice = f"{_PROOF} {api.name}"
        return CheckResult(check=check, state=CheckState.OK, text=text, advice=advice, facts=facts)
    except VippsError as error:
        what = f"asking {api.name} for merchant serial number {serial_number} about a payment that does not exist: "
        advice = _advice(error)
        if isinstance(error, AuthenticationError):
            # The token was given for client id and secret: what is left is these two.
            advice = (
                f"check VIPPS_SUBSCRIPTION_KEY, and that {serial_number} (VIPPS_MERCHANT_SERIAL_NUMBER) is the sales "
                f"unit of these keys in the {settings.environment.value} environment (VIPPS_ENVIRONMENT)"
            )
        result = CheckResult.of_error(check, error, text=what)
        return evolve(result, advice=advice, facts={**result.facts, **facts})
    text += ", but a payment that does not exist was answered as if it did"
    advice = "look at what stands between here and Vipps: it is not Vipps that answers so"
    return CheckResult(check=check, state=CheckState.WARNING, text=text, advice=advice, facts=facts)

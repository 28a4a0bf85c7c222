"""Calls the application's own function for credentials, each time before a token is fetched."""

from __future__ import annotations

import asyncio
import inspect

from vipps_async.config import Credentials, CredentialsSource
from vipps_async.errors import ConfigurationError, Effect, RequestNotSent

_ADVICE = "look at the function that the session was given for its credentials; no call was sent"


async def ask_for_credentials(source: CredentialsSource, *, merchant_serial_number: str, within: float) -> Credentials:
    """Return the credentials that the function returns.

    Args:
        source: the application's function, plain or async.
        merchant_serial_number: the session's sales unit, which the credentials must be for.
        within: how long it may take, in seconds.

    Raises:
        RequestNotSent: it raised an error (only its class is named, since its text may be confidential), or took too
            long.
        ConfigurationError: it returned something else, or the credentials of another sales unit.
    """
    try:
        async with asyncio.timeout(within):
            given = source()
            found: object = await given if inspect.isawaitable(given) else given
    except Exception as error:
        text = f"the credentials could not be had ({type(error).__name__})"
        raise RequestNotSent(text, effect=Effect.NONE, advice=_ADVICE) from error
    if not isinstance(found, Credentials):
        # Its repr may hold a secret.
        raise ConfigurationError(f"the function gave a {type(found).__name__}, no Credentials", advice=_ADVICE)
    if found.merchant_serial_number != merchant_serial_number:
        raise ConfigurationError(
            f"the function gave credentials of sales unit {found.merchant_serial_number}, but the session is for "
            f"{merchant_serial_number}",
            advice="make another session for another sales unit, or use for_merchant with partner keys",
        )
    return found

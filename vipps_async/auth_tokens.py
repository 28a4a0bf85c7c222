"""The tokens that callbacks carry in the header `Authorization`: reads those that are configured, checks a request."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping

from vipps_async.errors import CallbackError, InvalidInputError
from vipps_async.input_rules import check_auth_token


def read_auth_tokens(tokens: object) -> tuple[bytes, ...]:
    """Return one token, or several, as bytes.

    Raises:
        InvalidInputError: there is none, or one that is empty or that Vipps could not send; none is shown.
    """
    given: object = (tokens,) if isinstance(tokens, str) else tokens
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray | Mapping):
        raise InvalidInputError("auth_tokens", "a token or a list of tokens", secret=True)
    read = tuple(check_auth_token(token).encode() for token in given)
    if not read:
        # An empty list must never mean "let everybody in".
        raise InvalidInputError("auth_tokens", "at least one token", secret=True)
    return read


def check_authorization(headers: Iterable[tuple[str, str]], tokens: tuple[bytes, ...]) -> None:
    """Check `Authorization` in constant time, so that no token can be found by timing.

    Args:
        headers: names in lower case, and values.
        tokens: any of them is good.

    Raises:
        CallbackError: it is missing, or there twice, or none of the tokens (401).
    """
    given = [value for name, value in headers if name == "authorization"]
    if len(given) != 1:
        raise CallbackError("there is not exactly one Authorization header", status=401)
    # Half a surrogate pair stands for a byte that is no UTF-8 in headers that aiohttp has read.
    value = given[0].encode("utf-8", "surrogatepass")
    # All of them are compared, whichever fits, and as bytes, for texts beyond ASCII are refused with an exception.
    if sum(hmac.compare_digest(value, token) for token in tokens) == 0:
        raise CallbackError("the Authorization header is not the auth token", status=401)

"""Tells whether a request carries the merchant's own auth token, without giving away how close a wrong one came."""

from __future__ import annotations

import enum
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

from vipps_async.errors import CallbackError, InvalidInputError
from vipps_async.input_rules import check_auth_token

__all__ = ["ANYONE_MAY_CALL", "AnyoneMayCall", "AuthTokens", "Headers", "refuse_coded"]

#: A request's headers: a mapping, or pairs of name and value as they came.
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class AnyoneMayCall(enum.Enum):
    """The type of `ANYONE_MAY_CALL`."""

    ANYONE_MAY_CALL = "anyone may call"


#: In place of auth tokens: requests are not authenticated at all. For a development machine, or behind something that
#: lets nobody but Vipps through.
ANYONE_MAY_CALL: Final = AnyoneMayCall.ANYONE_MAY_CALL


class AuthTokens:
    """The tokens that Vipps may send back.

    Raises:
        InvalidInputError: there is none, or one that is empty or that Vipps could not send.
    """

    def __init__(self, tokens: object) -> None:
        if isinstance(tokens, str):
            tokens = (tokens,)
        if not isinstance(tokens, Iterable) or isinstance(tokens, bytes | bytearray | Mapping):
            raise InvalidInputError("auth_tokens", "a token or a list of tokens", secret=True)
        self._tokens = tuple(check_auth_token(token).encode() for token in tokens)
        if not self._tokens:
            # An empty list must never mean "let everybody in".
            raise InvalidInputError("auth_tokens", "at least one token", secret=True)

    def check(self, headers: Headers) -> None:
        """Check the header `Authorization`.

        Raises:
            CallbackError: it is missing, or there twice, or none of the tokens (401).
        """
        given = [value for name, value in _pairs(headers) if name.lower() == "authorization"]
        if len(given) != 1:
            raise CallbackError("there is not exactly one Authorization header", status=401)
        # Half a surrogate pair stands for a byte that is no UTF-8 in headers that aiohttp has read.
        value = given[0].encode("utf-8", "surrogatepass")
        # All of them are compared, whichever fits, and as bytes, for texts beyond ASCII are refused with an exception.
        if sum(hmac.compare_digest(value, token) for token in self._tokens) == 0:
            raise CallbackError("the Authorization header is not the auth token", status=401)


def refuse_coded(headers: Headers) -> None:
    """Refuse a compressed body: Vipps sends none, and one could grow beyond bounds in memory.

    Raises:
        CallbackError: the header `Content-Encoding` names a coding (415).
    """
    codings = (value.strip().lower() for name, value in _pairs(headers) if name.lower() == "content-encoding")
    if any(coding != "identity" for coding in codings):
        raise CallbackError("a compressed body is not taken", status=415)


def _pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    if isinstance(headers, Mapping):
        return ((str(name), str(value)) for name, value in headers.items())
    return headers

"""The access token: fetched at first use, once for all waiting calls, and renewed before it expires."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable

from attrs import field, frozen

from vipps_async.core.clock import Clock
from vipps_async.core.converter import json_name
from vipps_async.core.dialect import Dialect, ErrorRule
from vipps_async.core.events import EventLog
from vipps_async.core.operation import Call, Operation, Repeat
from vipps_async.errors import AuthenticationError, ConfigurationError, Effect, UnexpectedResponseError, VippsError
from vipps_async.input_rules import VISIBLE_ASCII

#: The lifetime that is assumed, in seconds, if an answer tells none: short, so that a wrong guess costs little.
_ASSUMED_LIFETIME = 300.0
#: A token is renewed in the background when this share of its lifetime is left, at most this many seconds ...
_RENEW_SHARE, _RENEW_AT_MOST = 0.2, 300.0
#: ... and no longer sent when this little is left: the request must arrive before it expires.
_UNUSABLE_SHARE, _UNUSABLE_AT_MOST = 0.05, 10.0
#: After a renewal in the background failed, the next one waits this many seconds; the old token is still good.
_RENEWAL_PAUSE = 5.0


@frozen(kw_only=True)
class TokenAnswer:
    """The token endpoint's response. Vipps sends the numbers as strings."""

    access_token: str = field(repr=False, metadata=json_name("access_token"))
    #: Seconds.
    expires_in: int | None = field(default=None, metadata=json_name("expires_in"))
    #: Unix time, seconds.
    expires_on: int | None = field(default=None, metadata=json_name("expires_on"))


#: Keys that it does not take are answered with 400 as well as 401 (RFC 6749, section 5.2).
_CODES = {"invalid_client": ErrorRule(AuthenticationError), "unauthorized_client": ErrorRule(AuthenticationError)}
ACCESS_TOKEN = Dialect(name="token", rule_for=lambda info: _CODES.get(info.code), may_tell_of_money=lambda _info: False)

FETCH_TOKEN = Call(
    operation=Operation(
        dialect=ACCESS_TOKEN,
        verb="get",
        method="POST",
        path="/accesstoken/get",
        result=TokenAnswer,
        repeat=Repeat.SAFE,
        authenticated=False,
    ),
    path="/accesstoken/get",
)


@frozen(kw_only=True, eq=False)
class Token:
    """A token with the times (monotonic seconds) from which it is renewed, and from which it is not used any more."""

    value: str = field(repr=False)
    #: The headers that every call with this token shares.
    headers: dict[str, str] = field(repr=False)
    renew_at: float
    unusable_at: float


class TokenSource:
    """Hands out the token of a session to any number of tasks.

    At most one fetch is under way at a time. It runs in a task of its own, so that it does not die with whichever
    caller happened to be first; `aclose` ends it.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[TokenAnswer]],
        make_headers: Callable[[str], dict[str, str]],
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._fetch = fetch
        self._make_headers = make_headers
        self._clock = clock
        self._log = log
        self._token: Token | None = None
        self._fetching: asyncio.Task[Token] | None = None
        self._no_renewal_before = 0.0
        #: Whether the session is closed.
        self.closed = False

    def at_hand(self) -> Token | None:
        """Return the token if it can be used now, else None; starts its renewal in the background when that is due."""
        token = self._token
        if token is None:
            return None
        now = self._clock.monotonic()
        if now < token.renew_at:
            return token
        if now >= token.unusable_at:
            return None
        if self._fetching is None and now >= self._no_renewal_before:
            self._begin_fetch()
        return token

    async def get(self) -> Token:
        """Return a usable token, waiting for the one fetch that is under way, or starting it.

        Raises:
            VippsError: the fetch failed; everyone who waited for it gets a copy of the same error.
            ConfigurationError: the session was closed meanwhile.
        """
        token = self.at_hand()
        if token is not None:
            return token
        task = self._fetching or self._begin_fetch()
        try:
            # A waiter that is cancelled must not take the fetch away from the others.
            return await asyncio.shield(task)
        except VippsError as error:
            # One instance raised in many tasks would pile up their tracebacks.
            raise copy.copy(error) from error
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if task.cancelled() and waiter is not None and not waiter.cancelling():
                # Not the waiter was cancelled but the fetch, by aclose.
                raise ConfigurationError("the session was closed while a token was being fetched") from None
            raise

    def forget(self, refused: Token | None) -> None:
        """Drop the token that a call was refused with, unless another one has taken its place already.

        Many calls that are refused together thus share the one fetch that follows.
        """
        if self._token is refused:
            self._token = None

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        self.closed = True
        task = self._fetching
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _begin_fetch(self) -> asyncio.Task[Token]:
        task = asyncio.get_running_loop().create_task(self._fetch_token(), name="vipps_async token")
        self._fetching = task
        task.add_done_callback(self._fetched)
        return task

    def _fetched(self, task: asyncio.Task[Token]) -> None:
        self._fetching = None
        if task.cancelled():
            return
        error = task.exception()  # also marks it as seen, when nobody waits for a renewal in the background
        if error is None:
            self._token = task.result()
        elif self._token is not None and self._clock.monotonic() < self._token.unusable_at:
            self._no_renewal_before = self._clock.monotonic() + _RENEWAL_PAUSE
            self._log.renewal_failed(error)

    async def _fetch_token(self) -> Token:
        answer = await self._fetch()
        if not VISIBLE_ASCII.fullmatch(answer.access_token):
            raise UnexpectedResponseError(
                "the token that Vipps answered cannot stand in a header",
                status=200,
                body="",
                operation=FETCH_TOKEN.operation.name,
                effect=Effect.NONE,
                advice="try again; if it stays so, look at what stands between here and Vipps",
            )
        lifetime = self._lifetime(answer)
        now = self._clock.monotonic()
        return Token(
            value=answer.access_token,
            headers=self._make_headers(answer.access_token),
            renew_at=now + lifetime - min(lifetime * _RENEW_SHARE, _RENEW_AT_MOST),
            unusable_at=now + lifetime - min(lifetime * _UNUSABLE_SHARE, _UNUSABLE_AT_MOST),
        )

    def _lifetime(self, answer: TokenAnswer) -> float:
        if answer.expires_in is not None:
            return max(0.0, float(answer.expires_in))
        if answer.expires_on is not None:
            return max(0.0, answer.expires_on - self._clock.now().timestamp())
        return _ASSUMED_LIFETIME


def is_about_token(error: VippsError) -> bool:
    """Return whether a call failed because no token was issued: then Vipps has not seen the call itself."""
    cause = error.__cause__
    return isinstance(cause, VippsError) and cause.operation == FETCH_TOKEN.operation.name

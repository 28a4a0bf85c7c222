"""Readiness check of a session: a token can be had, and the journal answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from attrs import frozen

from vipps_async.errors import VippsError

if TYPE_CHECKING:
    # Whoever makes a session has them; who only imports it need not load them for a type.
    from vipps_async.core.pipeline import Pipeline
    from vipps_async.core.recorder import Recorder


#: How long a finding is reused, in seconds.
_KEPT: Final = 5.0


@frozen(kw_only=True)
class Readiness:
    """Whether a session can make calls."""

    reasons: tuple[str, ...] = ()
    """Why not, one line each; empty: it can."""

    @property
    def is_ready(self) -> bool:
        """Whether a token is at hand, or was fetched, and the journal, if there is one, has answered."""
        return not self.reasons


class ReadinessCheck:
    """Checks token and journal at most once in five seconds, for all callers."""

    def __init__(self, pipeline: Pipeline, recorder: Recorder | None) -> None:
        """Make the check of a session.

        Args:
            pipeline: has the token.
            recorder: has the journal; None: there is none.
        """
        self._pipeline = pipeline
        self._recorder = recorder
        self._asking = asyncio.Lock()
        self._found: Readiness | None = None
        self._until = 0.0

    async def check(self, *, within: float) -> Readiness:
        """Return what was found within the last seconds, or find it out.

        Args:
            within: how long token and journal may take, in seconds.
        """
        async with self._asking:
            now = self._pipeline.clock.monotonic
            if self._pipeline.is_closed:
                return Readiness(reasons=("the session is closed",))
            if self._found is None or now() >= self._until:
                reasons = await asyncio.gather(self._token(within), self._journal(within))
                self._found = Readiness(reasons=tuple(filter(None, reasons)))
                self._until = now() + _KEPT
            return self._found

    async def _token(self, within: float) -> str:
        error = await self._pipeline.reason_without_token(within)
        return "" if error is None else error.message

    async def _journal(self, within: float) -> str:
        if self._recorder is None:
            return ""
        try:
            async with asyncio.timeout(within):
                await self._recorder.ping()
        except TimeoutError:
            return f"the journal does not answer within {within:g} s"
        except VippsError as error:
            return f"the journal cannot be used: {error.message}"
        return ""

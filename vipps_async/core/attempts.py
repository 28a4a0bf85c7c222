"""The attempts of one call: how each failed, how many began and ended without effect, and the last refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from attrs import define, evolve, frozen

from vipps_async.core.dialect import FailureKind
from vipps_async.core.token import Token
from vipps_async.core.verdict import Verdict
from vipps_async.errors import ApiError, VippsError


@frozen
class FailedAttempt:
    """One attempt without a result, with all that retry rules use; the HTTP status is in `error`."""

    failure: FailureKind
    error: VippsError
    #: The token it was sent with; None: it was not sent.
    token: Token | None = None
    #: Whether the refusal says that the key, or the operation, was used before.
    suggests_effect: bool = False

    @property
    def retry_after(self) -> float | None:
        """The seconds of `Retry-After`; None: Vipps sent none."""
        return self.error.retry_after if isinstance(self.error, ApiError) else None


@define(kw_only=True)
class AttemptRecord:
    """The attempts of one call, and of the calls under the same key before it."""

    #: How many attempts of earlier calls, in every process, are not known to have ended without effect.
    earlier_in_doubt: int = 0
    #: Counts one more attempt durably before its first byte leaves; raises JournalError if it must not leave. None:
    #: there is no journal. The first attempt of a call is counted by whoever begins it.
    count: Callable[[], Awaitable[None]] | None = None
    #: How many attempts `count` has counted.
    counted: int = 0
    #: How many attempts of this call ended because they could not be counted: the journal has none of them.
    uncounted: int = 0
    #: Whether the history is read once at the end, without a pause: a recovery reads it again another time.
    one_look: bool = False
    #: When the last attempt was counted; None: the record's call has counted none itself.
    last_at: datetime | None = None
    #: Whether the transport was given an attempt of this call: until then a call that is cancelled has done nothing.
    left: bool = False
    #: Attempts of this call.
    begun: int = 0
    #: Those of them that ended without effect: refused in their own right, or never sent.
    ended: int = 0
    #: What the last attempt was refused with, or told that it was done before; None: it was answered otherwise.
    refusal: ApiError | None = None
    #: Whether a response suggests an effect without proving one.
    probable: bool = False
    #: The verdict on the operation, once the call is given up.
    verdict: Verdict | None = None
    #: The result that the history proves though it is not what was asked for; None: there is none.
    moved_otherwise: Any = None

    @property
    def in_doubt(self) -> int:
        """How many attempts may have taken effect, or may still."""
        return self.earlier_in_doubt + self.begun - self.ended

    def failed(self, attempt: FailedAttempt) -> FailedAttempt:
        """Record how one attempt failed.

        Returns:
            The attempt. A key told as used is no refusal while an attempt with the same bytes is in doubt.
        """
        failure, error, suggests_effect = attempt.failure, attempt.error, attempt.suggests_effect
        if suggests_effect and failure is FailureKind.REFUSED and self.in_doubt > 0:
            failure = FailureKind.UNSETTLED
        self.begun += 1
        self.probable = self.probable or failure in _PROBABLE or (suggests_effect and failure.doubtful)
        if not failure.doubtful:
            self.ended += 1
        was_sent = attempt.token is not None
        self.refusal = error if was_sent and isinstance(error, ApiError) and _is_last_word(failure, error) else None
        return attempt if failure is attempt.failure else evolve(attempt, failure=failure)


def _is_last_word(failure: FailureKind, error: ApiError) -> bool:
    # Done before by somebody, so not to be sent again: Vipps would answer the same each time.
    is_done_before = failure is FailureKind.UNSETTLED and not error.retryable
    return failure is FailureKind.REFUSED or is_done_before


#: A response of success that cannot be used, or proves nothing.
_PROBABLE = frozenset({FailureKind.UNREADABLE, FailureKind.MISFIT, FailureKind.UNPROVEN})

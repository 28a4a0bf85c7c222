"""Reads the response to an attempt: the result of the call, or how the attempt failed."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from attrs import evolve

from vipps_async.answers import LastAnswer
from vipps_async.core.attempts import FailedAttempt
from vipps_async.core.clock import Clock
from vipps_async.core.converter import UnreadableAnswer, decode
from vipps_async.core.dialect import FailureKind
from vipps_async.core.headers import Headers
from vipps_async.core.last_answer import shown_headers
from vipps_async.core.operation import Call, Operation, Repeat
from vipps_async.core.redaction import redact
from vipps_async.core.refusal import read_refusal, shown_body
from vipps_async.core.token import Token
from vipps_async.errors import Effect, UnexpectedResponseError
from vipps_async.transports.protocol import Response

R = TypeVar("R")


class AnswerReader:
    """Reads the responses to attempts; errors that it makes hold no secrets.

    Args:
        headers: the source of the credentials, which no error may show.
        clock: the time that a `Retry-After` is counted from.
        secrets: further values that no error may show: headers of a view.
    """

    def __init__(self, headers: Headers, clock: Clock, *, secrets: tuple[str, ...] = ()) -> None:
        self._headers = headers
        self._clock = clock
        self._secrets = secrets

    def read(self, call: Call[R], response: Response, token: Token | None) -> R | FailedAttempt:
        """Return a call's result, or how the attempt failed.

        Args:
            call: the call.
            response: the answer.
            token: what it was sent with; None: without one.
        """
        if 200 <= response.status < 300:
            return self._result(call, response, token)
        return self._refused(call, response, token)

    def _result(self, call: Call[R], response: Response, token: Token | None) -> R | FailedAttempt:
        wanted = call.operation.result
        try:
            result = decode(response.body, wanted)
        except UnreadableAnswer as error:
            return self._unreadable(call, response, token, str(error), Effect.PROBABLE)
        if call.payment is not None and call.operation.dialect.payment_of(result) not in {None, call.payment}:
            return self._unreadable(call, response, token, "it is about another payment", Effect.PROBABLE)
        operation = call.operation
        for check, failure, what in (
            (operation.misfit, FailureKind.MISFIT, "but not what was asked for"),
            (operation.unproven, FailureKind.UNPROVEN, "which does not prove it"),
        ):
            why = None if check is None else check(call, result)
            if why is not None:
                failed = self._unreadable(call, response, token, why, Effect.PROBABLE)
                failed.error.message = f"Vipps answered HTTP {response.status}, {what}: {why}"
                return evolve(failed, failure=failure)
        return result if operation.complete is None else operation.complete(call, result)

    def _refused(self, call: Call[Any], response: Response, token: Token | None) -> FailedAttempt:
        if 300 <= response.status < 400:
            return self._unreadable(call, response, token, "a redirect, which is never followed", Effect.POSSIBLE)
        secrets = self._secrets_of(call.secrets, token)
        refusal = read_refusal(response, call.operation, self._clock, secrets, payment=call.payment or "")
        return FailedAttempt(refusal.failure, refusal.error, token, refusal.suggests_effect)

    def _unreadable(
        self, call: Call[Any], response: Response, token: Token | None, why: str, effect: Effect
    ) -> FailedAttempt:
        shown = self.shown_answer(call.operation, call.secrets, token, response)
        changes = call.operation.repeat is not Repeat.SAFE
        error = UnexpectedResponseError(
            f"Vipps answered HTTP {response.status} with something that cannot be read: {why}",
            status=response.status,
            body=shown.body,
            effect=effect if changes else Effect.NONE,
            advice=None if changes else "try again; if it stays so, look at what stands between here and Vipps",
        )
        error.response = shown
        return FailedAttempt(FailureKind.UNREADABLE, error, token)

    def shown_answer(
        self, operation: Operation[Any], secrets: tuple[str, ...], token: Token | None, response: Response
    ) -> LastAnswer:
        """Return the response as it may be shown: redacted.

        Args:
            operation: what was asked for.
            secrets: those of the call.
            token: what it was sent with.
            response: the answer.
        """
        secrets = self._secrets_of(secrets, token)
        # Whatever answers a token request may hold the token: nothing of its body is kept.
        body = shown_body(response.body, operation.dialect, secrets) if operation.authenticated else ""
        headers = shown_headers(response.headers, partial(redact, secrets=secrets))
        return LastAnswer(status=response.status, headers=headers, body=body)

    def _secrets_of(self, more: tuple[str, ...], token: Token | None) -> tuple[str, ...]:
        return (*self._headers.secrets, *self._secrets, *more, *((token.value,) if token is not None else ()))

"""Runs calls: token, headers and the first attempt; a failed one is carried on in failed_call.py."""

from __future__ import annotations

import asyncio
import copy
import random
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from attrs import evolve

from vipps_async.config import Settings, Timeouts
from vipps_async.core.answer_reader import AnswerReader
from vipps_async.core.attempts import AttemptRecord, FailedAttempt
from vipps_async.core.call_options import CallOptions
from vipps_async.core.clock import Clock, SystemClock
from vipps_async.core.converter import encode
from vipps_async.core.credentials import ask_for_credentials
from vipps_async.core.dialect import FailureKind
from vipps_async.core.events import EventLog
from vipps_async.core.failed_call import FailedCall
from vipps_async.core.headers import MERCHANT_SERIAL_NUMBER, Headers
from vipps_async.core.last_answer import LAST
from vipps_async.core.operation import Call, Evidence, Inconclusive, Repeat
from vipps_async.core.rate_limit import PerPaymentRateLimiter
from vipps_async.core.retry import SHORTEST_ATTEMPT, RetryBudget, RetryState, time_to_send
from vipps_async.core.token import FETCH_TOKEN, Token, TokenAnswer, TokenSource, is_about_token
from vipps_async.errors import (
    ApiError,
    ConfigurationError,
    Effect,
    OutcomeUnknown,
    RequestNotSent,
    TransportError,
    VippsError,
)
from vipps_async.journals.entries import KeyOrigin
from vipps_async.transports.protocol import Request, Transport

R = TypeVar("R")


def render(call: Call[Any]) -> bytes | None:
    """Make the bytes of a call's body: once, so that every attempt sends the same ones."""
    return None if call.body is None else encode(call.body)


class Pipeline:
    """Runs calls over one transport, with one token, one retry budget and one limiter of attempts per payment.

    The first attempt is a straight line; everything that has to do with failures is in `_go_on`, which only failed
    attempts enter.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        *,
        clock: Clock | None = None,
        random_source: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        #: The clock, shared with the recorder and the session.
        self.clock: Clock = clock or SystemClock()
        # Jitter spreads load; it protects no secret.
        self._random = random_source or random.Random()  # noqa: S311 - see above
        #: The event log, shared with the recorder and the session.
        self.log: EventLog = EventLog()
        self._headers = Headers(settings)
        self._tokens = TokenSource(self._fetch_token, self._headers.with_token, self.clock, self.log)
        self._budget = RetryBudget(settings.retry)
        self._limiter = PerPaymentRateLimiter()
        self._base_url = settings.base_url
        #: Headers of a view; None: there are none.
        self._more_headers: dict[str, str] | None = None
        self._set_times()
        self._answers = AnswerReader(self._headers, self.clock)
        self._settle_after = timedelta(seconds=settings.settle_after)

    def _set_times(self) -> None:
        self._timeouts = self._settings.timeouts
        self._time_to_send = time_to_send(self._settings.retry, can_ask=False)
        self._time_to_send_before_asking = time_to_send(self._settings.retry, can_ask=True)

    def view(self, options: CallOptions) -> Pipeline:
        """Return a pipeline for calls with other options. It shares all else: token, retry budget, limiter, log.

        Args:
            options: the differences to this pipeline, which must be no view itself.
        """
        view = copy.copy(self)
        view._apply(options)  # noqa: SLF001 - a copy of ours
        return view

    def _apply(self, options: CallOptions) -> None:
        self._settings = options.applied_to(self._settings)
        self._set_times()
        self._answers = AnswerReader(self._headers, self.clock, secrets=tuple(value for _, value in options.headers))
        self._more_headers = dict(options.headers)
        msn = options.merchant_serial_number
        if msn is not None:
            self._more_headers[MERCHANT_SERIAL_NUMBER] = msn
            self._limiter = self._limiter.of_unit(msn)
            self.log = self.log.of_unit(msn)

    async def aclose(self) -> None:
        """End what runs in the background. The transport belongs to whoever made it."""
        await self._tokens.aclose()

    async def run(self, call: Call[R]) -> R:
        """Carry the call out and return its result.

        Raises:
            VippsError: as `vipps_async.errors` describes; each says whether money may have moved.
        """
        return await self.run_rendered(call, render(call))

    async def run_rendered(self, call: Call[R], body: bytes | None, record: AttemptRecord | None = None) -> R:
        """Do what `run` does, with the body's exact bytes given.

        Args:
            call: the call.
            body: its body.
            record: what is known of earlier attempts under its key, and where those of this call are noted; None:
                nothing is known of earlier ones.
        """
        if self._tokens.closed:
            raise _closed(call)
        started = self.clock.monotonic()
        is_observed = self.log.is_observed
        if is_observed:
            self.log.began(call)
        try:
            time = self._time_to_send if call.make_reconciliation is None else self._time_to_send_before_asking
            outcome = await self._attempt(call, body, started + time, number=1, is_observed=is_observed, record=record)
            if isinstance(outcome, FailedAttempt):
                return await self._go_on(call, body, outcome, started, record or AttemptRecord())
        except asyncio.CancelledError as cancelled:
            self.log.cancelled(call, seconds=self.clock.monotonic() - started)
            if call.audit is not None and call.idempotency_key is not None:
                cancelled.add_note(
                    f"{call.operation.name} of payment {call.payment} was cancelled with the idempotency key "
                    f"{call.idempotency_key}: money may have moved; repeat it with this key, never with a new one"
                )
            raise
        except VippsError:
            raise
        except BaseException as error:
            self.log.broken(call, error, seconds=self.clock.monotonic() - started)
            raise
        self._budget.refill()
        if is_observed:
            self.log.success(call, attempts=1, seconds=self.clock.monotonic() - started)
        return outcome

    # --- one attempt -----------------------------------------------------------------------------------------------

    async def _attempt(
        self,
        call: Call[R],
        body: bytes | None,
        must_end: float,
        *,
        number: int,
        is_observed: bool = True,
        record: AttemptRecord | None = None,
    ) -> R | FailedAttempt:
        operation = call.operation
        token: Token | None = None
        if operation.authenticated:
            token = self._tokens.at_hand()
            if token is None:
                got = await self._wait_for_token(must_end)
                if isinstance(got, FailedAttempt):
                    return got
                token = got
            headers = Headers.for_call(
                token.headers,
                has_body=body is not None,
                key=_key_of(call),
                subscription_key=operation.subscription_key,
                more=self._more_headers,
            )
        else:
            headers = self._headers.for_token()
        sent_at = self.clock.monotonic()
        reason = self._reason_not_to_send(call, must_end, sent_at, number)
        if reason:
            return FailedAttempt(FailureKind.NOT_SENT, RequestNotSent(reason), token)
        request = Request(
            method=operation.method,
            url=self._base_url + call.path,
            headers=headers,
            body=body,
            timeouts=_within(self._timeouts, must_end - sent_at),
            deadline=must_end - sent_at,
        )
        if record is not None:
            record.left = True
        if is_observed:
            self.log.attempt_began(call, number=number)
        try:
            response = await self._transport.send(request)
        except VippsError as error:
            return self._unanswered(call, error, token, number, self.clock.monotonic() - sent_at)
        LAST.set((self._answers, operation, call.secrets, token, response))
        if is_observed:
            self.log.attempt(call, number=number, seconds=self.clock.monotonic() - sent_at, status=response.status)
        return self._answers.read(call, response, token)

    def _unanswered(
        self, call: Call[Any], error: VippsError, token: Token | None, number: int, seconds: float
    ) -> FailedAttempt:
        if not isinstance(error, TransportError):
            # The transport is closed or cannot be used here: this attempt did nothing, but an earlier one may have. No
            # token, for it is not Vipps that said no.
            return FailedAttempt(FailureKind.REFUSED, error)
        failure = FailureKind.NOT_SENT if isinstance(error, RequestNotSent) else FailureKind.UNKNOWN
        self.log.attempt(call, number=number, seconds=seconds, failure=failure.value)
        return FailedAttempt(failure, error, token)

    def _reason_not_to_send(self, call: Call[Any], must_end: float, now: float, number: int) -> str:
        """Return why the attempt must not be sent now; empty: it may, and it is counted in the limiter."""
        if must_end - now < SHORTEST_ATTEMPT:
            # Only waiting for the token can have taken that long.
            return "this call's deadline left no time to send it"
        operation, payment = call.operation, call.payment
        if payment is not None and operation.per_minute is not None:
            # First attempts are the application's own decision. Retries are ours: calls that ran side by side may have
            # paused for the same turn, and another one has taken it.
            if number > 1 and self._limiter.wait_for_slot(operation.name, payment, operation.per_minute, now):
                return "Vipps' limit for this payment is used up by other calls"
            self._limiter.note(operation.name, payment, operation.per_minute, now)
        return ""

    # --- the token -------------------------------------------------------------------------------------------------

    async def _fetch_token(self) -> TokenAnswer:
        source = self._settings.credentials_source
        if source is not None:
            # Half of it: a function that hangs once is given up before the calls that wait for it are.
            unit, within = self._settings.merchant_serial_number, self._settings.retry.deadline / 2
            try:
                found = await ask_for_credentials(source, merchant_serial_number=unit, within=within)
            except RequestNotSent as error:
                # Where they are kept may be away for a while, and those that were good are good as a rule.
                if not self._headers.has_credentials:
                    raise
                self.log.credentials_failed(error.__cause__ or error)
            else:
                self._headers.take(found)
        return await self.run(FETCH_TOKEN)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is sent."""
        return self._tokens.closed

    async def reason_without_token(self, within: float) -> VippsError | None:
        """Return why no token can be had within so many seconds; None: there is one."""
        got = self._tokens.at_hand() or await self._wait_for_token(self.clock.monotonic() + within)
        return got.error if isinstance(got, FailedAttempt) else None

    async def _wait_for_token(self, must_end: float) -> Token | FailedAttempt:
        remaining = must_end - self.clock.monotonic()
        error: VippsError
        try:
            async with asyncio.timeout(max(0.0, remaining)):
                return await self._tokens.get()
        except TimeoutError as timeout:
            error = RequestNotSent("no token came within this call's deadline")
            error.__cause__ = timeout
        except OutcomeUnknown as unknown:
            # Whether Vipps made a token is of no matter: the call itself was not sent.
            error = RequestNotSent(f"fetching a token failed: {unknown.message}")
            error.__cause__ = unknown
        except VippsError as failed:
            error = failed
            error.message = f"fetching a token failed: {failed.message}"
        error.effect = Effect.NONE
        return FailedAttempt(FailureKind.REFUSED, error)

    # --- after a failure -------------------------------------------------------------------------------------------

    async def _go_on(
        self, call: Call[R], body: bytes | None, failed: FailedAttempt, started: float, record: AttemptRecord
    ) -> R:
        state = RetryState(
            call.operation,
            call.payment,
            policy=self._settings.retry,
            budget=self._budget,
            limiter=self._limiter,
            random=self._random,
            started=started,
            can_ask=call.make_reconciliation is not None,
            record=record,
            is_row=call.is_row,
        )
        return await FailedCall(
            call=call,
            state=state,
            attempt=lambda: self._attempt_again(call, body, state),
            reconcile=partial(self.reconcile, call),
            forget_token=self._tokens.forget,
            clock=self.clock,
            log=self.log,
            settle_after=self._settle_after,
        ).carry_on(failed)

    async def _attempt_again(self, call: Call[R], body: bytes | None, state: RetryState) -> R | FailedAttempt:
        record = state.record
        if record.count is not None:
            try:
                await record.count()
            except VippsError as error:
                # Not counted, so not sent.
                record.uncounted += 1
                return FailedAttempt(FailureKind.REFUSED, error)
        return await self._attempt(call, body, state.last_send, number=record.begun + 1)

    async def reconcile(self, call: Call[R], *, within: float) -> Evidence[R]:
        """Look up whether a call took effect, for at most so many seconds; a failed lookup is `Inconclusive`."""
        reconciliation = call.reconciliation
        if reconciliation is None:
            return Inconclusive("there is no way to ask")
        if within <= 0:
            return Inconclusive("no time was left to look the payment up")
        try:
            async with asyncio.timeout(within):
                answer = await self.run(reconciliation.lookup)
        except VippsError as error:
            # A refused token says nothing about the payment: only a refusal of the question itself is one to judge.
            if isinstance(error, ApiError) and not is_about_token(error):
                return reconciliation.interpret_refusal(error)
            return Inconclusive(f"the payment could not be looked up ({error.message})", error)
        except TimeoutError:
            return Inconclusive("the look-up of the payment did not end within this call's deadline")
        return reconciliation.interpret(answer)


def _key_of(call: Call[Any]) -> tuple[str, str] | None:
    """Return the header that carries a call's idempotency key, and the key."""
    key = call.idempotency_key
    return None if key is None else (call.operation.dialect.idempotency_header, key)


def _within(timeouts: Timeouts, seconds: float) -> Timeouts:
    """Shorten the time-outs so that an attempt ends within the given time."""
    if seconds >= timeouts.total:
        return timeouts
    return evolve(timeouts, total=seconds)


def _closed(call: Call[Any]) -> ConfigurationError:
    error = ConfigurationError(
        "the session is closed",
        operation=call.operation.name,
        payment=call.payment,
        idempotency_key=call.idempotency_key,
        advice="open a new VippsSession",
    )
    error.is_of_read = call.operation.repeat is Repeat.SAFE
    # No earlier call has a key that was made for this one.
    error.is_of_this_call_alone = call.audit is None or call.audit.origin is not KeyOrigin.MADE
    return error

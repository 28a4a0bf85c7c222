"""Waiting for customers: reads payments at the pace that Vipps' guidelines set, for any number of them at once."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeGuard, TypeVar

from attrs import define, field

from vipps_async.core.clock import Clock, SystemClock, Timer
from vipps_async.core.rate_limit import RateLimiter
from vipps_async.errors import ApiError, ConfigurationError, RateLimitedError, TransportError, UnexpectedResponseError
from vipps_async.input_rules import check_seconds
from vipps_async.one_loop import OneLoop


class HasOutcome(Protocol):
    """A payment, as its API reads it, that tells whether the customer has answered."""

    @property
    def has_outcome(self) -> bool:
        """Whether the customer has answered, or can no longer answer."""
        ...


A = TypeVar("A", bound=HasOutcome)

#: Seconds before the first read: nobody accepts a payment faster (API guide, polling).
FIRST_PAUSE = 5.0
#: Seconds between further reads (API guide, polling).
PAUSE = 2.0
#: Seconds without reads of a payment after a 429 without `Retry-After`.
_QUIET = 10.0
#: The longest such time, in seconds, whatever a `Retry-After` asks for: a customer is waiting.
_LONGEST_QUIET = 60.0
#: Vipps allows 120 reads a minute for a subscription key (API guide, rate limiting). In any 60 seconds at most the sum
#: of the two is sent: reads a minute, and how many may be saved up.
_PER_MINUTE, _BURST = 100.0, 20.0
#: Of these, how many are kept for what is urgent: a payment whose callback has just come does not wait in the queue.
_RESERVE = 10.0
#: The most reads under way. At this rate, more would be only while Vipps takes half a minute to answer.
_MOST_AT_ONCE = 50
#: Payments whose callback came while nobody waited, so that a wait that begins now asks at once.
_MOST_REMEMBERED = 10_000
#: Numbers closer than this are the same moment to a bucket of turns and a clock of floats, in seconds.
_SLACK = 1e-6


class PaymentPending(TimeoutError, Generic[A]):  # noqa: N818 - the name states the fact that matters
    """The customer has neither accepted nor declined in time. The payment may still be accepted later.

    Attributes:
        payment: the payment, as its API calls it.
        last: the payment as it was read last; None if no read was answered.
    """

    def __init__(self, message: str, *, payment: str = "", last: A | None = None) -> None:
        super().__init__(message)
        self.payment = payment
        self.last = last


@define(eq=False)
class _Watch(Generic[A]):
    """A payment that somebody waits for."""

    payment: str
    #: The sales unit that it is of.
    unit: str
    #: Reads it, once.
    ask: Callable[[str], Coroutine[Any, Any, A]]
    waiters: list[asyncio.Future[A]] = field(factory=list)
    #: Which entry of the queue counts; those that were made before are stale.
    turn: int = -1
    due: float = 0.0
    question: asyncio.Task[A] | None = None
    #: Stands among the urgent ones.
    is_urgent: bool = False
    #: A callback came while a read was under way, whose response may be older.
    ask_again: bool = False
    #: Until when Vipps wants not to be asked about it, by the clock.
    quiet_until: float = 0.0
    last: A | None = None
    trouble: Exception | None = None


class PaymentPoller(Generic[A]):
    """Reads all payments that are waited for, the one that has been due for longest first.

    It has no task of its own and none for a payment: one timer is set for the next read of any payment, and each waiter
    has one for its deadline.
    """

    def __init__(self, one_loop: OneLoop, clock: Clock | None = None) -> None:
        """Make a poller.

        Args:
            one_loop: the event loop that all waits belong to.
            clock: sets the timers; None: the event loop does.
        """
        self._one_loop = one_loop
        self._timers = (clock or SystemClock()).timers
        self._watches: dict[tuple[str, str], _Watch[A]] = {}
        self._queue: list[tuple[float, int, _Watch[A]]] = []
        self._urgent: deque[_Watch[A]] = deque()
        self._turns = itertools.count()
        self._questions: set[asyncio.Task[A]] = set()
        self._unread_news: dict[tuple[str, str], None] = {}
        self._timer: Timer | None = None
        #: When that is; not every loop's timer can tell.
        self._timer_at = 0.0
        self._rate = RateLimiter(_PER_MINUTE / 60.0, burst=_BURST)
        self._closed = False
        # A read serves all waiters, so it runs in an empty context, without the log fields of the request that
        # happened to set the timer.
        self._context = contextvars.Context()

    @property
    def waiting(self) -> int:
        """How many payments are waited for."""
        return len(self._watches)

    async def wait(
        self,
        payment: str,
        *,
        timeout: float,  # noqa: ASYNC109 - it is a timer here
        unit: str,
        ask: Callable[[str], Coroutine[Any, Any, A]],
    ) -> A:
        """Wait until a payment is accepted, refused or cancelled; see `wait_for`.

        A read that fails with a passing error is repeated: a short outage must not end the wait.

        Args:
            payment: the payment.
            timeout: how long to wait in all, in seconds.
            unit: its sales unit: the same payment at another one is another payment.
            ask: reads the payment once. Of several waiters of a payment, the first one's is used.
        """
        seconds = check_seconds("timeout", timeout)
        self._one_loop.check()
        if self._closed:
            raise _session_closed()
        loop = asyncio.get_running_loop()
        timers = self._timers()
        now = timers.time()
        key = (unit, payment)
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch(payment, unit, ask)
        # Who has little time may know that the customer is back already: asked once at least.
        first = max(now + min(FIRST_PAUSE, seconds / 2), watch.quiet_until)
        waiter: asyncio.Future[A] = loop.create_future()
        watch.waiters.append(waiter)
        if key in self._unread_news:
            del self._unread_news[key]
            self._hurry(watch)
        elif watch.question is None and not watch.is_urgent and (watch.turn < 0 or first < watch.due):
            self._schedule(watch, first)
        deadline = timers.call_at(now + seconds, _time_is_up, waiter, watch, seconds)
        try:
            return await waiter
        finally:
            deadline.cancel()
            if not waiter.cancelled() and waiter.done():
                # Looked at, for one who is cancelled at this very moment does not.
                waiter.exception()
            watch.waiters.remove(waiter)
            if not watch.waiters:
                self._forget(watch)

    def notify(self, payment: str, *, unit: str) -> None:
        """Read a payment at once, because an event of it has arrived.

        Args:
            payment: the payment.
            unit: its sales unit.
        """
        self._one_loop.check()
        key = (unit, payment)
        watch = self._watches.get(key)
        if watch is not None:
            self._hurry(watch)
            return
        self._unread_news.pop(key, None)
        self._unread_news[key] = None
        if len(self._unread_news) > _MOST_REMEMBERED:
            del self._unread_news[next(iter(self._unread_news))]

    async def aclose(self) -> None:
        """Cancel all reads, and end all waits with `ConfigurationError`. Safe to call twice."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for watch in self._watches.values():
            _end(watch, _session_closed())
        questions = set(self._questions)
        for question in questions:
            question.cancel()
        if questions:
            await asyncio.wait(questions)

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _schedule(self, watch: _Watch[A], due: float) -> None:
        watch.turn, watch.due = next(self._turns), due
        heapq.heappush(self._queue, (due, watch.turn, watch))
        self._set_timer()

    def _hurry(self, watch: _Watch[A]) -> None:
        if watch.question is not None:
            watch.ask_again = True
        elif watch.quiet_until > self._timers().time():
            self._schedule(watch, watch.quiet_until)
        elif not watch.is_urgent:
            watch.turn, watch.is_urgent = -1, True
            self._urgent.append(watch)
            self._set_timer()

    def _forget(self, watch: _Watch[A]) -> None:
        watch.turn = -1
        if self._watches.get((watch.unit, watch.payment)) is watch:
            del self._watches[watch.unit, watch.payment]
        if watch.question is not None:
            watch.question.cancel()
        if not self._watches:
            self._queue.clear()
            self._urgent.clear()
        self._set_timer()

    def _drop_stale(self) -> None:
        while self._urgent and not self._urgent[0].waiters:
            self._urgent.popleft()
        while self._queue and self._queue[0][1] != self._queue[0][2].turn:
            heapq.heappop(self._queue)

    def _set_timer(self) -> None:
        """Set the one timer for the next read, if there is one."""
        at = self._next_at(self._timers().time())
        if self._timer is not None:
            if at is not None and self._timer_at <= at:
                # It comes early enough, and is set anew then: not moved for each of a hundred thousand waiters.
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer_at = at
            self._timer = self._timers().call_at(at, self._ask_who_is_due, context=self._context)

    def _next_at(self, now: float) -> float | None:
        if self._closed or len(self._questions) >= _MOST_AT_ONCE or not (self._urgent or self._queue):
            return None
        urgent = bool(self._urgent)
        due = now if urgent else self._queue[0][0]
        return max(due, now + self._rate.wait(now, reserve=0.0 if urgent else _RESERVE))

    def _ask_who_is_due(self) -> None:
        self._timer = None
        now = self._timers().time()
        while True:
            self._drop_stale()
            # By the same moment throughout: a clock that is read anew has moved on, and nothing would ever be due.
            at = self._next_at(now)
            if at is None or at > now + _SLACK:
                break
            watch = self._urgent.popleft() if self._urgent else heapq.heappop(self._queue)[2]
            watch.turn, watch.is_urgent = -1, False
            self._rate.take(now)
            question = asyncio.get_running_loop().create_task(watch.ask(watch.payment), name="vipps poll")
            watch.question = question
            self._questions.add(question)
            question.add_done_callback(functools.partial(self._answered, watch))
        self._set_timer()

    # -- answers -----------------------------------------------------------------------------------------------------

    def _answered(self, watch: _Watch[A], question: asyncio.Task[A]) -> None:
        self._questions.discard(question)
        watch.question = None
        now = self._timers().time()
        error = None if question.cancelled() else question.exception()
        if error is None and not question.cancelled():
            watch.last, watch.trouble = question.result(), None
            if watch.last.has_outcome:
                _end(watch, watch.last)
        elif error is not None and _may_pass(error):
            watch.trouble = error
            watch.quiet_until = now + _quiet_after(error)
        elif error is not None:
            _end(watch, error)
        if any(not waiter.done() for waiter in watch.waiters):
            if watch.ask_again:
                watch.ask_again = False
                self._hurry(watch)
            else:
                self._schedule(watch, max(now + PAUSE, watch.quiet_until))
        self._set_timer()


def _quiet_after(error: Exception) -> float:
    # Of this one payment: the limits are kept for each, and the pace of all of them is the poller's own.
    asked_for = error.retry_after if isinstance(error, ApiError) else None
    if asked_for is None:
        return _QUIET if isinstance(error, RateLimitedError) else 0.0
    return min(asked_for, _LONGEST_QUIET)


def _may_pass(error: BaseException) -> TypeGuard[Exception]:
    if isinstance(error, ApiError):
        return error.retryable
    # An answer that cannot be read comes from a proxy on the way, mostly.
    return isinstance(error, TransportError | UnexpectedResponseError)


def _end(watch: _Watch[A], outcome: A | BaseException) -> None:
    for waiter in watch.waiters:
        if waiter.done():
            continue
        if isinstance(outcome, BaseException):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)


def _time_is_up(waiter: asyncio.Future[A], watch: _Watch[A], seconds: float) -> None:
    if waiter.done():
        return
    if watch.trouble is not None:
        waiter.set_exception(watch.trouble)
        return
    text = (
        f"the customer has neither accepted nor declined payment {watch.payment} within {seconds:g} seconds; it may "
        "still be accepted: wait again, or cancel it before another one is begun"
    )
    waiter.set_exception(PaymentPending(text, payment=watch.payment, last=watch.last))


def _session_closed() -> ConfigurationError:
    return ConfigurationError("the session is closed", advice="open a new VippsSession")

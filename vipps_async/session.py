"""The session: opens transport and journal, and has the APIs."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from attrs import evolve

from vipps_async.config import Credentials, CredentialsSource, Environment, RetryPolicy, Settings, SystemInfo, Timeouts
from vipps_async.core.call_options import CallOptions, checked_deadline, checked_headers, checked_timeouts
from vipps_async.core.clock import Clock
from vipps_async.core.events import AttemptListener, CallListener
from vipps_async.core.open_operations import OpenOperations
from vipps_async.core.readiness import Readiness
from vipps_async.core.recovery_report import LeftOpen, RecoveryReport
from vipps_async.core.unread_fields import unknown_words, unread_fields
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.input_rules import check_merchant_serial_number, check_seconds
from vipps_async.journals.entries import World
from vipps_async.journals.protocol import Journal
from vipps_async.transports.protocol import Transport

if TYPE_CHECKING:
    from vipps_async.core.recovery import Recovery
    from vipps_async.ecom.client import EcomApi
    from vipps_async.epayment.client import EpaymentApi
    from vipps_async.session_parts import SessionParts
    from vipps_async.userinfo import UserinfoApi
    from vipps_async.webhooks.client import WebhooksApi


#: The most operations that a recovery has in work at the same time: as many connections as the transport keeps.
_MOST_AT_ONCE = 100


class VippsSession:
    """A connection to Vipps for one sales unit: open it once, share it between all tasks, close it at the end.

    ::

        async with VippsSession.from_env() as vipps:
            details = await vipps.ecom.details("acme-shop-123-order123abc")

    It may be made outside an event loop, but belongs to the loop it is first used in: in another loop or thread each
    use raises `ConfigurationError` before anything is noted or sent. `async with` and `aclose` close what the session
    itself has opened: a transport that was handed in stays open, and so does a journal that somebody else has open.

    Attributes:
        ecom: the eCom API v2.
        epayment: the ePayment API v1.
        userinfo: what a customer has consented to share.
        webhooks: the registrations of URLs that Vipps tells of events.
    """

    def __init__(
        self,
        credentials: Credentials | CredentialsSource,
        *,
        environment: Environment = Environment.TEST,
        base_url: str | None = None,
        transport: Transport | None = None,
        journal: Journal | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        system: SystemInfo | None = None,
        settle_after: float = 86_400.0,
        clock: Clock | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        merchant_serial_number: str | None = None,
    ) -> None:
        """Check the settings; nothing is opened or sent before the first call.

        Args:
            credentials: the keys of the sales unit; or a function, plain or async, that returns them as they are now.
                It is asked each time before a token is fetched, so also after Vipps has refused the old ones (401),
                once for all calls that wait. It must not block the event loop.
            environment: which Vipps to talk to; the test environment unless told otherwise.
            base_url: another host than the environment's own, such as a sandbox.
            transport: sends the requests; an `AiohttpTransport` of its own by default.
            journal: where each capture, refund, cancel and initiate is noted before it leaves; none by default.
            retry: how failed attempts are repeated.
            timeouts: how long one attempt may take, in seconds.
            system: what the `Vipps-System-…` headers say.
            settle_after: how long an operation whose outcome is not known stays open after its last attempt began, in
                seconds; a day by default. Until then a request may still arrive, and the history may still change.
            clock: tells the time and waits; the machine's own by default. For tests that must not wait a day.
            proxy: the URL of an http or https proxy on the way to Vipps, with user and password if it wants them.
            trust_env: take the proxy from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, if `proxy` names none.
            merchant_serial_number: the sales unit, if `credentials` is a function; else left out.

        Raises:
            InvalidInputError: a value breaks a rule; the error names it.
            ConfigurationError: the values contradict each other: a transport that is given has a proxy of its own, or
                credentials are of another sales unit.
        """
        settings = Settings.build(
            credentials,
            environment=environment,
            base_url=base_url,
            timeouts=timeouts,
            retry=retry,
            system=system,
            settle_after=settle_after,
            proxy=proxy,
            merchant_serial_number=merchant_serial_number,
        )
        if transport is not None and (proxy is not None or trust_env):
            raise ConfigurationError(
                "proxy and trust_env cannot be given together with a transport",
                advice="set them where that transport is made",
            )
        self._own_transport: Transport | None = None
        if transport is None:
            # In time for the first call: aiohttp takes longer to load than all the rest.
            from vipps_async.transports.aiohttp import AiohttpTransport  # noqa: PLC0415 - see above

            transport = self._own_transport = AiohttpTransport(proxy=settings.proxy, trust_env=trust_env)
        # Loads the APIs that it hands out: who needs but one of them, or none, need not have the others.
        from vipps_async.session_parts import SessionParts  # noqa: PLC0415 - see above

        self._set_parts(SessionParts.of(settings, transport, journal, clock))
        #: What all views are made of; `_parts` are those of the view itself.
        self._session_parts = self._parts
        self._options = CallOptions()

    def _set_parts(self, parts: SessionParts) -> None:
        self._parts = parts
        self.ecom: EcomApi = parts.ecom
        self.epayment: EpaymentApi = parts.epayment
        self.userinfo: UserinfoApi = parts.userinfo
        self.webhooks: WebhooksApi = parts.webhooks

    @classmethod
    def from_env(
        cls,
        env: Mapping[str, str] | None = None,
        *,
        transport: Transport | None = None,
        journal: Journal | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        system: SystemInfo | None = None,
        settle_after: float = 86_400.0,
        trust_env: bool = False,
    ) -> Self:
        """Make a session from environment variables.

        `VIPPS_CLIENT_ID`, `VIPPS_CLIENT_SECRET`, `VIPPS_SUBSCRIPTION_KEY` and `VIPPS_MERCHANT_SERIAL_NUMBER` must be
        set; `VIPPS_ENVIRONMENT` (``test``, the default, or ``production``), `VIPPS_BASE_URL`, `VIPPS_PROXY`,
        `VIPPS_SYSTEM_NAME`, `VIPPS_SYSTEM_VERSION`, `VIPPS_SYSTEM_PLUGIN_NAME` and `VIPPS_SYSTEM_PLUGIN_VERSION` may
        be. `VIPPS_PROXY` is for the session's own transport: one that is given has its own.

        Args:
            env: where to read them from; the process's own environment by default.
            transport: as for the class.
            journal: as for the class.
            retry: as for the class.
            timeouts: as for the class.
            system: as for the class; takes precedence over the variables.
            settle_after: as for the class.
            trust_env: as for the class; `VIPPS_PROXY` takes precedence.

        Raises:
            ConfigurationError: a variable is missing or contradicts another one.
            InvalidInputError: a value breaks a rule.
        """
        settings = Settings.from_env(os.environ if env is None else env, timeouts=timeouts, retry=retry, system=system)
        assert settings.credentials is not None  # noqa: S101 - for the type checker
        return cls(
            settings.credentials,
            environment=settings.environment,
            base_url=settings.base_url,
            transport=transport,
            journal=journal,
            retry=settings.retry,
            timeouts=settings.timeouts,
            system=settings.system,
            settle_after=settle_after,
            proxy=settings.proxy if transport is None else None,
            trust_env=trust_env,
        )

    @property
    def environment(self) -> Environment:
        """Which Vipps this session talks to."""
        return self._parts.settings.environment

    @property
    def base_url(self) -> str:
        """Where its requests go: scheme, host and port."""
        return self._parts.settings.base_url

    @property
    def merchant_serial_number(self) -> str:
        """The sales unit this session acts for."""
        return self._parts.settings.merchant_serial_number

    @property
    def journal(self) -> Journal | None:
        """The journal that the session was given; None: it has none."""
        return self._parts.journal

    @property
    def unread_fields(self) -> Mapping[str, int]:
        """How often which optional field of an answer could not be read, in this process.

        By class and name in JSON, such as ``"PaymentDetails.sub"``. Each was None, and the rest of its answer was read.
        """
        return unread_fields()

    @property
    def unknown_words(self) -> Mapping[str, int]:
        """How often an answer of success said so in a word that is not known, in this process.

        By class and name in JSON, such as ``"CaptureResult.status"``. Amount and transaction were as asked for, so each
        was taken as done; the event ``vipps.word_unknown`` names its payment, key and word.
        """
        return unknown_words()

    def with_options(
        self,
        *,
        timeout: float | Timeouts | None = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a view of this session whose calls differ, such as ``vipps.with_options(deadline=10).ecom``.

        A view shares all else with its session: connections, token, retry budget, limits, journal, listeners.
        It costs little to make, needs no closing, and views can be made of views. All that a call does goes by it: its
        retries, its questions what became of it, and how long its entry in the journal is leased.

        Args:
            timeout: how long one attempt may take, in seconds, or `Timeouts` to say it in parts.
            deadline: how long a call may take in all, in seconds: 0.1 at least. With less than an attempt and a
                question take (some ten seconds by Vipps' advice), more calls end as `OutcomeUnknown`, whatever
                became of them. It ends an attempt whose time-out is longer.
            headers: further headers of each request but the token's, such as ``traceparent``. What the SDK sets itself
                cannot be given: who calls, idempotency keys, what is sent and how. Values are kept out of logs and
                errors.

        Raises:
            InvalidInputError: a value breaks a rule; nothing was sent.
        """
        options = self._options
        if timeout is not None:
            options = evolve(options, timeouts=checked_timeouts(timeout, self._parts.settings.timeouts))
        if deadline is not None:
            options = evolve(options, deadline=checked_deadline(deadline))
        if headers is not None:
            from vipps_async.session_parts import IDEMPOTENCY_HEADERS  # noqa: PLC0415 - as in `__init__`

            options = options.with_headers(checked_headers(headers, idempotency_headers=IDEMPOTENCY_HEADERS))
        return self._view(options)

    def for_merchant(self, merchant_serial_number: str) -> Self:
        """Return a view of this session that acts for another sales unit: for partner keys.

        It shares connections, token, retry budget, journal and listeners with the session, and closes nothing. Views
        of the same sales unit are equal. Limits, waits, journal entries and recovery are the sales unit's own: the same
        order id at two sales units is two payments.

        Args:
            merchant_serial_number: the sales unit: 4 to 10 digits, as text.

        Raises:
            InvalidInputError: it is no such text; nothing was sent.
        """
        msn: str | None = check_merchant_serial_number(merchant_serial_number)
        if msn == self._session_parts.settings.merchant_serial_number:
            msn = None
        return self._view(evolve(self._options, merchant_serial_number=msn))

    def _view(self, options: CallOptions) -> Self:
        view = copy.copy(self)
        view._become_view(options)  # noqa: SLF001 - a copy of ours
        return view

    def _become_view(self, options: CallOptions) -> None:
        self._own_transport = None
        self._options = options
        self._set_parts(self._session_parts.view(options))

    @property
    def _is_view(self) -> bool:
        return self._parts is not self._session_parts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VippsSession):
            return NotImplemented
        return self._session_parts is other._session_parts and self._options == other._options

    def __hash__(self) -> int:
        return hash((id(self._session_parts), self._options))

    @contextlib.contextmanager
    def listening(self, listener: AttemptListener) -> Iterator[None]:
        """Call a function with each attempt inside the `with` block, to watch how fast Vipps answers and what.

        Args:
            listener: called with the operation's name, the seconds that the attempt took, and the HTTP status (None:
                no answer came). It must return at once; what it raises is logged once and goes no further.
        """
        with self._parts.pipeline.log.listening(listener):
            yield

    @contextlib.contextmanager
    def listening_to_calls(self, listener: CallListener) -> Iterator[None]:
        """Call a listener with each call and its attempts inside the `with` block, to trace and measure them.

        Args:
            listener: told when each attempt and each call begins and ends, token requests included, in the task that
                makes the call. What it raises is logged once and goes no further.
        """
        with self._parts.pipeline.log.listening_to_calls(listener):
            yield

    def __repr__(self) -> str:
        return f"<VippsSession {self.merchant_serial_number} at {self._parts.settings.base_url}>"

    def _recovery(self) -> Recovery:
        if self._parts.recovery is None:
            raise ConfigurationError("the session has no journal", advice="open it with journal=SqliteJournal(path)")
        return self._parts.recovery

    async def recover(
        self,
        *,
        concurrency: int = 8,
        progress: Callable[[RecoveryReport], None] | None = None,
        send: Collection[str] = (),
        leave: Collection[str] = (),
        stop: asyncio.Event | None = None,
    ) -> RecoveryReport:
        """Settle what the journal has open: operations whose outcome is not known, of this process or of a dead one.

        Vipps' history decides, by the idempotency key (a cancel: by the payment). Proven done: settled. Proven absent:
        sent again, with the same key and bytes. Neither: it stays open, with the reason. Safe to run twice, at the
        same time, on several machines, and while new work runs: entries leased to live calls are skipped.

        It begins with `concurrency` operations at once. When Vipps answers 429 or 5xx, takes longer than five seconds
        or does not answer, fewer are in work, down to one; with each round of good answers one more. While nothing is
        answered, it pauses between questions, up to four seconds, and a `Retry-After` is waited for, up to a minute.

        It outlasts half a minute without any answer, then it stops if twenty questions in a row have got none: after a
        minute or so if Vipps refuses at once, after four minutes at the latest if it says nothing at all (`stopped`
        says so; with time-outs or deadlines longer than the defaults it can be longer). Nothing is lost: what is not
        settled is open for the next one. So run it every few minutes, beside your service; if a start must wait for
        it, put `asyncio.timeout` around it: cancelled, it leaves everything as true as it was.

        Args:
            concurrency: the most operations in work at once: 1 to 100.
            progress: called after each operation with the report so far.
            send: idempotency keys of open operations that are to be sent again, with their recorded bytes, though a
                later one overtook them, they were refused, or dropped.
            leave: payments whose open operations stay as they are: nothing of them is looked at, nor sent.
            stop: once it is set, nothing more is begun: what is in work is finished, and the rest stays open.

        Returns:
            What was done, and what stays open.

        Raises:
            ConfigurationError: the session has no journal, is closed, or belongs to another event loop.
            InvalidInputError: `concurrency` is out of range.
            JournalError: the journal cannot be read or written.
        """
        recovery = self._recovery()
        if type(concurrency) is not int or not 1 <= concurrency <= _MOST_AT_ONCE:
            raise InvalidInputError("concurrency", f"a whole number from 1 to {_MOST_AT_ONCE}", value=concurrency)
        self._parts.one_loop.check()
        return await recovery.run(concurrency=concurrency, progress=progress, send=send, leave=leave, stop=stop)

    async def unfinished(self, payment: str) -> list[LeftOpen]:
        """Return the open operations of one payment in the journal, oldest first: for example of a cancelled call.

        What was begun is there, with the key that was made for it: `intent.key`. Repeat the call with the same
        arguments and that `idempotency_key` (capture and refund), or leave it to `recover`.

        Args:
            payment: its order id or reference.

        Raises:
            ConfigurationError: the session has no journal, is closed, or belongs to another event loop.
            JournalError: the journal cannot be read.
        """
        recovery = self._recovery()
        self._parts.one_loop.check()
        return await recovery.unfinished(payment)

    async def open_operations(self, *, all_units: bool = False) -> OpenOperations:
        """Count the open operations of the journal, with the time of the oldest: for a gauge, and an alarm by age.

        It reads all open entries: call it every half minute or so, not with each request.

        Args:
            all_units: whether those of all sales units in the journal are counted, not of this one alone.

        Raises:
            ConfigurationError: the session has no journal, is closed, or belongs to another event loop.
            JournalError: the journal cannot be read.
        """
        recovery = self._recovery()
        self._parts.one_loop.check()
        return await recovery.count_open(unit=None if all_units else self.merchant_serial_number)

    async def ready(self, *, timeout: float = 5.0) -> Readiness:  # noqa: ASYNC109 - it paces two questions
        """Check whether calls could be made now: for a readiness probe. No money moves.

        It gets a token, from memory or Vipps, and opens and asks the journal, if there is one. The finding is reused
        for five seconds, so that probes hardly ever reach Vipps.

        Args:
            timeout: how long each of the two may take, in seconds.

        Returns:
            `is_ready`, and the `reasons` why not.

        Raises:
            InvalidInputError: `timeout` is no positive number.
            ConfigurationError: the session belongs to another event loop.
        """
        self._parts.one_loop.check()
        return await self._parts.readiness.check(within=check_seconds("timeout", timeout))

    async def drop(self, payment: str, idempotency_key: str) -> bool:
        """Drop an open operation: it is never sent again.

        What was sent before may still take effect, so it stays open until the horizon (`settle_after`): a recovery then
        settles it by what details show. Until then a call with its key raises `OrderLockedError`, and only a recovery
        that is told to (`recover(send=[key])`) sends it.

        Args:
            payment: its order id or reference.
            idempotency_key: the operation's key, as `unfinished` or `RecoveryReport.left_open` tells it.

        Returns:
            Whether there was such an open operation that was not leased.

        Raises:
            ConfigurationError: the session has no journal, or is closed.
            JournalError: the journal cannot be read or written.
        """
        recovery = self._recovery()
        self._parts.one_loop.check()
        return await recovery.drop(payment, idempotency_key)

    async def world(self) -> World:
        """Return which Vipps the session talks to, as a journal is bound to it; a host on loopback is asked.

        Raises:
            JournalError: a host on loopback does not answer.
        """
        self._parts.one_loop.check()
        return await self._parts.find_world()

    async def __aenter__(self) -> Self:
        self._parts.one_loop.check()
        if not self._is_view and self._parts.recorder is not None:
            # Rather here than at the first capture: a journal that is in use or damaged is found out at once.
            try:
                await self._parts.recorder.open()
            except BaseException:
                # Nobody closes a session that could not be entered, and asking which Vipps it is has opened this.
                if self._own_transport is not None:
                    await self._own_transport.aclose()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what runs in the background and close what the session has opened. Safe to call twice.

        A call made afterwards raises `ConfigurationError`, also one of a view. A view itself closes nothing.

        Raises:
            ConfigurationError: called in another event loop, while the session's own has not ended.
        """
        if self._is_view:
            return
        self._parts.one_loop.check(closing=True)
        try:
            await self._parts.aclose()
        finally:
            try:
                if self._own_transport is not None:
                    await self._own_transport.aclose()
            finally:
                if self._parts.recorder is not None:
                    await self._parts.recorder.aclose()

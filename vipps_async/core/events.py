"""The event log: writes log events without secrets, and calls listeners.

Every event goes to the standard logger ``vipps_async``, unless the application has configured structlog: then it goes
where that configuration sends it. By default nothing is printed.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vipps_async.core.operation import Call
from vipps_async.errors import VippsError
from vipps_async.journals.entries import Intent

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


#: Called with each attempt's operation name, seconds taken, and HTTP status (None: no answer came).
AttemptListener = Callable[[str, float, int | None], None]


class CallListener:
    """Called when a call and an attempt begin and end, in the task that makes the call: it can keep a context.

    Override what matters to you; the rest does nothing. It must return at once. What it raises is logged once and goes
    no further.
    """

    def began(self, call: Call[Any]) -> None:
        """Receive the beginning of a call; `ended` follows in any case.

        Args:
            call: the call; the same object for each of its attempts and its end.
        """

    def attempt_began(self, call: Call[Any], *, number: int) -> None:
        """Receive the beginning of an attempt; unless `attempted` follows, the call's next event tells its end."""

    def attempted(
        self, call: Call[Any], *, number: int, seconds: float, status: int | None, failure: str | None
    ) -> None:
        """Receive an attempt.

        Args:
            call: the call.
            number: 1 for the first attempt.
            seconds: how long it took.
            status: the HTTP status; None: no answer came.
            failure: what went wrong if no answer came: ``not sent`` or ``unknown``.
        """

    def ended(
        self,
        call: Call[Any],
        *,
        outcome: str,
        seconds: float,
        attempts: int | None,
        settled_by: str | None,
        error: VippsError | None,
    ) -> None:
        """Receive the end of a call.

        Args:
            call: the call.
            outcome: ``done``, ``cancelled`` (its task was; what it did at Vipps is not known), or the error's class.
            seconds: how long all of it took.
            attempts: how many times it was tried; None: not known, for its task was cancelled.
            settled_by: what the result rests on, ``answer`` or ``history``; None: there is no result.
            error: what it raises; its text may hold what Vipps wrote.
        """


@frozen
class _ToFunction(CallListener):
    function: AttemptListener

    def attempted(self, call: Call[Any], *, seconds: float, status: int | None, **_: object) -> None:
        self.function(call.operation.name, seconds, status)


_standard = logging.getLogger("vipps_async")
# Without a handler of its own the root's last resort would print warnings to stderr: a library stays quiet.
_standard.addHandler(logging.NullHandler())

#: The log level of an attempt, of an operation that went well, of one that did not, and of what was told untruly.
_ATTEMPT, _SUCCESS, _FAILURE, _ALARM = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
#: What a logger calls them; an application may have renamed them in `logging`.
_NAMES = {_ATTEMPT: "debug", _SUCCESS: "info", _FAILURE: "warning", _ALARM: "error"}


def place_of(error: BaseException) -> str:
    """Return the file and line in which an error was raised: where to look, since its text may be personal."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _configured_structlog() -> FilteringBoundLogger | None:
    # An application that has not imported structlog has not configured it: no need to load it to know that.
    structlog = sys.modules.get("structlog")
    # Another thread may be halfway through importing it.
    is_configured: Callable[[], bool] | None = getattr(structlog, "is_configured", None)
    if structlog is None or is_configured is None or not is_configured():
        return None
    logger: FilteringBoundLogger = structlog.get_logger("vipps_async")
    return logger


class EventLog:
    """Writes one event an attempt and one an operation: names, times and statuses, never a body, header or URL.

    A call must end as Vipps' answer says. So whatever the application's own code raises while it handles an event, a
    listener or a log processor, is logged once and goes no further.
    """

    def __init__(self) -> None:
        #: Called with each call and its attempts, whatever the log level; shared by all views.
        self.listeners: list[CallListener] = []
        #: What of the application's own code has raised first; shared by all views.
        self._troubles: list[str] = []
        #: The sales unit of calls that are not the session's own; None: they are.
        self._unit: str | None = None

    def of_unit(self, merchant_serial_number: str) -> EventLog:
        """Return a log for calls of another sales unit, which its events name; the listeners are the same."""
        log = copy.copy(self)
        log._unit = merchant_serial_number  # noqa: SLF001 - a copy of ours
        return log

    def listening(self, listener: AttemptListener) -> AbstractContextManager[None]:
        """Call the function with each attempt inside the `with` block."""
        return self.listening_to_calls(_ToFunction(listener))

    @contextlib.contextmanager
    def listening_to_calls(self, listener: CallListener) -> Iterator[None]:
        """Call the listener with each call and its attempts inside the `with` block."""
        self.listeners.append(listener)
        try:
            yield
        finally:
            self.listeners.remove(listener)

    def began(self, call: Call[Any]) -> None:
        """Tell listeners that a call begins."""
        self._tell_each(self.listeners, lambda listener: listener.began(call))

    def attempt_began(self, call: Call[Any], *, number: int) -> None:
        """Tell listeners that an attempt begins."""
        self._tell_each(self.listeners, lambda listener: listener.attempt_began(call, number=number))

    @property
    def is_observed(self) -> bool:
        """Whether a success is logged or has listeners. Read once per call, so that unobserved calls are cheap."""
        return bool(self.listeners) or self._wants(_SUCCESS)

    def _wants(self, level: int) -> bool:
        return _standard.isEnabledFor(level) or _configured_structlog() is not None

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if not self._wants(level):
            return
        try:
            logger = _configured_structlog()
            if logger is None:
                pairs = {"event": event, **fields, "level": _NAMES[level]}
                _standard.log(level, " ".join(f"{name}={value}" for name, value in pairs.items()))
                return
            # By name: every kind of structlog logger has these four, but not every one has `log`.
            getattr(logger, _NAMES[level])(event, **fields)
        except Exception as error:  # noqa: BLE001 - the application's log processors may raise anything
            self._trouble("logging", error)

    def _tell(self, tell: Callable[[CallListener], None]) -> None:
        # The last one first: what each has made current when something began ends in the reverse order.
        self._tell_each(self.listeners[::-1], tell)

    def _tell_each(self, listeners: Sequence[CallListener], tell: Callable[[CallListener], None]) -> None:
        # A copy: a listener may take itself off the list.
        for listener in tuple(listeners):
            try:
                tell(listener)
            except Exception as error:  # noqa: BLE001 - it is the application's own code, which may raise anything
                self._trouble("a listener", error)

    def _trouble(self, what: str, error: Exception) -> None:
        if self._troubles:
            return
        self._troubles.append(what)
        # Where the application's handlers and filters raise, there is nobody left to tell.
        with contextlib.suppress(Exception):
            pairs = f"what={what} error={type(error).__name__} place={place_of(error)}"
            _standard.error("event=vipps.listening_failed %s level=error", pairs)

    def attempt(
        self, call: Call[Any], *, number: int, seconds: float, status: int | None = None, failure: str | None = None
    ) -> None:
        """Note one attempt: its number, how long it took, and the HTTP status or what went wrong."""
        self._tell(
            lambda listener: listener.attempted(call, number=number, seconds=seconds, status=status, failure=failure)
        )
        if self._wants(_ATTEMPT):
            fields = self._about(call) | {"attempt": number, "duration_ms": round(seconds * 1000, 3)}
            if status is not None:
                fields["status"] = status
            if failure is not None:
                fields["failure"] = failure
            self._write(_ATTEMPT, "vipps.attempt", fields)

    def success(self, call: Call[Any], *, attempts: int, seconds: float, settled_by: str = "answer") -> None:
        """Note an operation that took effect."""
        self._tell(
            lambda listener: listener.ended(
                call, outcome="done", seconds=seconds, attempts=attempts, settled_by=settled_by, error=None
            )
        )
        if self._wants(_SUCCESS):
            fields = {"attempts": attempts, "duration_ms": round(seconds * 1000, 3), "settled_by": settled_by}
            self._write(_SUCCESS, "vipps.operation", self._about(call) | {"outcome": "done"} | fields)

    def failure(self, call: Call[Any], error: VippsError, *, attempts: int, seconds: float) -> None:
        """Note an operation that ended in an error, by the error's class and effect; its text stays out."""
        name = type(error).__name__
        self._tell(
            lambda listener: listener.ended(
                call, outcome=name, seconds=seconds, attempts=attempts, settled_by=None, error=error
            )
        )
        fields: dict[str, Any] = {"attempts": attempts, "duration_ms": round(seconds * 1000, 3)}
        if error.effect_text:
            fields["effect"] = error.effect_text
        status = getattr(error, "status", None)
        if status is not None:
            fields["status"] = status
        self._write(_FAILURE, "vipps.operation", self._about(call) | {"outcome": name} | fields)

    def cancelled(self, call: Call[Any], *, seconds: float) -> None:
        """Note an operation whose caller was cancelled; what it did at Vipps is not known."""
        self._tell(
            lambda listener: listener.ended(
                call, outcome="cancelled", seconds=seconds, attempts=None, settled_by=None, error=None
            )
        )
        fields = {"outcome": "cancelled", "duration_ms": round(seconds * 1000, 3)}
        self._write(_FAILURE, "vipps.operation", self._about(call) | fields)

    def broken(self, call: Call[Any], error: BaseException, *, seconds: float) -> None:
        """Tell listeners of a call that ended in what is no error of this package, such as a transport's bug."""
        name = type(error).__name__
        self._tell(
            lambda listener: listener.ended(
                call, outcome=name, seconds=seconds, attempts=None, settled_by=None, error=None
            )
        )

    def journal_failed(self, call: Call[Any], error: BaseException) -> None:
        """Note that an outcome could not be written down; the entry stays open in the journal."""
        self._write(_FAILURE, "vipps.journal_failed", self._about(call) | {"error": type(error).__name__})

    def refusal_overruled(self, intent: Intent) -> None:
        """Note that Vipps has carried out what the journal had as refused or not done, so that somebody believes it."""
        if self._wants(_ALARM):
            fields: dict[str, Any] = {"operation": intent.name, "payment": intent.payment}
            fields |= {"idempotency_key": intent.key, "amount": intent.amount}
            self._write(_ALARM, "vipps.refusal_overruled", fields)

    def field_unread(self, field: str, *, count: int) -> None:
        """Note that an optional field of an answer could not be read, by its name; its value stays out."""
        self._write(_FAILURE, "vipps.field_unread", {"field": field, "count": count})

    def word_unknown(self, call: Call[Any], field: str, *, word: str, count: int) -> None:
        """Note that an operation was taken as done though its answer says so in a word that is not known."""
        self._write(_FAILURE, "vipps.word_unknown", self._about(call) | {"field": field, "word": word, "count": count})

    def credentials_failed(self, error: BaseException) -> None:
        """Note that the application's function gave no credentials, so that the last ones are used."""
        self._write(_FAILURE, "vipps.credentials_failed", {"error": type(error).__name__})

    def renewal_failed(self, error: BaseException) -> None:
        """Note that a token could not be renewed in the background, while the old one is still good."""
        self._write(_FAILURE, "vipps.token_renewal_failed", {"error": type(error).__name__})

    def _about(self, call: Call[Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {"operation": call.operation.name}
        if self._unit is not None:
            fields["merchant_serial_number"] = self._unit
        if call.payment is not None:
            fields["payment"] = call.payment
        if call.idempotency_key is not None:
            fields["idempotency_key"] = call.idempotency_key
        return fields

"""The one place that writes log events, and leaves secrets out of them.

Every event goes to the standard logger ``vipps_async``, unless the application has configured structlog: then it goes
where that configuration sends it. By default nothing is printed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import structlog

from vipps_async.core.operation import Call
from vipps_async.errors import VippsError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["AttemptListener", "EventLog"]

#: What hears of each attempt: the operation's name, the seconds it took, and the HTTP status (None: no answer came).
AttemptListener = Callable[[str, float, int | None], None]

_standard = logging.getLogger("vipps_async")
# Without a handler of its own the root's last resort would print warnings to stderr: a library stays quiet.
_standard.addHandler(logging.NullHandler())

#: The log level of an attempt, of an operation that went well and of one that did not.
_ATTEMPT, _SUCCESS, _FAILURE = logging.DEBUG, logging.INFO, logging.WARNING


def _through_standard_logging() -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _standard,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["event"], repr_native_str=False),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


class EventLog:
    """Writes one event an attempt and one an operation: names, times and statuses, never a body, header or URL."""

    def __init__(self) -> None:
        self._own = _through_standard_logging()
        #: Hear of each attempt, whatever is logged.
        self.listeners: list[AttemptListener] = []

    def _wants(self, level: int) -> bool:
        return _standard.isEnabledFor(level) or structlog.is_configured()

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        logger = self._own
        if structlog.is_configured():
            logger = cast("FilteringBoundLogger", structlog.get_logger("vipps_async"))
        # By name: every kind of structlog logger has these three, but not every one has `log`.
        write = {_ATTEMPT: logger.debug, _SUCCESS: logger.info, _FAILURE: logger.warning}[level]
        write(event, **fields)

    def attempt(
        self, call: Call[Any], *, number: int, seconds: float, status: int | None = None, failure: str | None = None
    ) -> None:
        """Note one attempt: its number, how long it took, and the HTTP status or what went wrong."""
        for listener in self.listeners:
            listener(call.operation.name, seconds, status)
        if self._wants(_ATTEMPT):
            fields = _about(call) | {"attempt": number, "duration_ms": round(seconds * 1000, 3)}
            if status is not None:
                fields["status"] = status
            if failure is not None:
                fields["failure"] = failure
            self._write(_ATTEMPT, "vipps.attempt", fields)

    def success(self, call: Call[Any], *, attempts: int, seconds: float, settled_by: str = "answer") -> None:
        """Note an operation that took effect."""
        if self._wants(_SUCCESS):
            fields = {"attempts": attempts, "duration_ms": round(seconds * 1000, 3), "settled_by": settled_by}
            self._write(_SUCCESS, "vipps.operation", _about(call) | {"outcome": "done"} | fields)

    def failure(self, call: Call[Any], error: VippsError, *, attempts: int, seconds: float) -> None:
        """Note an operation that ended in an error, by the error's class and effect; its text stays out."""
        if self._wants(_FAILURE):
            fields: dict[str, Any] = {"attempts": attempts, "duration_ms": round(seconds * 1000, 3)}
            fields["effect"] = error.effect.value
            status = getattr(error, "status", None)
            if status is not None:
                fields["status"] = status
            self._write(_FAILURE, "vipps.operation", _about(call) | {"outcome": type(error).__name__} | fields)

    def cancelled(self, call: Call[Any], *, seconds: float) -> None:
        """Note an operation whose caller was cancelled; what it did at Vipps is not known."""
        if self._wants(_FAILURE):
            fields = {"outcome": "cancelled", "duration_ms": round(seconds * 1000, 3)}
            self._write(_FAILURE, "vipps.operation", _about(call) | fields)

    def journal_failed(self, call: Call[Any], error: BaseException) -> None:
        """Note that an outcome could not be written down; the entry stays open in the journal."""
        if self._wants(_FAILURE):
            fields = _about(call) | {"error": type(error).__name__}
            self._write(_FAILURE, "vipps.journal_failed", fields)

    def renewal_failed(self, error: BaseException) -> None:
        """Note that a token could not be renewed in the background, while the old one is still good."""
        if self._wants(_FAILURE):
            self._write(_FAILURE, "vipps.token_renewal_failed", {"error": type(error).__name__})


def _about(call: Call[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"operation": call.operation.name}
    if call.order_id is not None:
        fields["order_id"] = call.order_id
    if call.idempotency_key is not None:
        fields["idempotency_key"] = call.idempotency_key
    return fields

"""What a reception writes into the log: kinds, orders, statuses and classes of errors, never what was received."""

from __future__ import annotations

import logging
from typing import Any

from vipps_async.core.events import EventLog, place_of

__all__ = ["ReceptionLog", "place_of"]


class ReceptionLog(EventLog):
    """Writes one event for each request and one for each handler."""

    def received(self, kind: str, order_id: str | None, how: str) -> None:
        """Note a request that was taken in.

        Args:
            kind: what it is about.
            order_id: its order; None: it has none.
            how: what was done with it.
        """
        self._event(logging.INFO, "vipps.callback", kind, order_id, {"outcome": how})

    def refused(self, status: int, reason: str, order_id: str | None) -> None:
        """Note a request that was turned down; the reason is a `CallbackError`'s, which has nothing personal."""
        self._event(logging.WARNING, "vipps.callback_refused", None, order_id, {"status": status, "reason": reason})

    def handled(self, kind: str, order_id: str | None) -> None:
        """Note a handler that has succeeded."""
        self._event(logging.INFO, "vipps.callback_handled", kind, order_id, {})

    def failed(
        self, kind: str, order_id: str | None, why: str, *, place: str = "", offered_again: bool | None = None
    ) -> None:
        """Note a handler that has not succeeded.

        Args:
            kind: what it was about.
            order_id: its order; None: it has none.
            why: the class of the error, or what happened.
            place: file and line of the error.
            offered_again: whether it will be; None: it is no question.
        """
        fields: dict[str, Any] = {"error": why}
        if place:
            fields["place"] = place
        if offered_again is not None:
            fields["offered_again"] = offered_again
        self._event(logging.WARNING, "vipps.callback_failed", kind, order_id, fields)

    def journal_trouble(self, doing: str, error: BaseException) -> None:
        """Note that the journal could not be read or written."""
        self._event(
            logging.WARNING,
            "vipps.callback_journal_failed",
            None,
            None,
            {"doing": doing, "error": type(error).__name__},
        )

    def _event(self, level: int, event: str, kind: str | None, order_id: str | None, fields: dict[str, Any]) -> None:
        if self._wants(level):
            about = {name: value for name, value in (("kind", kind), ("order_id", order_id)) if value is not None}
            self._write(level, event, about | fields)

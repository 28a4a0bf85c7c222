"""Records of received requests and sent callbacks, for tests. Bounded; reprs leave out secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request that the sandbox received."""

    method: str
    #: The path as it was sent, still percent-encoded. Out of the repr: that of user info holds the customer's `sub`.
    path: str = field(repr=False)
    query: str = field(default="", repr=False)
    #: The name of the operation, such as ``"capture"``; empty for what is none.
    operation: str
    #: The payment that it is about, as far as it says so: sales unit and reference (for user info the `sub`).
    about: tuple[str, str] = field(default=("", ""), repr=False)
    #: The idempotency key; empty if there is none.
    key: str = ""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    #: The status that was answered; None: no answer was given.
    status: int | None
    #: The body that was answered; after a fault that cut it off, what it would have been.
    answer: bytes = field(default=b"", repr=False)
    #: The name of the fault that met it; empty if none did.
    fault: str = ""
    #: When it came, by the sandbox's clock.
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRecord:
    """A request that the sandbox made at the merchant, or would have made."""

    #: ``"payment"``, ``"shippingDetails"``, ``"consentRemoval"`` or ``"webhook"``.
    kind: str
    order_id: str
    #: The sales unit.
    merchant_serial_number: str = ""
    method: str
    #: Out of the repr: that of a consent removal holds the customer's `userId`.
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    #: The status of the merchant's answer; None: there was none.
    status: int | None
    #: What the merchant answered.
    answer: bytes = field(default=b"", repr=False)
    #: Why there was no answer, without anything personal; empty if there was one.
    failure: str
    #: When it was begun, by the sandbox's clock.
    at: datetime

    @property
    def delivered(self) -> bool:
        """Whether the merchant answered with a success."""
        return self.status is not None and 200 <= self.status < 300

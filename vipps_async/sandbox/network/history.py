"""Records of received requests and sent callbacks, for tests. Bounded; reprs leave out secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request that the sandbox received."""

    method: str
    path: str = field(repr=False)
    """The path as it was sent, still percent-encoded. Out of the repr: that of user info holds the customer's `sub`."""
    query: str = field(default="", repr=False)
    operation: str
    """The name of the operation, such as ``"capture"``; empty for a page or an unknown path."""
    about: tuple[str, str] = field(default=("", ""), repr=False)
    """The payment that it names: sales unit and reference (for user info the `sub`); empty where it names none."""
    key: str = ""
    """The idempotency key; empty if there is none."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int | None
    """The status that was answered; None: no answer was given."""
    answer: bytes = field(default=b"", repr=False)
    """The body that was answered; after a fault that cut it off, what it would have been."""
    fault: str = ""
    """The name of the injected fault; empty if there was none."""
    at: datetime
    """When it came, by the sandbox's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRecord:
    """A request that the sandbox made at the merchant, or would have made."""

    kind: str
    """``"payment"``, ``"shippingDetails"``, ``"consentRemoval"`` or ``"webhook"``."""
    order_id: str
    merchant_serial_number: str = ""
    """The sales unit."""
    method: str
    url: str = field(repr=False)
    """Out of the repr: that of a consent removal holds the customer's `userId`."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int | None
    """The status of the merchant's answer; None: there was none."""
    answer: bytes = field(default=b"", repr=False)
    """What the merchant answered."""
    failure: str
    """Why there was no answer, without anything personal; empty if there was one."""
    at: datetime
    """When it was sent, by the sandbox's clock."""

    @property
    def delivered(self) -> bool:
        """Whether the merchant answered with a success."""
        return self.status is not None and 200 <= self.status < 300

"""The names of the events that a webhook can be registered for, and the check of names before they are sent."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from vipps_async.core.open_enum import OpenEnum
from vipps_async.errors import InvalidInputError


class WebhookEvent(OpenEnum):
    """An event that Vipps tells of (Webhooks API, event types). Of payments, only those made by ePayment send any."""

    PAYMENT_CREATED = "epayments.payment.created.v1"
    """Of ePayment: the word is ``epayments``, in the plural."""
    PAYMENT_AUTHORIZED = "epayments.payment.authorized.v1"
    PAYMENT_ABORTED = "epayments.payment.aborted.v1"
    PAYMENT_EXPIRED = "epayments.payment.expired.v1"
    PAYMENT_TERMINATED = "epayments.payment.terminated.v1"
    PAYMENT_CANCELLED = "epayments.payment.cancelled.v1"
    PAYMENT_CAPTURED = "epayments.payment.captured.v1"
    PAYMENT_REFUNDED = "epayments.payment.refunded.v1"
    AGREEMENT_ACTIVATED = "recurring.agreement-activated.v1"
    """Of Recurring. ``canceled`` has one l here, and two in ePayment."""
    AGREEMENT_REJECTED = "recurring.agreement-rejected.v1"
    AGREEMENT_STOPPED = "recurring.agreement-stopped.v1"
    AGREEMENT_EXPIRED = "recurring.agreement-expired.v1"
    CHARGE_RESERVED = "recurring.charge-reserved.v1"
    CHARGE_CAPTURED = "recurring.charge-captured.v1"
    CHARGE_CANCELED = "recurring.charge-canceled.v1"
    CHARGE_REFUNDED = "recurring.charge-refunded.v1"
    CHARGE_FAILED = "recurring.charge-failed.v1"
    CHARGE_CREATION_FAILED = "recurring.charge-creation-failed.v1"
    USER_CHECKED_IN = "user.checked-in.v1"
    """A customer has scanned the merchant's QR code."""
    LOGIN_PING = "login.merchant-initiated.ping.v1"
    """Of Login."""


#: ePayment's eight events.
PAYMENT_EVENTS: Final = tuple(event for event in WebhookEvent if event.startswith("epayments."))
#: Vipps publishes that there are such events, and their names only to those who have the product.
_UNLISTED = re.compile(r"donations\.[a-z][a-z.-]{0,80}\.v[0-9]{1,3}")


def check_events(events: object) -> tuple[WebhookEvent, ...]:
    """Return the events to register for, each once, in the order given.

    Raises:
        InvalidInputError: there is none, or one is not known; the error names the one that may have been meant.
    """
    rule = "a list of at least one event, such as WebhookEvent.PAYMENT_CAPTURED"
    if isinstance(events, str | bytes) or not isinstance(events, Iterable):
        raise InvalidInputError("events", rule, value=events)
    checked = dict.fromkeys(_known(event) for event in events)
    if not checked:
        raise InvalidInputError("events", rule, value=events)
    return tuple(checked)


def _known(event: object) -> WebhookEvent:
    if isinstance(event, str) and (WebhookEvent(event).known or _UNLISTED.fullmatch(event)):
        return WebhookEvent(event)
    near = difflib.get_close_matches(event, list(WebhookEvent), n=1) if isinstance(event, str) else []
    hint = f" (did you mean {str(near[0])!r}?)" if near else ""
    raise InvalidInputError("events", f"names of events that Vipps knows{hint}", value=event)

"""The dialect of the eCom API v2: its key header, its error bodies and codes, and how an answer names its payment."""

from __future__ import annotations

from typing import Final

from vipps_async.core.dialect import Dialect
from vipps_async.ecom.errors import error_class, is_known_group, may_tell_of_money, read_error, rule_for

#: The names of a journal's entries of callbacks: the receiver handles them, recovery passes them over.
CALLBACK: Final = "callback"
CONSENT_REMOVAL: Final = "consent_removal"
NOTES: Final = frozenset({CALLBACK, CONSENT_REMOVAL})


def _order_id(answer: object) -> str | None:
    # Details come without an order id at times.
    found = getattr(answer, "order_id", None)
    return found if isinstance(found, str) else None


ECOM: Final = Dialect(
    name="ecom",
    idempotency_header="X-Request-Id",
    longest_key=40,
    payment_of=_order_id,
    read_error=read_error,
    rule_for=rule_for,
    error_class=error_class,
    may_tell_of_money=may_tell_of_money,
    is_known_group=is_known_group,
    personal_keys=(
        r"(?:customer[_-]?)?mobile(?:[_-]?number)?",
        r"passenger[_-]?name",
        r"bank[_-]?identification[_-]?number",
        r"ticket[_-]?number",
    ),
)

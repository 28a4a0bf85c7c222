"""The dialect of the ePayment API v1: its error bodies and codes, and how an answer names its payment."""

from __future__ import annotations

from typing import Final

from vipps_async.core.dialect import Dialect
from vipps_async.epayment.errors import error_class, is_known_group, may_tell_of_money, read_error, rule_for


def _reference(answer: object) -> str | None:
    if isinstance(answer, tuple):
        # Events: each names its payment, and one of another payment makes the whole answer one of another payment.
        found = {_reference(event) for event in answer}
        return found.pop() if len(found) == 1 else ("" if found else None)
    reference = getattr(answer, "reference", None)
    return reference if isinstance(reference, str) else None


EPAYMENT: Final = Dialect(
    name="epayment",
    payment_of=_reference,
    read_error=read_error,
    rule_for=rule_for,
    error_class=error_class,
    may_tell_of_money=may_tell_of_money,
    is_known_group=is_known_group,
    personal_keys=(
        r"mobile(?:[_-]?number)?",
        r"personal[_-]?qr",
        r"customer(?:[_-]?token)?",
        r"redirect[_-]?url",
        r"card[_-]?bin",
        r"passenger[_-]?name",
        r"ticket[_-]?number",
        r"shipping[_-]?details",
        r"metadata",
        r"profile",
    ),
)

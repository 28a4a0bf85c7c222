"""The ticket data that airlines and travel agencies send, for both APIs."""

from __future__ import annotations

import re

from attrs import field, frozen

from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_text

_AIRLINE_CODE = re.compile(r"[0-9]{3}")
# Some carriers have a digit in it, such as D8.
_AIRLINE_DESIGNATOR_CODE = re.compile(r"[A-Z0-9]{2}")


def _check_code(parameter: str, value: object, pattern: re.Pattern[str], rule: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidInputError(parameter, rule, value=value)


@frozen(kw_only=True)
class AirlineData:
    """A ticket (eCom's `additionalData`, ePayment's `industryData.airlineData`).

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    passenger_name: str = field(repr=False)
    """Last name, first name or initials, and title, at most 49 characters."""
    airline_code: str
    """IATA's accounting code of the carrier: 3 digits, as a string."""
    airline_designator_code: str
    """IATA's designator of the carrier: 2 characters."""
    ticket_number: str | None = field(default=None, repr=False)
    """The ticket's number, at most 150 characters."""
    agency_invoice_number: str
    """The agency's number of the invoice, at most 6 characters."""

    def __attrs_post_init__(self) -> None:
        check_text("passenger_name", self.passenger_name, longest=49, secret=True)
        _check_code("airline_code", self.airline_code, _AIRLINE_CODE, "a string of 3 digits")
        designator = self.airline_designator_code
        _check_code("airline_designator_code", designator, _AIRLINE_DESIGNATOR_CODE, "2 capital letters or digits")
        if self.ticket_number is not None:
            check_text("ticket_number", self.ticket_number, longest=150, secret=True)
        check_text("agency_invoice_number", self.agency_invoice_number, longest=6)

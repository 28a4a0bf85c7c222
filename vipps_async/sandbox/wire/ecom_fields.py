"""The rules of single values in eCom's requests, and how they are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vipps_async.sandbox.wire.ecom_errors import invalid_request, vipps_refusal
from vipps_async.sandbox.wire.face import Refusal
from vipps_async.sandbox.wire.fields import MAXIMUM, BrokenValueError, Check, Violations, check_that, is_integer

#: A sales unit's number.
SALES_UNIT = re.compile(r"[0-9]{5,6}")
#: The smallest amount in øre: 1 NOK.
MINIMUM_AMOUNT = 100
ORDER_ID = re.compile(r"[a-zA-Z0-9-]{1,50}")


class EcomViolations(Violations):
    """Makes eCom's refusals: an InvalidRequest for each place, HTTP 500 where Vipps validates after parsing."""

    def refusal(self, found: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
        """Return an array with an error for each, the place as its code."""
        return invalid_request(found, status=status)

    def unreadable(self, reason: str) -> Refusal:
        """Return the internal error that Vipps answers what does not parse with."""
        return _internal_error(f"the body is not JSON: {reason}")

    def broken(self, name: str, message: str) -> None:
        """Refuse at once: no slip of the sandbox, `fallback` for `fallBack` is answered so.

        Raises:
            Refusal: 500.
        """
        raise _internal_error(f"{name} {message}; Vipps answers that with 500")


def _internal_error(text: str) -> Refusal:
    return vipps_refusal("VippsError", "99", f"Internal error: {text}")


#: A cost in NOK, which may have decimals.
cost: Check = check_that(
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAXIMUM // 100,
    "must be a number of NOK, not negative",
)
order_id: Check = check_that(
    lambda value: isinstance(value, str) and ORDER_ID.fullmatch(value) is not None,
    "must be 1 to 50 letters, digits or hyphens",
)


def amount(value: object) -> str | None:
    """Check for an amount in øre.

    Raises:
        BrokenValueError: it is no integer.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise BrokenValueError(f"must be an integer of at least {MINIMUM_AMOUNT}, in øre")
    return None if MINIMUM_AMOUNT <= value < MAXIMUM else f"must be an integer of at least {MINIMUM_AMOUNT}"


def amount_or_all(value: object) -> str | None:
    """Check for an amount in øre, or for 0, which means all that remains; raises as `amount`."""
    # Left out, null and 0 all mean "everything that remains": that is how the API behaves, whatever its description.
    return None if is_integer(value) and value == 0 else amount(value)


def merchant_serial_number(value: object) -> str | None:
    """Check for a sales unit's number, which must be a string.

    Raises:
        BrokenValueError: it is a number.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise BrokenValueError("must be a string of 5 or 6 digits, not a number")
    return None if isinstance(value, str) and SALES_UNIT.fullmatch(value) else "must be a string of 5 or 6 digits"

"""Reads request bodies field by field and refuses what the API would not take, or would silently ignore."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from vipps_async.sandbox.problems import invalid_request, vipps_refusal
from vipps_async.sandbox.urls import breach_of_fall_back, breach_of_prefix

__all__ = [
    "EXPRESS",
    "SCOPES",
    "Breaches",
    "breaches_of_shipping_answer",
    "check_headers",
    "check_order_id",
    "check_request_id",
    "read_approval",
    "read_cancellation",
    "read_initiation",
    "read_json",
    "read_payment_action",
]

Json = Mapping[str, Any]
#: Returns what is wrong with a value, or None.
Check = Callable[[object], str | None]

#: The `paymentType` of express checkout, and of all else.
EXPRESS, REGULAR = "eComm Express Payment", "eComm Regular Payment"
#: The words that `scope` may hold.
SCOPES = frozenset({"name", "address", "email", "phoneNumber", "birthDate", "nin"})
#: The smallest amount in øre: 1 NOK.
MINIMUM_AMOUNT = 100
#: The vendor's limit on `X-Request-Id`, in characters.
MAX_REQUEST_ID = 40
#: The vendor's limit on each of the four headers that name the calling system, in characters.
MAX_SYSTEM_HEADER = 30
SYSTEM_HEADERS = (
    "Vipps-System-Name",
    "Vipps-System-Version",
    "Vipps-System-Plugin-Name",
    "Vipps-System-Plugin-Version",
)

_ORDER_ID = re.compile(r"[a-zA-Z0-9-]{1,50}")
_MSN = re.compile(r"[0-9]{5,6}")
_MOBILE_NUMBER = re.compile(r"[0-9]{8}")
_HEADER_SAFE = re.compile(r"[!-~]([ -~]*[!-~])?")


class Breaches:
    """Collects what is wrong with a request, so that one answer names it all."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, name: str, message: str) -> None:
        """Note a breach of the named field."""
        self.found.append((name, message))

    def settle(self) -> None:
        """Let the request pass if nothing is wrong with it.

        Raises:
            Refusal: 400 with one InvalidRequest for each breach.
        """
        if self.found:
            raise invalid_request(self.found)


def _refuse(name: str, message: str) -> NoReturn:
    raise invalid_request([(name, message)])


# -- headers and paths ---------------------------------------------------------------------------------------------


def check_headers(headers: Mapping[str, str]) -> None:
    """Hold the headers that name the calling system against their length.

    Raises:
        Refusal: 400, for a header that is longer than 30 characters.
    """
    breaches = Breaches()
    for name in SYSTEM_HEADERS:
        if len(headers.get(name, "")) > MAX_SYSTEM_HEADER:
            breaches.add(name, f"must have at most {MAX_SYSTEM_HEADER} characters")
    breaches.settle()


def check_order_id(order_id: str) -> None:
    """Hold the order id of a path against its pattern.

    Raises:
        Refusal: 400.
    """
    if not _ORDER_ID.fullmatch(order_id):
        _refuse("orderId", "must be 1 to 50 letters, digits or hyphens")


def check_request_id(request_id: str | None, *, required: bool = True) -> str:
    """Hold an idempotency key against its rules and return it; empty if there is none and none is required.

    Raises:
        Refusal: 400, if it is missing, empty or too long.
    """
    if request_id is None and not required:
        return ""
    if not request_id or len(request_id) > MAX_REQUEST_ID:
        _refuse("X-Request-Id", f"is required and must have at most {MAX_REQUEST_ID} characters")
    return request_id


def read_json(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a body as one JSON object.

    Raises:
        Refusal: 400, for another content type, text that is no JSON (NaN included), a name given twice, or no object.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        _refuse("Content-Type", "must be application/json")
    try:
        value = json.loads(body, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid_request([("body", "must be valid JSON, no name given twice")]) from error
    if not isinstance(value, dict):
        _refuse("body", "must be a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is given twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# -- values --------------------------------------------------------------------------------------------------------


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(least: int, most: int) -> Check:
    def check(value: object) -> str | None:
        good = isinstance(value, str) and least <= len(value) <= most and (bool(value.strip()) or not least)
        return None if good else f"must be text of {least} to {most} characters"

    return check


def _boolean(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _amount(value: object) -> str | None:
    # Up to a signed 32-bit number of øre, as integer amounts go in the vendor's systems.
    good = isinstance(value, int) and not isinstance(value, bool) and MINIMUM_AMOUNT <= value < 2**31
    return None if good else f"must be an integer of at least {MINIMUM_AMOUNT}"


def _amount_or_all(value: object) -> str | None:
    # Left out, null and 0 all mean "everything that remains": that is how the API behaves, whatever its description.
    return None if value is None or (_is_integer(value) and value == 0) else _amount(value)


def _cost(value: object) -> str | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return None if good else "must be a number of NOK, not negative"


def _integer(value: object) -> str | None:
    return None if _is_integer(value) else "must be an integer"


def _string(value: object) -> str | None:
    return None if isinstance(value, str) else "must be text"


def _one_of(*words: str) -> Check:
    def check(value: object) -> str | None:
        return None if isinstance(value, str) and value in words else f"must be one of {', '.join(words)}"

    return check


def _order_id(value: object) -> str | None:
    good = isinstance(value, str) and _ORDER_ID.fullmatch(value)
    return None if good else "must be 1 to 50 letters, digits or hyphens"


def _merchant_serial_number(value: object) -> str | None:
    if _is_integer(value):
        # No slip of the sandbox: this is what the API answers to a number that is not a string.
        raise vipps_refusal("VippsError", "99")
    return None if isinstance(value, str) and _MSN.fullmatch(value) else "must be a string of 5 or 6 digits"


def _auth_token(value: object) -> str | None:
    good = isinstance(value, str) and len(value) <= 255 and _HEADER_SAFE.fullmatch(value)
    return None if good else "must be 1 to 255 printable ASCII characters"


@dataclass(frozen=True, slots=True)
class _Field:
    check: Check | None = None
    required: bool = False
    #: The fields of an object, or of each object in a list.
    fields: Mapping[str, _Field] | None = None
    many: bool = False


def _read(value: Json, fields: Mapping[str, _Field], place: str, breaches: Breaches) -> None:
    for name in value:
        if name not in fields:
            breaches.add(f"{place}{name}", "is not a known field")
    for name, rule in fields.items():
        if name not in value:
            if rule.required:
                breaches.add(f"{place}{name}", "is required")
            continue
        _read_field(value[name], rule, f"{place}{name}", breaches)


def _read_field(value: object, rule: _Field, place: str, breaches: Breaches) -> None:
    if rule.check is not None:
        message = rule.check(value)
        if message is not None:
            breaches.add(place, message)
    elif rule.many:
        if not isinstance(value, list) or not value:
            breaches.add(place, "must be a list that is not empty")
            return
        for number, item in enumerate(value):
            _read_field(item, _Field(fields=rule.fields), f"{place}[{number}]", breaches)
    elif isinstance(value, dict):
        _read(value, rule.fields or {}, f"{place}.", breaches)
    else:
        breaches.add(place, "must be an object")


# -- bodies --------------------------------------------------------------------------------------------------------

_TRANSACTION_TEXT = _Field(_text(1, 100), required=True)
_MERCHANT = _Field(required=True, fields={"merchantSerialNumber": _Field(_merchant_serial_number, required=True)})

SHIPPING_FIELDS = {
    "isDefault": _Field(_one_of("Y", "N"), required=True),
    "priority": _Field(_integer),
    "shippingCost": _Field(_cost, required=True),
    "shippingMethod": _Field(_text(1, 256), required=True),
    "shippingMethodId": _Field(_text(1, 100), required=True),
}

_SHIPPING_ANSWER = {
    "addressId": _Field(_integer, required=True),
    "orderId": _Field(_order_id, required=True),
    "shippingDetails": _Field(required=True, many=True, fields=SHIPPING_FIELDS),
}

_INITIATION = {
    "customerInfo": _Field(required=True, fields={"mobileNumber": _Field(_string)}),
    "merchantInfo": _Field(
        required=True,
        fields={
            "authToken": _Field(_auth_token),
            "callbackPrefix": _Field(_string, required=True),
            "consentRemovalPrefix": _Field(_string),
            "fallBack": _Field(_string, required=True),
            "isApp": _Field(_boolean),
            "merchantSerialNumber": _Field(_merchant_serial_number, required=True),
            "paymentType": _Field(_one_of(REGULAR, EXPRESS)),
            "shippingDetailsPrefix": _Field(_string),
            "staticShippingDetails": _Field(many=True, fields=SHIPPING_FIELDS),
        },
    ),
    "transaction": _Field(
        required=True,
        fields={
            "amount": _Field(_amount, required=True),
            "orderId": _Field(_order_id, required=True),
            "transactionText": _TRANSACTION_TEXT,
            "skipLandingPage": _Field(_boolean),
            "scope": _Field(_string),
            "additionalData": _Field(
                fields={
                    "passengerName": _Field(_text(1, 49), required=True),
                    "airlineCode": _Field(_text(3, 3), required=True),
                    "airlineDesignatorCode": _Field(_text(2, 2), required=True),
                    "ticketNumber": _Field(_text(1, 150)),
                    "agencyInvoiceNumber": _Field(_text(1, 6), required=True),
                }
            ),
            "useExplicitCheckoutFlow": _Field(_boolean),
        },
    ),
}

_PAYMENT_ACTION = {
    "merchantInfo": _MERCHANT,
    "transaction": _Field(
        required=True,
        fields={"amount": _Field(_amount_or_all), "transactionText": _TRANSACTION_TEXT},
    ),
}

_CANCELLATION = {
    "merchantInfo": _MERCHANT,
    "transaction": _Field(required=True, fields={"transactionText": _TRANSACTION_TEXT}),
    "shouldReleaseRemainingFunds": _Field(_boolean),
}

_APPROVAL = {"customerPhoneNumber": _Field(_string), "token": _Field(_string)}


def _checked(body: Json, fields: Mapping[str, _Field]) -> None:
    breaches = Breaches()
    _read(body, fields, "", breaches)
    breaches.settle()


def read_initiation(body: Json) -> None:
    """Check the body of an initiate, each field and how they go together.

    Raises:
        Refusal: InvalidRequest with the fields' names; 81 for a bad number; HTTP 500 for an MSN that is no string.
    """
    _checked(body, _INITIATION)
    merchant, transaction = body["merchantInfo"], body["transaction"]
    breaches = Breaches()
    _check_urls(merchant, breaches)
    _check_express(merchant, transaction, breaches)
    words = transaction.get("scope", "name").split()
    if not words or len(set(words)) != len(words) or not SCOPES.issuperset(words):
        breaches.add("transaction.scope", f"must be some of {' '.join(sorted(SCOPES))}, separated by spaces")
    number = body["customerInfo"].get("mobileNumber")
    if transaction.get("skipLandingPage") and number is None:
        breaches.add("customerInfo.mobileNumber", "is required to skip the landing page")
    breaches.settle()
    if number is not None and not _MOBILE_NUMBER.fullmatch(number):
        raise vipps_refusal("User", "81")


def _check_urls(merchant: Json, breaches: Breaches) -> None:
    is_app = merchant.get("isApp", False)
    for name in ("callbackPrefix", "consentRemovalPrefix", "shippingDetailsPrefix"):
        message = breach_of_prefix(merchant[name], is_app=is_app) if name in merchant else None
        if message is not None:
            breaches.add(f"merchantInfo.{name}", message)
    message = breach_of_fall_back(merchant["fallBack"], is_app=is_app)
    if message is not None:
        breaches.add("merchantInfo.fallBack", message)


def _check_express(merchant: Json, transaction: Json, breaches: Breaches) -> None:
    if merchant.get("paymentType") != EXPRESS:
        return
    if "consentRemovalPrefix" not in merchant:
        breaches.add("merchantInfo.consentRemovalPrefix", "is required for express checkout")
    if "shippingDetailsPrefix" not in merchant and "staticShippingDetails" not in merchant:
        breaches.add("merchantInfo.shippingDetailsPrefix", "or staticShippingDetails is required for express checkout")
    if "scope" in transaction:
        breaches.add("transaction.scope", "cannot be combined with express checkout")


def read_payment_action(body: Json) -> int | None:
    """Check the body of a capture or refund, and return its amount in øre; None takes all that remains.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _checked(body, _PAYMENT_ACTION)
    return body["transaction"].get("amount") or None


def read_cancellation(body: Json) -> bool:
    """Check the body of a cancel, and return whether the rest is to be released.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _checked(body, _CANCELLATION)
    return bool(body.get("shouldReleaseRemainingFunds", False))


def read_approval(body: Json) -> str | None:
    """Check the body of a force approve, and return the token of the payment's URL, if given.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _checked(body, _APPROVAL)
    number = body.get("customerPhoneNumber")
    if number is not None and not _MOBILE_NUMBER.fullmatch(number):
        raise vipps_refusal("User", "81")
    token: str | None = body.get("token")
    return token


def breaches_of_shipping_answer(answer: Json) -> list[tuple[str, str]]:
    """Return what is wrong with a merchant's answer to the question for shipping methods."""
    breaches = Breaches()
    _read(answer, _SHIPPING_ANSWER, "", breaches)
    return breaches.found

"""Parses and checks ePayment's request bodies: corrects what the API corrects, refuses what it refuses."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from vipps_async.sandbox.ledger.customers import check_number, corrected_number
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.ledger.settings import SandboxSettings
from vipps_async.sandbox.wire.epayment_errors import EpaymentViolations, coded
from vipps_async.sandbox.wire.epayment_fields import APPROVAL, CANCELLATION, CREATION, CUSTOMER, MODIFICATION, moment_of
from vipps_async.sandbox.wire.face import Json
from vipps_async.sandbox.wire.fields import SCOPES, Violations, check_body, is_integer
from vipps_async.sandbox.wire.urls import violation_of_prefix, violation_of_return_url

#: The vendor's limit on `Idempotency-Key`, in characters.
MAX_KEY = 50
#: The vendor's limit on `returnUrl`, in characters.
_MAX_URL = 2500
#: In minor units of any currency.
_MAX_AMOUNT = 65_000_000
_MINIMUM = {"NOK": 100}
_EXPRESS_SCOPE = frozenset({"name", "address", "email", "phoneNumber"})
_MSISDN = re.compile(r"[0-9]{9,15}")
_MAX_PAIRS, _MAX_METADATA_KEY, _MAX_METADATA_VALUE = 5, 100, 500
#: From when to when a payment may be told to expire.
_SOONEST, _LATEST = timedelta(minutes=10), timedelta(days=60)


def _value_of(amount: Json, currency: str) -> int:
    """Return a checked amount's value.

    Raises:
        Refusal: 4040 for what is no such number, 5040 for another currency.
    """
    value = amount["value"]
    if not is_integer(value) or not 0 <= value <= _MAX_AMOUNT:
        raise coded("4040", f"The value is an integer from 0 to {_MAX_AMOUNT}, in minor units.")
    if amount["currency"] != currency:
        raise coded("5040", f"The currency is {currency}.")
    return int(value)


# -- adjustments -----------------------------------------------------------------------------------------------------


def read_modification(body: Json, currency: str, violations: Violations) -> int:
    """Check the body of a capture or refund, and return its amount in minor units.

    Raises:
        Refusal: fields, 4040, 5040.
    """
    check_body(body, MODIFICATION, violations)
    value = _value_of(body["modificationAmount"], currency)
    if not value:
        raise coded("4040", "The value is at least 1.")
    return value


def read_cancellation(body: Json, violations: Violations) -> bool:
    """Check the body of a cancel, and return whether it is for what is not authorized yet alone.

    Raises:
        Refusal: fields.
    """
    check_body(body, CANCELLATION, violations)
    return bool(body.get("cancelTransactionOnly", False))


def read_approval(body: Json, violations: Violations) -> tuple[str | None, str | None]:
    """Check the body of a force approve, and return the customer's number and the token, each None if not given.

    Raises:
        Refusal: fields, 4070, and 4140 if neither is given.
        Refused: the number stands for a customer who cannot pay.
    """
    check_body(body, APPROVAL, violations)
    number = _number(body.get("customer", {}))
    if number is None and not body.get("token"):
        raise coded("4140", "The customer's phone number or the token is required.")
    return number, body.get("token")


# -- create ----------------------------------------------------------------------------------------------------------


def read_creation(
    body: Json, currency: str, now: datetime, *, hosts: Collection[str] = (), violations: Violations | None = None
) -> None:
    """Check the body of a create, each field and how they go together; correct what Vipps takes and means otherwise.

    Args:
        body: the body, which is changed.
        currency: the sales unit's.
        now: the time.
        hosts: hosts whose URLs pass with http, too.
        violations: collects what is wrong; None: one that ignores what Vipps ignores.

    Raises:
        Refusal: fields, or a code.
        Refused: the number stands for a customer who cannot pay.
    """
    violations = violations or EpaymentViolations()
    reference = body.get("reference")
    if is_integer(reference):
        body["reference"] = str(reference)
    check_body(body, CREATION, violations)
    if _value_of(body["amount"], currency) < _MINIMUM.get(currency, 1):
        raise coded("6010", f"The minimum is {_MINIMUM.get(currency, 1)} in minor units of {currency}.")
    customer = body.get("customer", {})
    if len(customer.keys() & CUSTOMER) > 1:
        violations.add("customer", "must have one of phoneNumber, personalQr and customerToken")
    if "personalQr" in customer and not 5 <= len(customer["personalQr"]) <= 255:
        raise coded("4060")
    if "phoneNumber" in customer:
        customer["phoneNumber"] = _number(customer)
    _check_flow(body, violations)
    _check_urls(body, hosts)
    _check_metadata(body.get("metadata", {}))
    _check_receipt(body.get("receipt", {}), violations)
    _check_scope(body)
    _check_express(body, violations)
    _check_expiry(body, now, violations)
    violations.settle()


def _number(customer: Json) -> str | None:
    """Return the number that the ledger knows a customer by: eight digits in Norway."""
    given = customer.get("phoneNumber")
    if given is None:
        return None
    if not _MSISDN.fullmatch(str(given)):
        raise coded("4070", "A phone number has 9 to 15 digits, its country code among them.")
    number = corrected_number(str(given)) or str(given)
    check_number(number)
    return number


def _check_flow(body: Json, violations: Violations) -> None:
    flow, method = body["userFlow"], body["paymentMethod"]["type"]
    if method == "CARD_PASSTHROUGH":
        raise coded("4160", "CARD_PASSTHROUGH is for payment service providers.")
    if method == "CARD" and flow != "WEB_REDIRECT":
        raise coded("4160", "CARD goes with WEB_REDIRECT alone.")
    if flow == "WEB_REDIRECT" and not body.get("returnUrl"):
        raise coded("4140", "WEB_REDIRECT requires returnUrl.")
    if flow == "PUSH_MESSAGE" and not body.get("customer", {}).keys() & CUSTOMER:
        raise coded("4140", "PUSH_MESSAGE requires customer.")
    qr = body.get("qrFormat")
    if qr is not None and flow != "QR":
        violations.add("qrFormat", "goes with the userFlow QR alone")
    if qr is not None and qr["format"] == "IMAGE/PNG" and not 100 <= qr.get("size", 1024) <= 2000:
        violations.add("qrFormat.size", "must be from 100 to 2000")


def _check_urls(body: Json, hosts: Collection[str]) -> None:
    for name, longest in (("returnUrl", _MAX_URL), ("receiptUrl", _MAX_URL)):
        message = violation_of_return_url(body[name], hosts=hosts, longest=longest) if name in body else None
        if message is not None:
            raise coded("4090", f"{name} {message}.")
    dynamic = body.get("shipping", {}).get("dynamicOptions", {})
    message = violation_of_prefix(dynamic["callbackUrl"], is_app=False, hosts=hosts) if dynamic else None
    if message is not None:
        raise coded("4090", f"shipping.dynamicOptions.callbackUrl {message}.")


def _check_metadata(metadata: Json) -> None:
    if len(metadata) > _MAX_PAIRS:
        raise coded("4100", f"There are at most {_MAX_PAIRS} pairs.")
    # A plug-in of the vendor's own sends numbers.
    metadata.update({name: str(value) for name, value in metadata.items() if is_integer(value)})
    for name, value in metadata.items():
        if not name or len(name) > _MAX_METADATA_KEY:
            raise coded("4120", f"A key has 1 to {_MAX_METADATA_KEY} characters.")
        if not isinstance(value, str) or len(value) > _MAX_METADATA_VALUE:
            raise coded("4130", f"A value is text of at most {_MAX_METADATA_VALUE} characters.")


def _check_receipt(receipt: Json, violations: Violations) -> None:
    for number, line in enumerate(receipt.get("orderLines", ())):
        if "taxRate" not in line and "taxPercentage" not in line:
            violations.add(f"receipt.orderLines[{number}].taxRate", "is required")


def _check_scope(body: Json) -> None:
    scope = body.get("profile", {}).get("scope", "").split()
    if not SCOPES.issuperset(scope):
        raise coded("4080", f"The scope is some of {' '.join(sorted(SCOPES))}, separated by spaces.")


def _check_express(body: Json, violations: Violations) -> None:
    shipping = body.get("shipping")
    if not shipping:
        return
    if body["paymentMethod"]["type"] != "WALLET":
        violations.add("paymentMethod.type", "must be WALLET for express checkout")
    if set(body.get("profile", {}).get("scope", "").split()) != _EXPRESS_SCOPE:
        violations.add("profile.scope", f"must be {' '.join(sorted(_EXPRESS_SCOPE))} for express checkout")
    if bool(shipping.get("fixedOptions")) == bool(shipping.get("dynamicOptions")):
        violations.add("shipping", "must have one of fixedOptions and dynamicOptions")
    for group in shipping.get("fixedOptions", ()):
        for option in group["options"]:
            if option["amount"]["currency"] != body["amount"]["currency"]:
                violations.add("shipping.fixedOptions", "must have amounts in the payment's currency")


def _check_expiry(body: Json, now: datetime, violations: Violations) -> None:
    moment = moment_of(body.get("expiresAt"))
    if moment is None:
        return
    if body["paymentMethod"]["type"] != "WALLET":
        violations.add("expiresAt", "goes with the payment method WALLET alone")
    if "receipt" not in body:
        raise coded("6130", "expiresAt requires receipt.")
    if moment <= now + _SOONEST:
        raise coded("6120", "expiresAt is more than 10 minutes from now.")
    if moment >= now + _LATEST:
        raise coded("6110", "expiresAt is less than 60 days from now.")


def check_permissions(body: Json, msn: str, settings: SandboxSettings) -> None:
    """Check a create against the permissions of its sales unit.

    Raises:
        Refusal: 5010, 5020, 5050, or the code that the sales unit is refused with.
        Refused: MAY_NOT_SKIP_LANDING_PAGE, MAY_NOT_ASK_FOR_NIN.
    """
    if body["paymentMethod"].get("blockedSources") and settings.currencies.get(msn, "NOK") == "NOK":
        raise coded("5010", "Sources are blocked in Denmark and Finland alone.")
    if body.get("shipping") and msn not in settings.express:
        raise coded("5020", "The sales unit may not use express checkout.")
    if "expiresAt" in body and msn not in settings.long_living:
        raise coded("5050", "The sales unit may not set expiresAt.")
    if body["userFlow"] == "PUSH_MESSAGE" and msn not in settings.skip_landing_page:
        raise Refused(Reason.MAY_NOT_SKIP_LANDING_PAGE, sales_unit=msn)
    if "nin" in body.get("profile", {}).get("scope", "").split() and msn not in settings.nin:
        raise Refused(Reason.MAY_NOT_ASK_FOR_NIN, sales_unit=msn)


def expiry_of(body: Json, now: datetime) -> datetime:
    """Return when the payment of a checked create times out."""
    moment = moment_of(body.get("expiresAt"))
    return now + _SOONEST if moment is None else moment.astimezone(now.tzinfo)

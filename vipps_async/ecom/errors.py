"""The error codes of the eCom API: the class that each becomes, and what to do about it (API guide, error codes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vipps_async.core.dialect import STATUS_CLASSES, ErrorRule, FailureKind
from vipps_async.core.error_body import error_reference, error_text
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    CancelError,
    CaptureError,
    DuplicateOrderError,
    ErrorInfo,
    IdempotencyMismatchError,
    InvalidRequestError,
    MerchantError,
    OrderLockedError,
    OrderNotFoundError,
    PaymentRefusedError,
    PermissionDeniedError,
    RateLimitedError,
    RefundError,
    ServerError,
    UserError,
)

UNKNOWN_ORDER = ("Merchant", "35")

_SAME_KEY = "try again in a moment with the same idempotency key"
#: The customer may still mend the payment that was refused: a second one beside it could be paid, too.
_NEW_TRY = (
    "ask details, and cancel the payment if it is open or refused; only then let the customer try again under a new "
    "order id"
)
_THEN_SAME_KEY = "then repeat it with the same idempotency key, never with a new one"

_TOO_OLD = ErrorRule(None, "captures and cancels end 180 days after the reservation", permanent=True)
#: Of any group: an internal error is no refusal, whatever status it came with, for how far Vipps got is not known.
_INTERNAL = ErrorRule(ServerError, f"Vipps failed: ask details, {_THEN_SAME_KEY}", retryable=True, unsettled=True)

_PAYMENT: dict[str, ErrorRule] = {
    "41": ErrorRule(PaymentRefusedError, "the customer has no valid card; ask the customer to add one in the app"),
    "42": ErrorRule(PaymentRefusedError, "the card's bank refused; " + _NEW_TRY + ", with another card"),
    "43": ErrorRule(PaymentRefusedError, "the bank refused the amount; check it"),
    "44": ErrorRule(PaymentRefusedError, "the card has expired; " + _NEW_TRY + ", with another card"),
    "45": ErrorRule(PaymentRefusedError, "mostly the customer did not act in time; " + _NEW_TRY),
    "51": ErrorRule(
        CancelError,
        "captured money cannot be cancelled: refund it, or cancel the rest with should_release_remaining_funds=True",
    ),
    "52": ErrorRule(
        CancelError, "ask details whether it is cancelled, then try to cancel again", retryable=True, unsettled=True
    ),
    "53": ErrorRule(None, "nothing is reserved yet: the customer must accept first, or let the payment lapse"),
    "61": ErrorRule(CaptureError, "ask details for what is left to capture"),
    "62": ErrorRule(CaptureError, "nothing is reserved: wait for the customer to approve, or see in details why not"),
    "63": ErrorRule(
        CaptureError,
        f"ask details for the reason and what is captured, {_THEN_SAME_KEY}",
        retryable=True,
        unsettled=True,
    ),
    "71": ErrorRule(RefundError, "ask details for what is left to refund"),
    "72": ErrorRule(RefundError, "the money is only reserved: cancel the payment instead"),
    "73": ErrorRule(RefundError, "the order is cancelled: there is nothing to refund", permanent=True),
    "74": ErrorRule(
        RefundError,
        f"the merchant's account may not have covered the refund; look into it in the Vipps portal, ask details, "
        f"{_THEN_SAME_KEY}",
        retryable=True,
        unsettled=True,
    ),
    "93": ErrorRule(IdempotencyMismatchError, suggests_effect=True, permanent=True),
    "95": ErrorRule(
        None, "refunds end 365 days after the reservation; direct capture needs Vipps' consent", permanent=True
    ),
    "96": _TOO_OLD,
    "98": _TOO_OLD,
    "1082": ErrorRule(PaymentRefusedError, "the test user is not verified by BankID; take another test user"),
    "1501": ErrorRule(PaymentRefusedError, "the customer is under 15 and may not pay this; offer another way to pay"),
}
_VIPPS: dict[str, ErrorRule] = {
    "91": ErrorRule(None, "the order's state does not allow it: ask details; it may be cancelled"),
    "92": ErrorRule(
        None,
        "it has been processed before, so this very operation may be done: ask details for the result",
        retryable=True,
        unsettled=True,
        suggests_effect=True,
    ),
    "93": ErrorRule(IdempotencyMismatchError, suggests_effect=True),
    "94": ErrorRule(OrderLockedError, _SAME_KEY, retryable=True, kind=FailureKind.LOCKED),
    "98": ErrorRule(
        RateLimitedError, "too many requests at once: " + _SAME_KEY, retryable=True, kind=FailureKind.THROTTLED
    ),
}
_USER: dict[str, ErrorRule] = {
    "81": ErrorRule(UserError, "the number is no Vipps user's, or wrong; leave it out or ask the customer"),
    "82": ErrorRule(UserError, "the customer's app is too old; ask the customer to update it"),
}
_MERCHANT: dict[str, ErrorRule] = {
    "21": ErrorRule(InvalidRequestError, "Vipps calls the request invalid: see its text for what to correct"),
    "22": ErrorRule(InvalidRequestError, "Vipps calls the request invalid: see its text for what to correct"),
    "31": ErrorRule(MerchantError, "Vipps has blocked the sales unit; contact Vipps"),
    "32": ErrorRule(MerchantError, "the sales unit's receiving limit is reached; contact Vipps"),
    "33": ErrorRule(MerchantError, "the sales unit's request limit is reached; slow down, or contact Vipps"),
    "34": ErrorRule(DuplicateOrderError, permanent=True),
    "35": ErrorRule(
        OrderNotFoundError,
        "check its id, and that the keys belong to the sales unit that made it, by eCom: one that ePayment made "
        "is known to ePayment alone",
    ),
    "36": ErrorRule(MerchantError, "sign the agreement in the Vipps portal"),
    "37": ErrorRule(MerchantError, "the sales unit is unavailable; see the Vipps portal"),
    "38": ErrorRule(MerchantError, "leave skip_landing_page out, or ask Vipps to allow it"),
    "39": ErrorRule(MerchantError, "the sales unit may not make long-living payments; ask Vipps"),
    "51": ErrorRule(PermissionDeniedError, "leave nin out of scope, or ask Vipps to allow it"),
    "97": ErrorRule(MerchantError, "the sales unit may not take payments yet; see the Vipps portal"),
}
#: A code of the group Merchant with a dot in it names a field, such as "merchantInfo.fallBack.invalid".
_FIELD = ErrorRule(InvalidRequestError)
_WITHOUT_GROUP: dict[str, ErrorRule] = {
    # Of the gateway's `responseInfo`.
    "1000": ErrorRule(
        ServerError, f"the gateway before Vipps failed: ask details, {_THEN_SAME_KEY}", retryable=True, unsettled=True
    ),
}
_CODES = {"": _WITHOUT_GROUP, "payment": _PAYMENT, "vippserror": _VIPPS, "user": _USER, "merchant": _MERCHANT}

_GROUP_CLASSES: dict[str, type[ApiError]] = {
    "vippserror": ServerError,
    "user": UserError,
    "merchant": MerchantError,
    "authentication": AuthenticationError,
    "invalidrequest": InvalidRequestError,
}
#: Statuses that say more than the group of a code that is not in the tables.
_TELLING_STATUSES = frozenset({401, 403, 423, 429})


#: Other names of groups: "PAYMENTS" has been seen in callbacks, "Customer" on the vendor's older pages.
_OTHER_NAMES = {"payments": "payment", "customer": "user"}
#: Groups in which a code that is not in the tables need not be a refusal: they tell of money, too.
_GROUPS_OF_MONEY = frozenset({"payment", "vippserror"})


def _folded(group: str) -> str:
    name = group.strip().casefold()
    return _OTHER_NAMES.get(name, name)


def has_code(errors: Sequence[ErrorInfo], wanted: tuple[str, str]) -> bool:
    """Tell whether one of the errors has this group and code."""
    group, code = wanted
    return any(info.code == code and _folded(info.group) == _folded(group) for info in errors)


def rule_for(info: ErrorInfo) -> ErrorRule | None:
    """Look an error up by its group and code; None if Vipps has added it later."""
    if info.code == "99":
        return _INTERNAL
    group = _folded(info.group)
    if group == "merchant" and "." in info.code:
        return _FIELD
    return _CODES.get(group, {}).get(info.code)


def is_known_group(info: ErrorInfo) -> bool:
    """Whether an error's group is one of Vipps' own, or none at all."""
    group = _folded(info.group)
    return group in _CODES or group in _GROUP_CLASSES


def may_tell_of_money(info: ErrorInfo) -> bool:
    """Whether an error that is in no table may be about an operation that took effect."""
    return _folded(info.group) in _GROUPS_OF_MONEY


def error_class(
    status: int, errors: Sequence[ErrorInfo], rule: ErrorRule | None, operation_error: type[ApiError]
) -> type[ApiError]:
    """Choose the class: the rule that decides, else a telling status, else the group, else the status.

    Args:
        status: the HTTP status.
        errors: all errors of the answer.
        rule: the rule of the error that decides; None if no error is in the tables.
        operation_error: the class that belongs to the operation; plain `ApiError` if none does.
    """
    of_operation = operation_error not in {ApiError, PaymentRefusedError}
    if rule is not None:
        return rule.error or (operation_error if of_operation else STATUS_CLASSES.get(status, ApiError))
    if status in _TELLING_STATUSES:
        return STATUS_CLASSES[status]
    if status >= 500:
        return ServerError
    classes = {**_GROUP_CLASSES, "payment": operation_error if of_operation else PaymentRefusedError}
    by_group = next((classes[group] for info in errors if (group := _folded(info.group)) in classes), None)
    # The customer's card has a say in a payment that is begun, in nothing that is asked or done later.
    return by_group or (operation_error if status == 402 else STATUS_CLASSES.get(status, ApiError))


def read_error(item: Mapping[str, Any]) -> Sequence[ErrorInfo]:
    """Read an error in the API's own shape; the keys are casefolded."""
    if not item.keys() & {"errorgroup", "errorcode", "errormessage"}:
        return ()
    group, code, message = (error_text(item.get(name)) for name in ("errorgroup", "errorcode", "errormessage"))
    return (ErrorInfo(group, code, message, error_reference(item)),)

"""Vipps' error codes: the class of error that each becomes, and what to do about it (API guide, error codes)."""

from __future__ import annotations

from attrs import frozen

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

__all__ = [
    "INTERNAL",
    "LOCKED",
    "TOO_MANY_CONCURRENT",
    "UNKNOWN_ORDER",
    "Rule",
    "error_class",
    "has_code",
    "operation_error",
    "rule_for",
]

LOCKED = ("VippsError", "94")
TOO_MANY_CONCURRENT = ("VippsError", "98")
INTERNAL = ("VippsError", "99")
UNKNOWN_ORDER = ("Merchant", "35")


@frozen
class Rule:
    """What one error code means."""

    #: The class of the error; None: the class that belongs to the operation.
    error: type[ApiError] | None
    #: What to do next; empty: what the class says.
    advice: str = ""
    #: Whether the same request may be sent again later.
    retryable: bool = False
    #: Whether the reason can pass by itself, so that the same operation may succeed another day.
    can_pass: bool = False


_SAME_KEY = "try again in a moment with the same idempotency key"
_NEW_TRY = "let the customer try again under a new order id"

_PAYMENT: dict[str, Rule] = {
    "41": Rule(PaymentRefusedError, "the customer has no valid card; ask the customer to add one in the app"),
    "42": Rule(PaymentRefusedError, "the card's bank refused; " + _NEW_TRY + ", with another card"),
    "43": Rule(PaymentRefusedError, "the bank refused the amount; check it"),
    "44": Rule(PaymentRefusedError, "the card has expired; " + _NEW_TRY + ", with another card"),
    "45": Rule(PaymentRefusedError, "mostly the customer did not act in time; " + _NEW_TRY),
    "51": Rule(CancelError, "captured money cannot be cancelled: refund it, or release only what remains"),
    "52": Rule(CancelError, "ask details, then try to cancel again", can_pass=True),
    "61": Rule(CaptureError, "ask details for what is left to capture"),
    "62": Rule(
        CaptureError, "nothing is reserved: wait for the customer to approve, or see in details why not", can_pass=True
    ),
    "63": Rule(CaptureError, "ask details for the reason"),
    "71": Rule(RefundError, "ask details for what is left to refund"),
    "72": Rule(RefundError, "the money is only reserved: cancel the payment instead"),
    "73": Rule(RefundError, "the order is cancelled: there is nothing to refund"),
    "74": Rule(
        RefundError, "the merchant's account could not pay the refund; look into it in the Vipps portal", can_pass=True
    ),
    "93": Rule(IdempotencyMismatchError),
    "95": Rule(None, "refunds end 365 days after the capture; direct capture needs Vipps' consent"),
    "98": Rule(None, "captures and cancels end 180 days after the reservation"),
    "1082": Rule(PaymentRefusedError, "the test user is not verified by BankID; take another test user"),
}
_VIPPS: dict[str, Rule] = {
    "91": Rule(None, "the order's state does not allow it; ask details"),
    "92": Rule(None, "it has been processed before; ask details for the result"),
    "93": Rule(IdempotencyMismatchError),
    "94": Rule(OrderLockedError, _SAME_KEY, retryable=True),
    "98": Rule(RateLimitedError, "too many requests at once: " + _SAME_KEY, retryable=True),
    "99": Rule(ServerError, retryable=True),
}
_USER: dict[str, Rule] = {
    "81": Rule(UserError, "the number is no Vipps user's, or wrong; leave it out or ask the customer"),
    "82": Rule(UserError, "the customer's app is too old; ask the customer to update it"),
}
_MERCHANT: dict[str, Rule] = {
    "31": Rule(MerchantError, "Vipps has blocked the sales unit; contact Vipps"),
    "32": Rule(MerchantError, "the sales unit's receiving limit is reached; contact Vipps"),
    "33": Rule(MerchantError, "the sales unit's request limit is reached; slow down, or contact Vipps"),
    "34": Rule(DuplicateOrderError),
    "35": Rule(OrderNotFoundError),
    "36": Rule(MerchantError, "sign the agreement in the Vipps portal"),
    "37": Rule(MerchantError, "the sales unit is unavailable; see the Vipps portal"),
    "38": Rule(MerchantError, "leave skip_landing_page out, or ask Vipps to allow it"),
    "39": Rule(MerchantError, "the sales unit may not make long-living payments; ask Vipps"),
    "51": Rule(PermissionDeniedError, "leave nin out of scope, or ask Vipps to allow it"),
    "97": Rule(MerchantError, "the sales unit may not take payments yet; see the Vipps portal"),
}
#: The token endpoint's answers have no group: keys that it does not take, with 400 as well as 401 (RFC 6749, section
#: 5.2).
_TOKEN: dict[str, Rule] = {
    "invalid_client": Rule(AuthenticationError),
    "unauthorized_client": Rule(AuthenticationError),
}
_CODES = {"": _TOKEN, "payment": _PAYMENT, "vippserror": _VIPPS, "user": _USER, "merchant": _MERCHANT}

_OPERATION_CLASSES: dict[str, type[ApiError]] = {
    "capture": CaptureError,
    "refund": RefundError,
    "cancel": CancelError,
}
_GROUP_CLASSES: dict[str, type[ApiError]] = {
    "vippserror": ServerError,
    "user": UserError,
    "merchant": MerchantError,
    "authentication": AuthenticationError,
    "invalidrequest": InvalidRequestError,
}
_STATUS_CLASSES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: PaymentRefusedError,
    403: PermissionDeniedError,
    422: InvalidRequestError,
    423: OrderLockedError,
    429: RateLimitedError,
}
#: Statuses that say more than the group of a code that is not in the tables.
_TELLING_STATUSES = frozenset({401, 403, 423, 429})


def _folded(group: str) -> str:
    # "PAYMENTS" has been seen in callbacks where the description says "Payment".
    name = group.casefold()
    return "payment" if name == "payments" else name


def has_code(errors: tuple[ErrorInfo, ...], wanted: tuple[str, str]) -> bool:
    """Tell whether one of the errors has this group and code."""
    group, code = wanted
    return any(info.code == code and _folded(info.group) == _folded(group) for info in errors)


def rule_for(info: ErrorInfo) -> Rule | None:
    """Look an error up by its group and code; None if Vipps has added it later."""
    return _CODES.get(_folded(info.group), {}).get(info.code)


def error_class(status: int, errors: tuple[ErrorInfo, ...], operation: str) -> type[ApiError]:
    """Choose the class: a known code, else a telling status, else the group, else the status."""
    for info in errors:
        rule = rule_for(info)
        if rule is not None:
            return rule.error or _OPERATION_CLASSES.get(operation, _fallback_class(status))
    if status in _TELLING_STATUSES:
        return _STATUS_CLASSES[status]
    if status >= 500:
        return ServerError
    for info in errors:
        group = _folded(info.group)
        if group == "payment":
            return _OPERATION_CLASSES.get(operation, PaymentRefusedError)
        if group in _GROUP_CLASSES:
            return _GROUP_CLASSES[group]
    return _STATUS_CLASSES.get(status, ApiError)


def operation_error(operation: str) -> type[ApiError]:
    """Return the class of an error that belongs to the operation itself."""
    return _OPERATION_CLASSES.get(operation, ApiError)


def _fallback_class(status: int) -> type[ApiError]:
    return _STATUS_CLASSES.get(status, ApiError)

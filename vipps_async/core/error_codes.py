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
    "LOCKED",
    "TOO_MANY_CONCURRENT",
    "UNKNOWN_ORDER",
    "Rule",
    "error_class",
    "has_code",
    "is_known_group",
    "may_tell_of_money",
    "operation_error",
    "rule_for",
]

LOCKED = ("VippsError", "94")
TOO_MANY_CONCURRENT = ("VippsError", "98")
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
    #: Whether the answer settles nothing: the operation may have taken effect, or may yet.
    unsettled: bool = False
    #: Whether the answer is evidence that an attempt under this key took effect.
    suggests_effect: bool = False
    #: Whether the same operation would be refused again for ever, whatever else happens to the payment.
    permanent: bool = False


_SAME_KEY = "try again in a moment with the same idempotency key"
_NEW_TRY = "let the customer try again under a new order id"
_THEN_SAME_KEY = "then repeat it with the same idempotency key, never with a new one"

_TOO_OLD = Rule(None, "captures and cancels end 180 days after the reservation", permanent=True)
#: Of any group: an internal error is no refusal, whatever status it came with, for how far Vipps got is not known.
_INTERNAL = Rule(ServerError, f"Vipps failed: ask details, {_THEN_SAME_KEY}", retryable=True, unsettled=True)

_PAYMENT: dict[str, Rule] = {
    "41": Rule(PaymentRefusedError, "the customer has no valid card; ask the customer to add one in the app"),
    "42": Rule(PaymentRefusedError, "the card's bank refused; " + _NEW_TRY + ", with another card"),
    "43": Rule(PaymentRefusedError, "the bank refused the amount; check it"),
    "44": Rule(PaymentRefusedError, "the card has expired; " + _NEW_TRY + ", with another card"),
    "45": Rule(PaymentRefusedError, "mostly the customer did not act in time; " + _NEW_TRY),
    "51": Rule(CancelError, "captured money cannot be cancelled: refund it, or release only what remains"),
    "52": Rule(
        CancelError, "ask details whether it is cancelled, then try to cancel again", retryable=True, unsettled=True
    ),
    "53": Rule(None, "nothing is reserved yet: the customer must accept first, or let the payment lapse"),
    "61": Rule(CaptureError, "ask details for what is left to capture"),
    "62": Rule(CaptureError, "nothing is reserved: wait for the customer to approve, or see in details why not"),
    "63": Rule(
        CaptureError,
        f"ask details for the reason and what is captured, {_THEN_SAME_KEY}",
        retryable=True,
        unsettled=True,
    ),
    "71": Rule(RefundError, "ask details for what is left to refund"),
    "72": Rule(RefundError, "the money is only reserved: cancel the payment instead"),
    "73": Rule(RefundError, "the order is cancelled: there is nothing to refund", permanent=True),
    "74": Rule(
        RefundError,
        f"the merchant's account may not have covered the refund; look into it in the Vipps portal, ask details, "
        f"{_THEN_SAME_KEY}",
        retryable=True,
        unsettled=True,
    ),
    "93": Rule(IdempotencyMismatchError, suggests_effect=True, permanent=True),
    "95": Rule(None, "refunds end 365 days after the reservation; direct capture needs Vipps' consent", permanent=True),
    "96": _TOO_OLD,
    "98": _TOO_OLD,
    "1082": Rule(PaymentRefusedError, "the test user is not verified by BankID; take another test user"),
    "1501": Rule(PaymentRefusedError, "the customer is under 15 and may not pay this; offer another way to pay"),
}
_VIPPS: dict[str, Rule] = {
    "91": Rule(None, "the order's state does not allow it; ask details"),
    "92": Rule(
        None,
        "it has been processed before, so this very operation may be done: ask details for the result",
        retryable=True,
        unsettled=True,
        suggests_effect=True,
    ),
    "93": Rule(IdempotencyMismatchError, suggests_effect=True),
    "94": Rule(OrderLockedError, _SAME_KEY, retryable=True),
    "98": Rule(RateLimitedError, "too many requests at once: " + _SAME_KEY, retryable=True),
}
_USER: dict[str, Rule] = {
    "81": Rule(UserError, "the number is no Vipps user's, or wrong; leave it out or ask the customer"),
    "82": Rule(UserError, "the customer's app is too old; ask the customer to update it"),
}
_MERCHANT: dict[str, Rule] = {
    "21": Rule(InvalidRequestError, "Vipps calls the request invalid: see its text for what to correct"),
    "22": Rule(InvalidRequestError, "Vipps calls the request invalid: see its text for what to correct"),
    "31": Rule(MerchantError, "Vipps has blocked the sales unit; contact Vipps"),
    "32": Rule(MerchantError, "the sales unit's receiving limit is reached; contact Vipps"),
    "33": Rule(MerchantError, "the sales unit's request limit is reached; slow down, or contact Vipps"),
    "34": Rule(DuplicateOrderError, permanent=True),
    "35": Rule(OrderNotFoundError),
    "36": Rule(MerchantError, "sign the agreement in the Vipps portal"),
    "37": Rule(MerchantError, "the sales unit is unavailable; see the Vipps portal"),
    "38": Rule(MerchantError, "leave skip_landing_page out, or ask Vipps to allow it"),
    "39": Rule(MerchantError, "the sales unit may not make long-living payments; ask Vipps"),
    "51": Rule(PermissionDeniedError, "leave nin out of scope, or ask Vipps to allow it"),
    "97": Rule(MerchantError, "the sales unit may not take payments yet; see the Vipps portal"),
}
#: A code of the group Merchant with a dot in it names a field, such as "merchantInfo.fallBack.invalid".
_FIELD = Rule(InvalidRequestError)
_WITHOUT_GROUP: dict[str, Rule] = {
    # Of the token endpoint: keys that it does not take, with 400 as well as 401 (RFC 6749, section 5.2).
    "invalid_client": Rule(AuthenticationError),
    "unauthorized_client": Rule(AuthenticationError),
    # Of the gateway's `responseInfo`.
    "1000": Rule(
        ServerError, f"the gateway before Vipps failed: ask details, {_THEN_SAME_KEY}", retryable=True, unsettled=True
    ),
}
_CODES = {"": _WITHOUT_GROUP, "payment": _PAYMENT, "vippserror": _VIPPS, "user": _USER, "merchant": _MERCHANT}

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
    403: PermissionDeniedError,
    422: InvalidRequestError,
    423: OrderLockedError,
    429: RateLimitedError,
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


def has_code(errors: tuple[ErrorInfo, ...], wanted: tuple[str, str]) -> bool:
    """Tell whether one of the errors has this group and code."""
    group, code = wanted
    return any(info.code == code and _folded(info.group) == _folded(group) for info in errors)


def rule_for(info: ErrorInfo) -> Rule | None:
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


def error_class(status: int, errors: tuple[ErrorInfo, ...], operation: str, rule: Rule | None) -> type[ApiError]:
    """Choose the class: the rule that decides, else a telling status, else the group, else the status.

    Args:
        status: the HTTP status.
        errors: all errors of the answer.
        operation: the operation's name.
        rule: the rule of the error that decides; None if no error is in the tables.
    """
    if rule is not None:
        return rule.error or _OPERATION_CLASSES.get(operation, _STATUS_CLASSES.get(status, ApiError))
    if status in _TELLING_STATUSES:
        return _STATUS_CLASSES[status]
    if status >= 500:
        return ServerError
    of_money = operation_error(operation) if operation != "initiate" else PaymentRefusedError
    classes = {**_GROUP_CLASSES, "payment": of_money if of_money is not ApiError else PaymentRefusedError}
    by_group = next((classes[group] for info in errors if (group := _folded(info.group)) in classes), None)
    # The customer's card has a say in a payment that is begun, in nothing that is asked or done later.
    return by_group or (of_money if status == 402 else _STATUS_CLASSES.get(status, ApiError))


def operation_error(operation: str) -> type[ApiError]:
    """Return the class of an error that belongs to the operation itself."""
    return _OPERATION_CLASSES.get(operation, ApiError)

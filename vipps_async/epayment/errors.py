"""The error codes of the ePayment API: the class that each becomes, and what to do about it (API guide, errors).

The status of an answer is data: the vendor publishes codes, and for few of them a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vipps_async.core.dialect import ErrorRule, FailureKind, class_by_status
from vipps_async.core.error_body import error_reference, error_text, title_and_detail
from vipps_async.errors import (
    ApiError,
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
    PushNotAllowedError,
    RefundError,
    ServerError,
    UserError,
)

#: Under this name an error body has a code; what stands there under any other name is a field of the request.
CODE: Final = "ErrorCode"
UNKNOWN_REFERENCE: Final = "5090"

_MOST_DETAILS = 20
_THEN_SAME_KEY = "then repeat it with the same idempotency key, never with a new one"
_SUMS = "get the payment for its sums"


def _done_before(error: type[ApiError], advice: str) -> ErrorRule:
    # By this very request, perhaps, which was carried out twice behind the gateway.
    return ErrorRule(error, advice, unsettled=True, suggests_effect=True)


#: To a create: the reference is taken. To a refund: the key was used with another payload.
_TAKEN: Final = ErrorRule(None, permanent=True)
_CODES: Final[dict[str, ErrorRule]] = {
    "3010": ErrorRule(
        ServerError,
        f"Vipps failed, often over a request that it cannot take: look at the payment's events, {_THEN_SAME_KEY}",
        retryable=True,
        unsettled=True,
    ),
    "4010": ErrorRule(IdempotencyMismatchError, suggests_effect=True, permanent=True),
    "4020": ErrorRule(IdempotencyMismatchError, permanent=True),
    "4040": ErrorRule(InvalidRequestError, "amounts are whole minor units"),
    "4050": ErrorRule(InvalidRequestError, "take the token out of a new check-in of the customer"),
    "4060": ErrorRule(InvalidRequestError, "scan the customer's QR code again and send all that it holds"),
    "4070": ErrorRule(InvalidRequestError, "send the phone number with its country's code, or leave it out"),
    "4080": ErrorRule(InvalidRequestError, "scope has a value that Vipps does not know"),
    "4090": ErrorRule(InvalidRequestError, "a URL must be https on a public host, or an app's own scheme"),
    "4100": ErrorRule(InvalidRequestError, "metadata takes 5 pairs at most"),
    "4110": ErrorRule(InvalidRequestError, "metadata has the same name twice"),
    "4120": ErrorRule(InvalidRequestError, "a name in metadata has 100 characters at most"),
    "4130": ErrorRule(InvalidRequestError, "a value in metadata has 500 characters at most"),
    "4140": ErrorRule(InvalidRequestError, "a field is missing that Vipps needs: see its text"),
    "4150": _TAKEN,
    "4160": ErrorRule(InvalidRequestError, "the sales unit cannot take this payment method"),
    "5010": ErrorRule(InvalidRequestError, "leave blocked_sources out: this sales unit cannot block any"),
    "5020": ErrorRule(PermissionDeniedError, "leave shipping out, or ask Vipps to activate express checkout"),
    "5030": ErrorRule(PermissionDeniedError, "leave out of scope what the sales unit may not ask for, such as nin"),
    "5040": ErrorRule(InvalidRequestError, "take the currency of the sales unit"),
    "5050": ErrorRule(PermissionDeniedError, "leave expires_at out, or ask Vipps to allow long-living payments"),
    "5060": ErrorRule(MerchantError, "Vipps has not verified the sales unit's bank account yet; see the Vipps portal"),
    "5070": ErrorRule(
        PaymentRefusedError, "Vipps cannot make this payment: see its text, and the sales unit in the Vipps portal"
    ),
    "5080": ErrorRule(PushNotAllowedError),
    "5090": ErrorRule(OrderNotFoundError),
    "5100": ErrorRule(RefundError, f"{_SUMS}, and pay the customer back in another way if it stays so"),
    "6010": ErrorRule(InvalidRequestError, "the least amount is 1 NOK, 0.01 DKK or 0.01 EUR"),
    "6020": ErrorRule(RefundError, "nothing is captured: cancel the payment instead"),
    "6030": ErrorRule(
        CancelError, "the time to cancel is over: what was not captured goes back to the customer", permanent=True
    ),
    "6040": ErrorRule(CancelError, "all of it is captured: refund it instead"),
    "6050": ErrorRule(CancelError, "nothing is reserved: get the payment to see how it ended"),
    "6060": ErrorRule(
        CancelError,
        "the customer has accepted, and this cancel asked to leave such a payment alone: capture it, or cancel it "
        "without cancel_transaction_only",
        permanent=True,
    ),
    "6070": ErrorRule(CaptureError, "the payment is cancelled: there is nothing to capture", permanent=True),
    "6080": ErrorRule(CaptureError, "nothing is reserved: wait for the customer to accept, or get the payment's state"),
    "6090": ErrorRule(CaptureError, f"{_SUMS}: remaining_to_capture is what is left"),
    "6100": ErrorRule(
        CaptureError,
        "the time to capture is over for good, 180 days in Norway and 14 in Denmark and Finland: ask the customer for "
        "a new payment",
        permanent=True,
    ),
    "6110": ErrorRule(InvalidRequestError, "expires_at must be less than 60 days ahead"),
    "6120": ErrorRule(InvalidRequestError, "expires_at must be more than 10 minutes ahead"),
    "6130": ErrorRule(InvalidRequestError, "expires_at needs a receipt"),
    "6140": ErrorRule(CaptureError, "this sales unit must capture the whole amount at once"),
    "6150": ErrorRule(RefundError, f"{_SUMS}: remaining_to_refund is what is left"),
    "6160": ErrorRule(
        OrderLockedError,
        "another operation holds the payment: try again in a moment with the same idempotency key",
        retryable=True,
        kind=FailureKind.LOCKED,
    ),
    "6170": _done_before(CaptureError, "all of it is captured already: look at the payment's events for who did it"),
    "6180": _done_before(RefundError, "all of it is refunded already: look at the payment's events for who did it"),
    "6190": _done_before(CancelError, f"{_SUMS} and its state: it may be cancelled already, or captured"),
    "6200": ErrorRule(CaptureError, f"{_SUMS} and its state: it may be cancelled, or never have been accepted"),
    "6210": ErrorRule(RefundError, f"{_SUMS} and its state: nothing may have been captured"),
    "6220": ErrorRule(
        RefundError, "refunds end 365 days after the reservation: pay the customer back in another way", permanent=True
    ),
    "6230": ErrorRule(None, "the customer has accepted it already: get the payment, and go on from its state"),
    "6250": ErrorRule(
        CancelError,
        "the customer is confirming the payment with the bank at this moment: cancel it again in some minutes",
        retryable=True,
        kind=FailureKind.LOCKED,
    ),
    "6260": ErrorRule(
        CaptureError,
        "the bank holds the money no more, or not now: try once a day, with a new idempotency key if the answer stays "
        "though no event tells of a success; give up 30 days after the acceptance and ask for a new payment",
        retryable=True,
    ),
    "6280": ErrorRule(
        CaptureError,
        f"the capture failed for the moment: wait some minutes and look at the payment's events, {_THEN_SAME_KEY}; "
        "only if the same answer comes for hours and no event tells of a success a new key is safe",
        retryable=True,
        unsettled=True,
    ),
    "7010": ErrorRule(UserError, "no customer has this number or code, or the customer is too young for the payment"),
    "10010": ErrorRule(
        PaymentRefusedError, "approve has failed: look at the payment's state, then try again", retryable=True
    ),
    "10020": ErrorRule(PermissionDeniedError, "approve exists in the test environment, for test users only"),
    "10030": ErrorRule(UserError, "the test user is not identified; take another one"),
    "10040": ErrorRule(UserError, "the test user has no source of money that fits; take another one"),
    "10050": ErrorRule(UserError, "the test user has no card; add one in the test app"),
    "10060": ErrorRule(PaymentRefusedError, "this kind of payment must be accepted in the test app"),
    "10070": ErrorRule(PaymentRefusedError, "the amount is beyond the test user's limit"),
}
#: Of the gateway's `responseInfo`, as in eCom.
_GATEWAY_FAILED: Final = ErrorRule(
    ServerError,
    f"the gateway before Vipps failed: look at the payment's events, {_THEN_SAME_KEY}",
    retryable=True,
    unsettled=True,
)


def has_code(errors: Sequence[ErrorInfo], code: str) -> bool:
    """Tell whether one of the errors has this code."""
    return any(info.group == CODE and info.code == code for info in errors)


def rule_for(info: ErrorInfo) -> ErrorRule | None:
    """Look an error up by its code; None if it has none, or one that Vipps has added later."""
    if not info.group and info.code == "1000":
        return _GATEWAY_FAILED
    return _CODES.get(info.code) if info.group == CODE else None


def is_known_group(info: ErrorInfo) -> bool:
    """Whether an error has a code, or is of a shape without groups."""
    return info.group in {"", CODE}


def may_tell_of_money(info: ErrorInfo) -> bool:
    """Whether an error that is in no table may be about an operation that took effect: any code may, no field."""
    return info.group == CODE


def error_class(
    status: int, errors: Sequence[ErrorInfo], rule: ErrorRule | None, operation_error: type[ApiError]
) -> type[ApiError]:
    """Choose the class: the rule that decides, else the status, or the operation for a code that is not known.

    Args:
        status: the HTTP status.
        errors: all errors of the answer.
        rule: the rule of the error that decides; None if no error is in the table.
        operation_error: the class that belongs to the operation; plain `ApiError` if none does.
    """
    if rule is _TAKEN:
        return DuplicateOrderError if operation_error is PaymentRefusedError else IdempotencyMismatchError
    by_status = class_by_status(status, errors, rule, operation_error)
    is_plain = rule is None and by_status in {ApiError, InvalidRequestError}
    return operation_error if is_plain and any(info.group == CODE for info in errors) else by_status


def read_error(item: Mapping[str, Any]) -> Sequence[ErrorInfo]:
    """Read an error body of RFC 7807 with its `extraDetails`; the keys are casefolded."""
    details = item.get("extradetails")
    if isinstance(item.get("errors"), dict) or not ("title" in item or isinstance(details, list)):
        return ()
    text = title_and_detail(item)
    trace_id = error_reference(item)
    found: list[ErrorInfo] = []
    for detail in details[:_MOST_DETAILS] if isinstance(details, list) else ():
        if isinstance(detail, dict):
            named = {str(key).casefold(): value for key, value in detail.items()}
            name, reason = error_text(named.get("name")), error_text(named.get("reason"))
            is_code = name.casefold() == CODE.casefold()
            info = (CODE, reason, text) if is_code else ("", name, reason)
            found.append(ErrorInfo(*info, None if found else trace_id))
    if not found and (text or trace_id):
        found.append(ErrorInfo("", "", text, trace_id))
    return found

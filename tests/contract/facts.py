"""What the eCom API v2 takes and answers: paths, headers, fields, types, limits, words. Data of our own, by its facts.

`tests/contract/test_facts.py` holds it against the vendor's description where that is. A field whose name ends in ``!``
is required. Amounts are whole øre, shipping costs are NOK.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ANSWERS", "ERRORS", "FORMS", "HEADERS", "REQUESTS"]

Rule = dict[str, Any]


def _text(
    shortest: int | None = None, longest: int | None = None, pattern: str | None = None, example: str | None = None
) -> Rule:
    limits = {"minLength": shortest, "maxLength": longest, "pattern": pattern, "example": example}
    return {"type": "string"} | {name: limit for name, limit in limits.items() if limit is not None}


def _word(*words: str) -> Rule:
    return {"type": "string", "enum": list(words)}


def _form(fields: dict[str, Rule]) -> Rule:
    required = [name[:-1] for name in fields if name.endswith("!")]
    rule: Rule = {"type": "object", "properties": {name.rstrip("!"): field for name, field in fields.items()}}
    return rule | ({"required": required} if required else {})


def _list(item: Rule) -> Rule:
    return {"type": "array", "items": item}


def _one_of(*rules: Rule) -> Rule:
    return {"oneOf": list(rules)}


# -- fields ------------------------------------------------------------------------------------------------------------

TEXT = _text()
FLAG: Rule = {"type": "boolean"}
WHOLE: Rule = {"type": "integer"}
#: An amount that is moved: 1 NOK at least.
AMOUNT: Rule = {"type": "integer", "minimum": 100}
COST: Rule = {"type": "number", "minimum": 0}
#: What Vipps says of shipping that was paid.
COST_CHARGED: Rule = {"type": "number", "minimum": 1}
URL = _text(longest=255)
ORDER_ID = _text(longest=50, pattern="^[a-zA-Z0-9-]{1,50}$")
MSN = _text(5, 6, r"^\d{5,}$")
MOBILE = _text(8, 8, r"^\d{8}$")
TRANSACTION_TEXT = _text(longest=100)
TIME = _text(example="2026-03-01T12:30:45.123Z")
TRANSACTION_ID = _text(pattern=r"^\d{10,}$", example="5001420062")
METHOD, METHOD_ID = _text(longest=256), _text(longest=100)

# -- parts of bodies ---------------------------------------------------------------------------------------------------

_SALES_UNIT = _form({"merchantSerialNumber!": MSN})
_CUSTOMER = _form({"mobileNumber": MOBILE})
_SHIPPING_METHOD: dict[str, Rule] = {
    "isDefault!": _word("Y", "N"),
    "priority": WHOLE,
    "shippingMethod!": METHOD,
    "shippingMethodId!": METHOD_ID,
}
_MERCHANT = _form(
    {
        "authToken": URL,
        "callbackPrefix!": URL,
        "consentRemovalPrefix": URL,
        "fallBack!": URL,
        "isApp": FLAG,
        "merchantSerialNumber!": MSN,
        "paymentType": _word("eComm Regular Payment", "eComm Express Payment"),
        "shippingDetailsPrefix": URL,
        "staticShippingDetails": _list(_form({**_SHIPPING_METHOD, "shippingCost!": COST})),
    }
)
_AIRLINE = _form(
    {
        "passengerName!": _text(1, 49),
        "airlineCode!": _text(3, 3),
        "airlineDesignatorCode!": _text(2, 2),
        "ticketNumber": _text(1, 150),
        "agencyInvoiceNumber!": _text(1, 6),
    }
)
_TO_RESERVE = _form(
    {
        "amount!": AMOUNT,
        "orderId!": ORDER_ID,
        "transactionText!": TRANSACTION_TEXT,
        "skipLandingPage": FLAG,
        "scope": TEXT,
        "additionalData": _AIRLINE,
        "useExplicitCheckoutFlow": FLAG,
    }
)
_TO_MOVE = _form({"amount": AMOUNT, "transactionText!": TRANSACTION_TEXT})
_TO_CANCEL = _form({"transactionText!": TRANSACTION_TEXT})

_SUMMARY = _form(
    {
        "capturedAmount!": WHOLE,
        "refundedAmount!": WHOLE,
        "remainingAmountToCapture!": WHOLE,
        "remainingAmountToRefund!": WHOLE,
        "bankIdentificationNumber": WHOLE,
    }
)
_MOVED: dict[str, Rule] = {
    "amount!": AMOUNT,
    "status!": _word("Cancelled", "Captured", "Refund"),
    "timeStamp!": TIME,
    "transactionText!": TRANSACTION_TEXT,
}
_WITH_ID, _PERHAPS_WITH_ID = {"transactionId!": TRANSACTION_ID}, {"transactionId": TRANSACTION_ID}
_INSTRUMENT = _text(longest=30, pattern="^[a-zA-Z0-9-]{1,30}$")
_LOG_ENTRY = _form(
    {
        "amount!": WHOLE,
        "operation!": _word("INITIATE", "RESERVE", "SALE", "CAPTURE", "REFUND", "CANCEL", "VOID"),
        "operationSuccess!": FLAG,
        "requestId": TEXT,
        "timeStamp": TIME,
        "transactionId": TEXT,
        "transactionText!": TRANSACTION_TEXT,
    }
)
_STATUS = _form(
    {
        "amount!": AMOUNT,
        "status!": _word(
            "INITIATE", "REGISTER", "RESERVE", "SALE", "CAPTURE", "REFUND", "CANCEL", "VOID", "FAILED", "REJECTED"
        ),
        "timeStamp!": TIME,
        "transactionId": TEXT,
    }
)
_ADDRESS: dict[str, Rule] = {
    "addressLine1!": TEXT,
    "addressLine2": TEXT,
    "city!": TEXT,
    "country!": _word("Norway"),
}
_CHOSEN: dict[str, Rule] = {"shippingMethod!": METHOD, "shippingMethodId!": METHOD_ID}
_USER = _form(
    {
        "email!": TEXT,
        "firstName!": TEXT,
        "lastName!": TEXT,
        "mobileNumber!": MOBILE,
        "userId!": _text(longest=50, pattern=r"^[\d\w\/=+]+$"),
    }
)
_ERROR = _form(
    {
        "errorGroup!": _word("Authentication", "Payment", "InvalidRequest", "VippsError", "User", "Merchant"),
        "errorCode!": TEXT,
        "errorMessage!": TEXT,
        "contextId": TEXT,
    }
)


def _told(*statuses: str) -> Rule:
    return _form({"amount!": AMOUNT, "status!": _word(*statuses), "timeStamp!": TIME, "transactionId": TEXT})


# -- whole bodies ------------------------------------------------------------------------------------------------------

_INITIATE = _form({"customerInfo!": _CUSTOMER, "merchantInfo!": _MERCHANT, "transaction!": _TO_RESERVE})
_MOVE = _form({"merchantInfo": _SALES_UNIT, "transaction": _TO_MOVE})
_CANCEL = _form({"merchantInfo!": _SALES_UNIT, "transaction!": _TO_CANCEL, "shouldReleaseRemainingFunds": FLAG})
_APPROVE = _form({"customerPhoneNumber": _text(pattern=r"^\d{8}$"), "token": TEXT})
_REGULAR_CALLBACK = _form(
    {
        "merchantSerialNumber!": MSN,
        "orderId!": ORDER_ID,
        "transactionInfo!": _told("RESERVED", "SALE", "CANCELLED", "REJECTED"),
        "errorInfo": _ERROR,
    }
)


def _express_callback(cost: Rule) -> Rule:
    shipping = {**_CHOSEN, "address!": _form({**_ADDRESS, "zipCode!": TEXT}), "shippingCost!": cost}
    return _form(
        {
            "merchantSerialNumber!": MSN,
            "orderId!": ORDER_ID,
            "shippingDetails!": _form(shipping),
            "transactionInfo!": _told("RESERVE", "SALE", "CANCELLED", "REJECTED"),
            "userDetails!": _USER,
            "errorInfo": _ERROR,
        }
    )


_SHIPPING_QUESTION = _form(
    {
        "addressId!": {"type": "integer", "minimum": 100},
        "addressLine1!": TEXT,
        "addressLine2": TEXT,
        "city!": TEXT,
        "country!": TEXT,
        "postCode!": _text(pattern=r"^\d{4}$"),
        "addressType": _word("H", "W", "O"),
    }
)
_SHIPPING_ANSWER = _form(
    {
        "addressId!": WHOLE,
        "orderId!": ORDER_ID,
        "shippingDetails!": _list(_form({**_SHIPPING_METHOD, "shippingCost!": COST_CHARGED})),
    }
)
_DETAILS = _form(
    {
        "orderId": ORDER_ID,
        "shippingDetails": _form({**_CHOSEN, "address": _form({**_ADDRESS, "postCode!": TEXT}), "shippingCost!": COST}),
        "transactionLogHistory": _list(_LOG_ENTRY),
        "transactionSummary": _SUMMARY,
        "userDetails": _USER,
        "sub": TEXT,
    }
)


def _done(**transaction: dict[str, Rule]) -> Rule:
    (name, fields), *_ = transaction.items()
    return _form({"orderId!": ORDER_ID, name: _form(fields), "transactionSummary": _SUMMARY})


def _done_by_card(fields: dict[str, Rule]) -> Rule:
    rule = _done(transactionInfo=fields)
    rule["properties"]["paymentInstrument"] = _INSTRUMENT
    return rule


_PAYMENTS = "/ecomm/v2/payments"
_ORDER = f"{_PAYMENTS}/{{orderId}}"
_FORCE_APPROVE = "/ecomm/v2/integration-test/payments/{orderId}/approve"
_SHIPPING = "/shippingDetailsPrefix/v2/payments/{orderId}/shippingDetails"
_CALLBACK = "/callbackPrefix/v2/payments/{orderId}"
_CONSENT = "/consentRemovalPrefix/v2/consents/{userId}"

#: Path and method → the body that is sent; None: no body. The last three are answered by the merchant.
REQUESTS: dict[tuple[str, str], Rule | None] = {
    (_PAYMENTS, "post"): _INITIATE,
    (f"{_ORDER}/capture", "post"): _MOVE,
    (f"{_ORDER}/cancel", "put"): _CANCEL,
    (f"{_ORDER}/refund", "post"): _MOVE,
    (f"{_ORDER}/details", "get"): None,
    (f"{_ORDER}/status", "get"): None,
    (_FORCE_APPROVE, "post"): _APPROVE,
    (_SHIPPING, "post"): _SHIPPING_QUESTION,
    (_CALLBACK, "post"): _one_of(_express_callback(COST_CHARGED), _REGULAR_CALLBACK),
    (_CONSENT, "delete"): None,
}
#: The body of a success; what is not here has none.
ANSWERS: dict[tuple[str, str], Rule] = {
    (_PAYMENTS, "post"): _form({"orderId!": ORDER_ID, "url!": TEXT}),
    (f"{_ORDER}/capture", "post"): _done_by_card({**_MOVED, **_WITH_ID}),
    (f"{_ORDER}/cancel", "put"): _done_by_card({**_MOVED, **_PERHAPS_WITH_ID}),
    (f"{_ORDER}/refund", "post"): _done(transaction={**_MOVED, **_WITH_ID}),
    (f"{_ORDER}/details", "get"): _DETAILS,
    (f"{_ORDER}/status", "get"): _form({"orderId": ORDER_ID, "transactionInfo": _STATUS}),
    (_SHIPPING, "post"): _SHIPPING_ANSWER,
}
#: The body of every other answer of Vipps: the API's errors, or the gateway's.
ERRORS = _one_of(
    _list(_ERROR),
    _form(
        {
            "responseInfo!": _form({"responseCode!": WHOLE, "responseMessage!": TEXT}),
            "result!": _form({"message!": TEXT}),
        }
    ),
)

_COMMON: dict[str, Rule] = {
    "Authorization!": TEXT,
    "Ocp-Apim-Subscription-Key!": TEXT,
    "Merchant-Serial-Number": TEXT,
    **dict.fromkeys(
        ("Vipps-System-Name", "Vipps-System-Version", "Vipps-System-Plugin-Name", "Vipps-System-Plugin-Version"),
        _text(longest=30),
    ),
}
_JSON = {"Content-Type": TEXT}
#: Path and method → the headers.
HEADERS: dict[tuple[str, str], dict[str, Rule]] = {
    (_PAYMENTS, "post"): _COMMON | _JSON,
    (f"{_ORDER}/capture", "post"): _COMMON | _JSON | {"X-Request-Id!": TEXT},
    (f"{_ORDER}/cancel", "put"): _COMMON | _JSON,
    (f"{_ORDER}/refund", "post"): _COMMON | _JSON | {"X-Request-Id!": TEXT},
    (f"{_ORDER}/details", "get"): _COMMON | _JSON,
    (f"{_ORDER}/status", "get"): _COMMON,
    (_FORCE_APPROVE, "post"): _COMMON | _JSON | {"X-Request-Id": TEXT},
    (_SHIPPING, "post"): {"Authorization": TEXT},
    (_CALLBACK, "post"): {"Authorization!": TEXT},
}
#: The vendor's name of a form → the form.
FORMS = {
    "CancelPaymentActionRequest": _CANCEL,
    "CancelTransaction": _TO_CANCEL,
    "CustomerInfo": _CUSTOMER,
    # The description has this form twice, and only here takes shipping that costs nothing.
    "ExpressCheckOutPaymentRequest": _express_callback(COST),
    "ForceApproveRequest": _APPROVE,
    "InitiatePaymentCommand": _INITIATE,
    "MerchantInfo": _MERCHANT,
    "MerchantInfoPayment": _SALES_UNIT,
    "OrderStatusInfoTransactionInfo": _STATUS,
    "PaymentActionsRequest": _MOVE,
    "RegularCheckOutPaymentRequest": _REGULAR_CALLBACK,
    "Transaction": _TO_MOVE,
    "TransactionInfoInitiate": _TO_RESERVE,
    "TransactionLogHistory": _LOG_ENTRY,
}

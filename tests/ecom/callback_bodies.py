"""What Vipps sends to merchants, as it has been seen."""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["EXPRESS", "NO_INFO", "PERSONAL", "QUESTION", "REGULAR", "TOKEN", "as_body", "with_info"]

#: The merchant's own token.
TOKEN = "c2VjcmV0LW9mLWEtdGVzdA=="

#: What must never be seen where it does not belong.
PERSONAL = (
    "Ada",
    "Lovelace",
    "ada@example.com",
    "91234567",
    "Robert Levins gate 5",
    "0154",
    "uiJskNQ6qNN1iwN891uuob==",
)

REGULAR: dict[str, Any] = {
    "merchantSerialNumber": 123456,
    "orderId": "acme-1",
    "transactionInfo": {
        "amount": 49900,
        "status": "RESERVED",
        "timeStamp": "2026-11-22T08:00:00.246Z",
        "transactionId": "5001446662",
    },
}

EXPRESS: dict[str, Any] = {
    "merchantSerialNumber": "123456",
    "orderId": "acme-1",
    "shippingDetails": {
        "address": {
            "addressLine1": "Robert Levins gate 5",
            "addressLine2": "Att: Ada",
            "city": "Oslo",
            "country": "Norway",
            "zipCode": "0154",
        },
        "shippingCost": 109.5,
        "shippingMethod": "Posten Servicepakke",
        "shippingMethodId": "posten-servicepakke",
    },
    "transactionInfo": {
        "amount": 49900,
        "status": "RESERVE",
        "timeStamp": "2026-11-22T08:00:00.246Z",
        "transactionId": "5001446662",
    },
    "userDetails": {
        "email": "ada@example.com",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "mobileNumber": "91234567",
        "userId": "uiJskNQ6qNN1iwN891uuob==",
    },
}

#: Seen when a payment failed early.
NO_INFO: dict[str, Any] = {
    "merchantSerialNumber": "123456",
    "orderId": "acme-1",
    "errorInfo": {"errorGroup": "PAYMENTS", "errorCode": "45", "errorMessage": "User did not act", "contextId": "c-1"},
}

QUESTION: dict[str, Any] = {
    "addressId": 3960,
    "addressLine1": "Robert Levins gate 5",
    "addressLine2": None,
    "country": "NO",
    "city": "Oslo",
    "postCode": "0154",
    "addressType": "H",
}


def as_body(value: object) -> bytes:
    """Write it as JSON."""
    return orjson.dumps(value)


def with_info(**changes: Any) -> dict[str, Any]:
    """Return the regular callback with another `transactionInfo`; None leaves a field out."""
    info = {name: value for name, value in (REGULAR["transactionInfo"] | changes).items() if value is not None}
    return REGULAR | {"transactionInfo": info}

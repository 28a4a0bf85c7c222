"""Deliveries as Vipps makes them, signed by the standard library alone; written from the facts, not from our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import orjson

__all__ = ["AUTHORIZED", "DATE", "ID", "SECRET", "URL", "body_of", "delivery", "headers_for", "signature"]

URL = "https://shop.example.com/vipps/webhooks?shop=1"
ID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
SECRET = base64.b64encode(b"s" * 64).decode()
DATE = "Mon, 19 Jan 2026 16:26:33 GMT"
#: An authorization of an express payment, with all that there can be.
AUTHORIZED: dict[str, Any] = {
    "msn": "123456",
    "reference": "acme-shop-123-order124",
    "pspReference": "1f0c2c9e-0b6a-4f7e-9f2c-2b6a4f7e9f2c",
    "name": "AUTHORIZED",
    "amount": {"currency": "NOK", "value": 49900},
    "timestamp": "2026-01-19T16:26:31.1234567Z",
    "idempotencyKey": "create-key-1",
    "success": True,
    "captureGuaranteedUntil": "2026-01-26T16:26:31+00:00",
    "sub": "c06c4afe-d9e1-4c5d-939a-177d752a0944",
    "userDetails": {
        "email": "kari@example.com",
        "firstName": "Kari",
        "lastName": "Nordmann",
        "mobileNumber": "4798765432",
        "dateOfBirth": "1988-12-3",
        "addresses": [{"addressLine1": "Storgata 1", "city": "Oslo", "country": "NO", "postCode": "0154"}],
    },
    "shippingDetails": {
        "address": {"addressLine1": "Storgata 1", "city": "Oslo", "country": "NO", "postCode": "0154"},
        "shippingCost": 4900,
        "shippingOptionId": "post",
        "shippingOptionName": "Posten",
    },
}


def body_of(event: Any) -> bytes:
    """Write a body."""
    return event if isinstance(event, bytes) else orjson.dumps(event)


def signature(secret: str, *, target: str, host: str, date: str, body: bytes) -> tuple[str, str]:
    """Return hash and signature as the facts have them."""
    content = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"POST\n{target}\n{date};{host};{content}".encode()
    return content, base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def headers_for(
    body: bytes,
    *,
    secret: str = SECRET,
    target: str = "/vipps/webhooks?shop=1",
    host: str = "shop.example.com",
    date: str = DATE,
    webhook_id: str | None = ID,
    name: str = "Authorization",
) -> dict[str, str]:
    """Return the headers of a delivery."""
    content, signed = signature(secret, target=target, host=host, date=date, body=body)
    headers = {
        "Host": host,
        "Content-Type": "application/json",
        "x-ms-date": date,
        "x-ms-content-sha256": content,
        name: f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signed}",
    }
    return headers | ({} if webhook_id is None else {"Webhook-Id": webhook_id})


def delivery(event: Any = AUTHORIZED, **options: Any) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a delivery."""
    body = body_of(event)
    return headers_for(body, **options), body

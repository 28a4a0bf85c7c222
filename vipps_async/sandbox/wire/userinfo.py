"""User info: what the customer consented to share, by the `sub` of a payment's details."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from vipps_async.sandbox.ledger.customers import EXPIRED, Customer
from vipps_async.sandbox.ledger.reasons import Refused
from vipps_async.sandbox.wire.face import Answer, ApiRequest, Face, Route, json_answer
from vipps_async.sandbox.wire.gateway import problem_refusal


class UserinfoFace(Face):
    """The one operation of the API, which Vipps answers without a subscription key."""

    name = "userinfo"

    def routes(self) -> list[Route]:
        """Return the operation."""
        path = "/vipps-userinfo-api/userinfo/{sub}"
        return [Route(operation="userinfo", method="GET", path=path, handle=self._userinfo, key_needed=False)]

    def refused(self, refused: Refused, operation: str) -> Answer:  # noqa: ARG002 - there is one
        """Return a refusal in the shape of RFC 7807."""
        return problem_refusal(403, "Forbidden", str(refused)).answer

    def about(self, request: ApiRequest) -> tuple[str, str]:
        """Return the customer's `sub`: it names no payment."""
        return "", request.path.get("sub", "")

    async def _userinfo(self, request: ApiRequest) -> Answer:
        sub, now = request.path["sub"], self.services.clock.now()
        order = self.services.book.by_sub(sub)
        known = order is not None and order.sub_at is not None and now >= order.sub_at
        covered = order is not None and (request.keys is None or request.keys.covers(order.payment.sales_unit))
        if order is None or order.customer is None or not known or not covered:
            raise problem_refusal(404, "Not Found", "There is no user with this sub.")
        return json_answer(_claims(order.customer, sub, order.scope, expired=order.personal_data_expired(now)))


def _claims(customer: Customer, sub: str, scope: Collection[str], *, expired: bool) -> dict[str, Any]:
    """Return what the scope allows, and no more."""
    address = customer.address
    street = "\n".join(line for line in (address.line1, address.line2) if line)
    personal: dict[str, dict[str, Any]] = {
        "name": {
            "name": f"{customer.first_name} {customer.last_name}",
            "given_name": customer.first_name,
            "family_name": customer.last_name,
        },
        "email": {"email": customer.email},
        "phoneNumber": {"phone_number": customer.msisdn},
        "birthDate": {"birthdate": customer.birth_date},
        "nin": {"nin": customer.nin},
        "address": {
            "address": {
                "address_type": "home",
                "country": "NO",
                "formatted": f"{street}\n{address.postal_code} {address.city.upper()}\nNORWAY",
                "postal_code": address.postal_code,
                "region": address.city,
                "street_address": street,
            },
            "other_addresses": [],
        },
    }
    claims = {name: value for word, part in personal.items() if word in scope for name, value in part.items()}
    if expired:
        claims = {name: _expired(value) for name, value in claims.items()}
    verified = {"email": "email_verified", "phoneNumber": "phone_number_verified"}
    claims |= {name: True for word, name in verified.items() if word in scope}
    return {"sid": str(uuid.uuid5(uuid.UUID(sub), "sid")), "sub": sub, **claims}


def _expired(value: object) -> object:
    if isinstance(value, dict):
        return dict.fromkeys(value, EXPIRED)
    return value if isinstance(value, list) else EXPIRED

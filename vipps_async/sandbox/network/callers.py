"""Who calls: the keys, the token and the sales unit of a request, each refused in the shape that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.settings import Settings
from vipps_async.sandbox.network.fault_notes import fault_notes
from vipps_async.sandbox.network.tokens import SandboxCredentials, TokenIssuer
from vipps_async.sandbox.wire.ecom_fields import check_headers
from vipps_async.sandbox.wire.refusals import (
    Refusal,
    gateway_refusal,
    invalid_request,
    management_refusal,
    oauth_refusal,
    vipps_refusal,
)

__all__ = ["MSN_HEADER", "SUBSCRIPTION_KEY", "Callers", "agreed_msn", "unauthorised"]

SUBSCRIPTION_KEY = "Ocp-Apim-Subscription-Key"
MSN_HEADER = "Merchant-Serial-Number"
_MSN = re.compile(r"[0-9]{5,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Tells callers by their keys and tokens."""

    settings: Settings
    tokens: TokenIssuer
    clock: SandboxClock

    def log_in(self, headers: Mapping[str, str], *, with_body: bool) -> dict[str, str]:
        """Return the answer to a request for a token.

        Raises:
            Refusal: 401 for the subscription key; 400 or 401 as OAuth has it for all else.
        """
        now = self.clock.now()
        self._subscriber(headers)
        client_id, client_secret = headers.get("client_id"), headers.get("client_secret")
        if not client_id or not client_secret:
            raise oauth_refusal(400, "invalid_request", 900144, "client_id and client_secret are required.", now)
        if with_body:
            raise oauth_refusal(400, "invalid_request", 900144, "The body must be empty.", now)
        if self.settings.credentials is not None:
            keys = self._keys_of(client_id)
            if keys is None:
                raise oauth_refusal(400, "unauthorized_client", 700016, "There is no such client_id.", now)
            if keys.client_secret != client_secret:
                raise oauth_refusal(401, "invalid_client", 7000215, "The client_secret is wrong.", now)
        return self.tokens.issue(client_id, now)

    def authorised(self, request: web.Request, *, key_needed: bool = True) -> SandboxCredentials | None:
        """Return the keys of who makes a request; None where any keys are taken.

        Raises:
            Refusal: 401 for subscription key or token, 403 for partner keys without a sales unit of theirs, 400 for
                other headers.
        """
        headers = request.headers
        with_key = key_needed or SUBSCRIPTION_KEY in headers
        keys = self._subscriber(headers) if with_key else None
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        owner = (
            self.tokens.owner(token, fault_notes(request).received_at or self.clock.now())
            if scheme == "Bearer"
            else None
        )
        if owner is None or (keys is not None and owner != keys.client_id):
            raise unauthorised()
        if not with_key:
            keys = self._keys_of(owner)
        check_headers(headers)
        self._check_msn(headers.get(MSN_HEADER), keys)
        return keys

    def _check_msn(self, msn: str | None, keys: SandboxCredentials | None) -> None:
        if keys is not None and keys.partner and (msn is None or not keys.covers(msn)):
            raise vipps_refusal("Merchant", "Unauthorized", msn=msn or "none")
        if msn is not None and not _MSN.fullmatch(msn):
            raise invalid_request([(MSN_HEADER, "must have 5 or 6 digits")])

    def _subscriber(self, headers: Mapping[str, str]) -> SandboxCredentials | None:
        key = headers.get(SUBSCRIPTION_KEY)
        if not key:
            raise gateway_refusal(
                401,
                "Access denied due to missing subscription key. "
                "Make sure to include subscription key when making requests to an API.",
            )
        if self.settings.credentials is None:
            return None
        for keys in self.settings.credentials:
            if keys.subscription_key == key:
                return keys
        raise gateway_refusal(
            401,
            "Access denied due to invalid subscription key. "
            "Make sure to provide a valid key for an active subscription.",
        )

    def _keys_of(self, client_id: str) -> SandboxCredentials | None:
        return next((keys for keys in self.settings.credentials or () if keys.client_id == client_id), None)


def unauthorised() -> Refusal:
    """Return the answer to a token that is missing, malformed, forged or expired."""
    return management_refusal(
        401,
        "Unauthorized",
        "Something went wrong, please try again later (the access token is missing, not valid or expired)",
    )


def agreed_msn(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """Return the sales unit of a checked body.

    Raises:
        Refusal: 400, if the header names another one.
    """
    msn: str = body["merchantInfo"]["merchantSerialNumber"]
    if headers.get(MSN_HEADER, msn) != msn:
        raise invalid_request([(MSN_HEADER, "must be the same in header and body")])
    return msn

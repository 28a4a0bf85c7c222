"""Authenticates callers by keys and tokens; each failure is refused in its own shape."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime

from vipps_async.sandbox.ledger.reasons import Refused
from vipps_async.sandbox.ledger.settings import SandboxCredentials
from vipps_async.sandbox.wire.face import (
    MSN_HEADER,
    SUBSCRIPTION_KEY,
    Answer,
    ApiRequest,
    Face,
    Route,
    Services,
    json_answer,
)
from vipps_async.sandbox.wire.gateway import foreign_sales_unit, gateway_refusal, oauth_refusal, unauthorised

#: Size of the cache of verified tokens, which saves a call the signature check; a client needs one or two.
_REMEMBERED = 1_000


class Callers(Face):
    """Authenticates callers by their keys and tokens, and issues the tokens."""

    name = "access_token"

    def __init__(self, services: Services, tokens: TokenIssuer) -> None:
        super().__init__(services)
        self.tokens = tokens

    def routes(self) -> list[Route]:
        """Return the route of the token endpoint."""
        path = "/accesstoken/get"
        return [Route(operation="token", method="POST", path=path, handle=self._log_in, token_needed=False)]

    def refused(self, refused: Refused, operation: str) -> Answer:  # noqa: ARG002 - there is one
        """Return the gateway's answer to what is refused for a reason."""
        return gateway_refusal(403, str(refused)).answer

    async def _log_in(self, request: ApiRequest) -> Answer:
        now, headers = self.services.clock.now(), request.headers
        client_id, client_secret = headers.get("client_id"), headers.get("client_secret")
        if not client_id or not client_secret:
            raise oauth_refusal(400, "invalid_request", 900144, "client_id and client_secret are required.", now)
        if request.body:
            raise oauth_refusal(400, "invalid_request", 900144, "The body must be empty.", now)
        if self.services.settings.credentials is not None:
            keys = self._keys_of(client_id)
            if keys is None:
                raise oauth_refusal(400, "unauthorized_client", 700016, "There is no such client_id.", now)
            if keys.client_secret != client_secret:
                raise oauth_refusal(401, "invalid_client", 7000215, "The client_secret is wrong.", now)
        return json_answer(self.tokens.issue(client_id, now))

    def authorise(self, headers: Mapping[str, str], route: Route, at: datetime) -> SandboxCredentials | None:
        """Return the keys that a request, received at that time, was made with; None where any keys are accepted.

        Raises:
            Refusal: 401 for subscription key or token, 403 for partner keys without a sales unit of theirs.
        """
        with_key = route.key_needed or SUBSCRIPTION_KEY in headers
        keys = self._subscriber(headers) if with_key else None
        if not route.token_needed:
            return keys
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        owner = self.tokens.owner(token, at) if scheme == "Bearer" else None
        if owner is None or (keys is not None and owner != keys.client_id):
            raise unauthorised()
        if not with_key:
            keys = self._keys_of(owner)
        msn = headers.get(MSN_HEADER)
        if keys is not None and keys.partner and (msn is None or not keys.covers(msn)):
            raise foreign_sales_unit(msn or "none")
        return keys

    def _subscriber(self, headers: Mapping[str, str]) -> SandboxCredentials | None:
        key = headers.get(SUBSCRIPTION_KEY)
        if not key:
            raise gateway_refusal(
                401,
                "Access denied due to missing subscription key. "
                "Make sure to include subscription key when making requests to an API.",
            )
        if self.services.settings.credentials is None:
            return None
        for keys in self.services.settings.credentials:
            if keys.subscription_key == key:
                return keys
        raise gateway_refusal(
            401,
            "Access denied due to invalid subscription key. "
            "Make sure to provide a valid key for an active subscription.",
        )

    def _keys_of(self, client_id: str) -> SandboxCredentials | None:
        return next((keys for keys in self.services.settings.credentials or () if keys.client_id == client_id), None)


class TokenIssuer:
    """Issues and verifies access tokens. Tokens are signed, not stored, so that memory stays bounded."""

    def __init__(self, lifetime: int) -> None:
        #: Seconds that a token lives.
        self.lifetime = lifetime
        self._secret = secrets.token_bytes(32)
        self._verified: dict[str, tuple[float, str]] = {}

    def issue(self, client_id: str, now: datetime) -> dict[str, str]:
        """Return the token endpoint's answer; all its numbers are strings, as the vendor's are."""
        issued = int(now.timestamp())
        claims = {"exp": issued + self.lifetime, "nbf": issued, "appid": client_id, "jti": secrets.token_hex(8)}
        signed = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode(claims)}"
        return {
            "token_type": "Bearer",
            "expires_in": str(self.lifetime),
            "ext_expires_in": str(self.lifetime),
            "expires_on": str(issued + self.lifetime),
            "not_before": str(issued),
            "resource": "00000002-0000-0000-c000-000000000000",
            "access_token": f"{signed}.{self._signature(signed)}",
        }

    def owner(self, token: str, now: datetime) -> str | None:
        """Return the client id that a token was issued to, or None if it is forged, revoked or expired."""
        verified = self._verified.get(token) or self._verify(token)
        if verified is None or now.timestamp() >= verified[0]:
            return None
        return verified[1]

    def revoke_all(self) -> None:
        """Make every token invalid that was issued so far."""
        self._secret = secrets.token_bytes(32)
        self._verified.clear()

    def _verify(self, token: str) -> tuple[float, str] | None:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_raw(signature), _raw(self._signature(signed))):
            return None
        claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = verified = (float(claims["exp"]), str(claims["appid"]))
        return verified

    def _signature(self, signed: str) -> str:
        return _text(hmac.digest(self._secret, _raw(signed), hashlib.sha256))


def _encode(part: dict[str, object] | dict[str, str]) -> str:
    return _text(json.dumps(part, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    # A header's bytes that are no UTF-8 arrive as lone surrogates: they make a wrong token, not a crash.
    return text.encode("utf-8", "surrogatepass")

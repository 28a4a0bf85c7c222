"""Access tokens: issued, checked and expired by the sandbox's clock, and whose they are."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["SandboxCredentials", "TokenIssuer"]

#: Verified tokens that are remembered, so that a call does not pay for a signature; a client needs one or two.
_REMEMBERED = 1_000


@dataclass(frozen=True, kw_only=True)
class SandboxCredentials:
    """The keys of one merchant or partner. Its repr leaves out what is secret."""

    client_id: str
    client_secret: str = field(repr=False)
    subscription_key: str = field(repr=False)
    #: The sales units that the keys are for; None: any.
    merchant_serial_numbers: Collection[str] | None = None
    #: Partner keys must say on every call whose sales unit they act for.
    partner: bool = False

    def covers(self, merchant_serial_number: str) -> bool:
        """Whether the keys are for this sales unit."""
        return self.merchant_serial_numbers is None or merchant_serial_number in self.merchant_serial_numbers


class TokenIssuer:
    """Signs tokens instead of storing them: however many are fetched, nothing piles up."""

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

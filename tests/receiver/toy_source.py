"""A source that no API of Vipps is: signed bodies, several secrets picked by a header, `{reference, event}` as JSON."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping

import orjson
from attrs import evolve, field, frozen

from vipps_async import CallbackError, VippsSession

__all__ = ["ToyEvent", "ToyHooks", "sign"]


@frozen(kw_only=True)
class ToyEvent:
    """Something has happened to a reference."""

    payment: str
    name: str
    record: bytes = field(repr=False)
    is_redelivered: bool = False
    is_pending: bool = False

    @property
    def dedup_key(self) -> str:
        """Tells duplicates."""
        return hashlib.sha256(self.record).hexdigest()[:40]


def sign(secret: str, body: bytes) -> str:
    """Return what the header `Signature` has to say."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@frozen
class ToyHooks:
    """What the toy calls."""

    secrets: Mapping[str, str] = field(repr=False)
    on_event: Callable[[ToyEvent, VippsSession], Awaitable[None]]
    wake: Callable[[str], None]

    @property
    def api(self) -> str:
        """The API."""
        return "toy"

    @property
    def handlers(self) -> Mapping[str, Callable[..., object] | None]:
        """One kind."""
        return {"callback": self.on_event}

    def match(self, path: str) -> tuple[str, str] | None:
        """One path."""
        return ("callback", "POST") if path.endswith("/toy-hooks") else None

    def check_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Know the registration."""
        if dict(headers).get("webhook-id") not in self.secrets:
            raise CallbackError("no such registration", status=401)

    def read(self, _path: str, headers: Iterable[tuple[str, str]], body: bytes) -> ToyEvent:
        """Check the signature over the raw body, then read it."""
        given = dict(headers)
        expected = sign(self.secrets[given["webhook-id"]], body)
        if not hmac.compare_digest(expected.encode(), given.get("signature", "").encode()):
            raise CallbackError("the signature is wrong", status=401)
        try:
            said = orjson.loads(body)
            return ToyEvent(payment=said["reference"], name=said["event"], record=body)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise CallbackError("the body is malformed", status=400) from None

    def restore(self, _kind: str, record: bytes) -> ToyEvent:
        """Read what the journal has kept."""
        said = orjson.loads(record)
        return evolve(ToyEvent(payment=said["reference"], name=said["event"], record=record), is_redelivered=True)

    def notify(self, _session: VippsSession, payment: str) -> None:
        """Wake whoever waits."""
        self.wake(payment)

"""Webhooks as a source of the receiver: checks the signature of a delivery, and reads its event.

Vipps waits 10 seconds, and delivers again for 7 days what was not answered with a success.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar
from urllib.parse import unquote

from attrs import evolve, field, frozen

from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_seconds, check_webhook_url
from vipps_async.webhooks.notifications import OtherNotification, PaymentNotification, WebhookSession, read_notification
from vipps_async.webhooks.operations import RECEIVED, WEBHOOKS
from vipps_async.webhooks.signature import check_age, read_signed_headers, signed_target, verify

S = TypeVar("S", bound=WebhookSession)

Event = PaymentNotification | OtherNotification
EventHandler = Callable[[Event, S], Awaitable[None] | None]


def _read_secrets(secrets: object) -> Mapping[str, str] | tuple[str, ...]:
    if isinstance(secrets, Mapping):
        # Not copied: a registration that is made later counts from the moment that its secret stands here.
        values: object = secrets.values()
    else:
        values = (secrets,) if isinstance(secrets, str) else secrets
    if not isinstance(values, Iterable) or isinstance(values, bytes | bytearray):
        raise InvalidInputError("secrets", "secrets by the id of their registration, or a list of secrets", secret=True)
    read = tuple(values)
    if not all(isinstance(secret, str) and secret.strip() for secret in read):
        raise InvalidInputError("secrets", "texts that are not empty", secret=True)
    if isinstance(secrets, Mapping):
        return secrets
    if not read:
        raise InvalidInputError("secrets", "at least one secret", secret=True)
    return read


def _read_max_age(max_age: object) -> float | None:
    return None if max_age is None else check_seconds("max_age", max_age)


@frozen(kw_only=True)
class Webhooks(Generic[S]):
    """The deliveries to one registered URL. Every delivery is authenticated; nothing switches that off.

    Args:
        url: the URL that was registered, as it was registered: deliveries are signed over its path, query and host,
            whatever a proxy makes of the request.
        secrets: the secrets by the id of their registration, as `ensure` and `register` gave them; a dictionary that
            changes later is read anew for each delivery. Or a list of secrets, whose ids are not known. While a URL is
            registered anew, the old one belongs here too.
        on_event: called with each event and the session.
        path: the path that requests come to, if something before the application changes it; that of the URL unless
            given.
        max_age: refuse what was signed longer ago than so many seconds, or as far ahead; None, the default: nothing.
            Deliveries that are known already are not handled again in any case. Vipps names no span; whether it signs
            anew what it delivers again, for up to 7 days, is not published.

    Raises:
        InvalidInputError: the URL breaks a rule, or a secret is empty, or there is none in a list.
    """

    url: str = field(repr=False)
    """The URL that was registered."""
    _secrets: Mapping[str, str] | tuple[str, ...] = field(converter=_read_secrets, repr=False, alias="secrets")
    on_event: EventHandler[S]
    """Handles `PaymentNotification` and `OtherNotification`."""
    path: str | None = None
    """The path that requests come to; None: that of the URL."""
    max_age: float | None = field(default=None, converter=_read_max_age)
    """How old a signature may be, in seconds; None: as old as it is."""
    _target: tuple[str, str] = field(init=False, repr=False)
    _path: str = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        target = signed_target(check_webhook_url(self.url, loopback=True))
        object.__setattr__(self, "_target", target)
        path: object = target[0].partition("?")[0] if self.path is None else self.path
        if not isinstance(path, str) or not path.startswith("/") or "?" in path:
            raise InvalidInputError("path", "a path such as '/vipps/webhooks'", value=path)
        object.__setattr__(self, "_path", unquote(path))

    @property
    def api(self) -> str:
        """The API."""
        return WEBHOOKS.name

    @property
    def handlers(self) -> Mapping[str, Callable[..., object] | None]:
        """The handler."""
        return {RECEIVED: self.on_event}

    def match(self, path: str) -> tuple[str, str] | None:
        """Tell whether a path is that of the URL."""
        return (RECEIVED, "POST") if unquote(path.partition("?")[0]) == self._path else None

    def check_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Refuse a delivery that is not signed, or too old, before the body is read.

        Raises:
            CallbackError: it is (401).
        """
        signed = read_signed_headers(headers)
        if self.max_age is not None:
            check_age(signed.date, self.max_age)

    def read(self, _path: str, headers: Iterable[tuple[str, str]], body: bytes) -> Event:
        """Check the signature over the raw body, then read the event.

        Raises:
            CallbackError: the signature is not good (401), or the body is no JSON (400).
        """
        signed = read_signed_headers(headers)
        verify(signed, body, target=self._target, secrets=self._secrets_of(signed.webhook_id))
        return read_notification(body)

    def restore(self, _kind: str, record: bytes) -> Event:
        """Rebuild an event from its record in the journal.

        Raises:
            CallbackError: the record is damaged.
        """
        return evolve(read_notification(record), is_redelivered=True)

    def notify(self, session: WebhookSession, payment: str) -> None:
        """Wake `wait_for`."""
        session.epayment.notify(payment)

    def _secrets_of(self, webhook_id: str | None) -> Iterable[str]:
        if not isinstance(self._secrets, Mapping):
            return self._secrets
        named = self._secrets.get(webhook_id or "")
        # The header is not documented: where it names nothing that is known, any of the secrets may be the one.
        return self._secrets.values() if named is None else (named,)

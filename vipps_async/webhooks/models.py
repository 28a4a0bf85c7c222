"""Registrations of webhooks, as Vipps lists them and as it makes them. No repr shows a secret or a URL's query."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import field, frozen

from vipps_async.webhooks.events import WebhookEvent


def _without_query(url: str) -> str:
    # Some shops put a key into their URL's query.
    path, query, _ = url.partition("?")
    return repr(f"{path}?..." if query else path)


def same_url(one: str, other: str) -> bool:
    """Whether two URLs differ in nothing but how scheme and host are written."""
    return _plain(one) == _plain(other)


def _plain(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    return parts.scheme, parts.netloc.lower(), parts.path or "/", parts.query


@frozen(kw_only=True)
class Webhook:
    """A registration."""

    id: str
    """Its id, which each delivery carries in the header `Webhook-Id`."""
    url: str = field(repr=_without_query)
    """Where Vipps delivers to, as it was registered."""
    events: tuple[WebhookEvent, ...]
    """What it delivers. A name that this version does not know is kept as it came."""


@frozen(kw_only=True)
class RegisteredWebhook(Webhook):
    """A registration that was made just now: the only time that Vipps hands its secret out."""

    secret: str = field(repr=False)
    """What its deliveries are signed with. Keep it by the id, where secrets are kept: it cannot be read again."""


@frozen(kw_only=True)
class EnsuredWebhook(Webhook):
    """The one registration that a URL has after `ensure`."""

    secret: str | None = field(default=None, repr=False)
    """Its secret if it was made just now; None: it was there before, and only who registered it has its secret."""
    deleted: tuple[str, ...] = ()
    """Ids of other registrations of this URL that were deleted."""
    left_over: tuple[str, ...] = ()
    """Ids of those that should have been and could not be: the next `ensure` tries again."""

"""The rules for URLs that a merchant gives, and which of them the sandbox calls."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

#: The vendor's limit on every URL of a request, in characters.
MAX_URL = 255
#: The longest URL of a webhook; the vendor names no limit.
MAX_WEBHOOK_URL = 2_000
#: Visible characters: a URL with blanks, line breaks or other control characters is never right.
_VISIBLE = re.compile(r"[!-~\u00a1-\U0010ffff]+")
#: A host name as DNS has it, of two labels at least, the last beginning with a letter; a dot may end it.
_DOMAIN = re.compile(
    r"(?:[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?\.)+[a-z](?:[0-9a-z-]{0,61}[0-9a-z])?", re.ASCII | re.IGNORECASE
)
_LONGEST_DOMAIN = 253
#: What the path of a URL may be made of.
_PATH = re.compile(r"(?:/(?:[\w:@&?=+,.!/~*'$;()-]|%[0-9a-fA-F]{2})*)?", re.ASCII)
#: What must not be in a URL anywhere: the characters that want escaping, and percent signs that escape nothing.
_REST = re.compile(r"(?:[^\"<>\\^`{|}%]|%[0-9a-fA-F]{2})*")
_APP_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[!-~]*")
#: The ports that Vipps' own network lets callbacks out to.
PORTS = (80, 443, 8080)
#: Schemes that a browser acts upon itself: they are no merchant's app.
_NOT_AN_APP = frozenset(
    {"http", "https", "javascript", "data", "file", "blob", "about", "vbscript", "ftp", "ws", "wss"}
)
#: Names that are reserved for examples and tests (RFC 2606): nobody who writes them means to be called.
_RESERVED = re.compile(r"(.*\.)?(example\.(com|org|net)|example|test|invalid)", re.IGNORECASE)


def is_loopback_host(host: str | None) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _scheme_and_host(url: str) -> tuple[str, str | None]:
    if not _VISIBLE.fullmatch(url):
        return "", None
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.hostname if parts.port != 0 else None
    except ValueError:
        return "", None


def _is_web_url(url: str, hosts: Collection[str] = ()) -> bool:
    scheme, host = _scheme_and_host(url)
    return bool(host) and (scheme == "https" or (scheme == "http" and (is_loopback_host(host) or host in hosts)))


def _violation_of_web_url(url: str, hosts: Collection[str]) -> str | None:
    """Return what the validator of Apache Commons, which Vipps uses, has against a URL; hosts are excepted from it."""
    scheme, host = _scheme_and_host(url)
    if not host or scheme not in {"http", "https"}:
        return "must be a valid https URL"
    if host not in hosts and not _is_address(host) and not _is_domain(host):
        return (
            f"must be of a public host, which {host!r} is not by its name "
            "(on this machine use http://127.0.0.1, or name the host by --callback-hosts)"
        )
    if scheme == "http" and not (is_loopback_host(host) or host in hosts):
        return "must be a valid https URL"
    path = urlsplit(url).path
    if not _PATH.fullmatch(path) or "//" in path or ".." in path.split("/"):
        return "must have a path without //, .. and characters that want escaping"
    return None if _REST.fullmatch(url) else "must have its characters and percent signs escaped"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_domain(host: str) -> bool:
    try:
        name = host.removesuffix(".").encode("idna").decode()
    except UnicodeError:
        # An empty label, or one that is too long.
        return False
    return len(name) <= _LONGEST_DOMAIN and _DOMAIN.fullmatch(name) is not None


def _is_app_url(url: str) -> bool:
    return _APP_SCHEME.fullmatch(url) is not None and url.partition(":")[0].lower() not in _NOT_AN_APP


def violation_of_prefix(url: str, *, is_app: bool, hosts: Collection[str] = ()) -> str | None:
    """Return what is wrong with the prefix of a callback, or None. With `is_app` only its length counts.

    Http on loopback, which Vipps refuses, is good enough here: that is where a shop under development listens.

    Args:
        url: the prefix.
        is_app: whether the payment is begun by an app.
        hosts: hosts to which http is good enough, and whose names need not be public.
    """
    if not url or len(url) > MAX_URL:
        return f"must have 1 to {MAX_URL} characters"
    return None if is_app else _violation_of_web_url(url, hosts)


def violation_of_return_url(url: str, *, hosts: Collection[str] = (), longest: int = MAX_URL) -> str | None:
    """Return what is wrong with where the customer goes afterwards, or None: https, or an app's scheme."""
    if not url or len(url) > longest:
        return f"must have 1 to {longest} characters"
    violation = None if _is_app_url(url) else _violation_of_web_url(url, hosts)
    return None if violation is None else f"{violation}, or a URL of an app's own scheme"


def violation_of_fall_back(url: str, *, is_app: bool, hosts: Collection[str] = ()) -> str | None:
    """Return what is wrong with a `fallBack`, or None: https, an app's scheme, or the bare word INTENT."""
    if url == "INTENT" or (is_app and 0 < len(url) <= MAX_URL):
        return None
    return violation_of_return_url(url, hosts=hosts)


def violation_of_webhook(url: str, *, hosts: Collection[str] = ()) -> str | None:
    """Return what is wrong with the URL of a webhook, or None: public, https, on a port that Vipps calls.

    Http on loopback, and any port there, is good enough here, as for callbacks.
    """
    violation = f"must have at most {MAX_WEBHOOK_URL} characters" if len(url) > MAX_WEBHOOK_URL else None
    violation = violation or _violation_of_web_url(url, hosts)
    if violation is not None:
        return violation
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.fragment:
        return "must have neither user nor fragment"
    if parts.hostname in hosts or is_loopback_host(parts.hostname) or parts.port in {None, *PORTS}:
        return None
    return f"must have one of the ports {', '.join(map(str, PORTS))}"


def may_redirect_to(url: str, hosts: Collection[str] = ()) -> bool:
    """Whether the landing page may send a browser there."""
    return _is_web_url(url, hosts) or _is_app_url(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackHosts:
    """Which hosts the sandbox calls: whoever can initiate a payment here must not make it call just any host."""

    #: Host names and addresses, in lower case, that were allowed by name; http is good enough for them.
    named: frozenset[str] = frozenset()
    #: Whether this machine's loopback is called as well.
    loopback: bool = True

    def why_not_called(self, url: str) -> str | None:
        """Return why the sandbox does not call a URL, or None if it does."""
        if not _is_web_url(url, self.named):
            return "not called: neither https nor http on loopback"
        host = _scheme_and_host(url)[1] or ""
        if host in self.named or (self.loopback and is_loopback_host(host)):
            return None
        if _RESERVED.fullmatch(host):
            return "not called: a name reserved for examples"
        port = urlsplit(url).port
        odd = "" if port in {None, *PORTS} else f"; and Vipps calls no port but {', '.join(map(str, PORTS))}"
        return f"not called: {host} is none of the hosts that may be called (--callback-hosts){odd}"

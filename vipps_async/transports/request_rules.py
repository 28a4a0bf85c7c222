"""Checks of a request before any I/O, and the proxy that the environment names: the same for every transport."""

from __future__ import annotations

import ssl
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from vipps_async.errors import ConfigurationError, InvalidInputError


def checked_url(text: str) -> URL:
    """Read the URL of a request without changing a byte of it.

    Raises:
        InvalidInputError: it is no absolute http or https URL. It is not quoted: its path may name a person.
    """
    rule = "an absolute http or https URL"
    try:
        url = URL(text, encoded=True)
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and url.port is not None
    # yarl up to 1.25 looks for a host behind brackets that stand in a name ("http://[]@") and finds no letter there.
    except (ValueError, IndexError) as error:
        raise InvalidInputError("url", rule, secret=True) from error
    if not usable:
        raise InvalidInputError("url", rule, secret=True)
    return url


def proxy_url(proxy: object) -> URL:
    """Read the URL of a proxy.

    Raises:
        InvalidInputError: it is none. It is not quoted: it may hold a password.
    """
    rule = "the URL of an http or https proxy"
    try:
        url = URL(proxy) if isinstance(proxy, str) else URL()  # a URL without a scheme
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError as error:
        raise InvalidInputError("proxy", rule, secret=True) from error
    if not usable:
        raise InvalidInputError("proxy", rule, secret=True)
    return url


def checked_limit(limit: object) -> int:
    """Return the most connections at once.

    Raises:
        InvalidInputError: it is no whole number of at least 1.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise InvalidInputError("limit", "a whole number of at least 1", value=limit)
    return limit


def refuse_unverified(context: object) -> None:
    """Refuse TLS settings that would let anybody pretend to be Vipps, or read along.

    Raises:
        ConfigurationError: the context does not verify certificates and host names, or is False, or it would speak a
            TLS before 1.2 (RFC 8996).
    """
    unverified = context is False or (
        isinstance(context, ssl.SSLContext)
        and not (context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname)
    )
    if unverified:
        raise ConfigurationError(
            "the TLS settings do not verify certificates and host names",
            advice="add a private certificate authority to the context instead",
        )
    if isinstance(context, ssl.SSLContext) and _takes_old_versions(context):
        raise ConfigurationError(
            "the TLS settings would take a version before TLS 1.2",
            advice="set minimum_version = ssl.TLSVersion.TLSv1_2 on the context",
        )


def _takes_old_versions(context: ssl.SSLContext) -> bool:
    # MAXIMUM_SUPPORTED, which is the newest alone, is a negative number as MINIMUM_SUPPORTED is.
    newest, least = ssl.TLSVersion.MAXIMUM_SUPPORTED, context.minimum_version
    if least == newest or least >= ssl.TLSVersion.TLSv1_2 or _old_ones_are_off(context):
        return False
    # Where Python leaves it to OpenSSL, as Debian's own Python does, an untouched context names no version.
    # OpenSSL 3 speaks the old ones at security level 0 alone (its `ssl_security_default_callback`).
    untouched = least == ssl.TLSVersion.MINIMUM_SUPPORTED
    return not (untouched and ssl.OPENSSL_VERSION_INFO >= (3, 0) and context.security_level > 0)


def _old_ones_are_off(context: ssl.SSLContext) -> bool:
    # The older way of saying so, bit by bit; SSL 2 is in no OpenSSL that Python takes.
    off = ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    return context.options & off == off


class EnvironmentProxies:
    """The proxies of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read once for each host."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int | None], URL | None] = {}

    def proxy_for(self, url: URL) -> URL | None:
        """Return the proxy on the way to this URL, if there is one."""
        key = (url.scheme, url.raw_host or "", url.port)
        if key not in self._known:
            found = getproxies().get(url.scheme)
            if found and proxy_bypass(f"{url.raw_host}:{url.port}"):
                found = None
            self._known[key] = proxy_url(found) if found else None
        return self._known[key]

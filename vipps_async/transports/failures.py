"""Builds the error of a failed exchange, for every transport: exception class, operating system text, advice."""

from __future__ import annotations

import errno as errno_names
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from vipps_async.config import Timeouts
from vipps_async.errors import OutcomeUnknown, RequestNotSent


class UnusableResponse(Exception):  # noqa: N818 - the name states the fact
    """The answer is too large, or its body cannot be read; the text says which. It never leaves a transport."""


class UnsolicitedData(Exception):  # noqa: N818 - the name states the fact
    """Bytes came over a connection before the request was written to it: they answer something else."""


@frozen(kw_only=True)
class FailureContext:
    """The facts of a failed exchange."""

    #: Host and port of the server, as people write them.
    peer: str
    #: Host and port of the proxy on the way, if there is one.
    proxy: str | None
    timeouts: Timeouts
    #: Whether any byte of the request may have been handed to the connection.
    sent: bool
    #: The status that the server itself sent, if the answer got that far.
    status: int | None


def transport_error(
    message: str, context: FailureContext, *, status: int | None = None
) -> RequestNotSent | OutcomeUnknown:
    """Make the error that a transport raises: only whether the request was sent decides which.

    Args:
        message: what happened.
        context: what was known when it did.
        status: a status that the failure itself tells; that of the context goes before it.
    """
    if context.sent:
        return OutcomeUnknown(message, status=context.status or status)
    advice = connection_advice(message)
    return RequestNotSent(message, advice=advice and f"nothing was sent; {advice}")


def host_and_port(host: str | None, port: int | None) -> str:
    """Return both as people write them; an IPv6 address stands in brackets."""
    shown = f"[{host}]" if host and ":" in host else host
    return f"{shown}:{port}"


# --- the system's own words ----------------------------------------------------------------------------------------


def os_error_text(error: BaseException) -> str:
    """Return the system's text for why a connection failed; texts of libraries can quote socket addresses."""
    if isinstance(error, ssl.SSLError):
        # Only errors that come from OpenSSL itself have these attributes.
        words: str | None = getattr(error, "verify_message", None) or getattr(error, "reason", None)
        return (words or "TLS error").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return (error.strerror or "the name could not be resolved").lower()
    if isinstance(error, OSError) and (plain := plain_strerror(error)):
        return plain.lower()
    nested = error.__cause__ or error.__context__
    return os_error_text(nested) if isinstance(nested, OSError) else "the connection broke"


def plain_strerror(error: OSError) -> str | None:
    """Return the system's text for the error's number, if it has one that the system knows."""
    number = error.errno
    return os.strerror(number) if number is not None and number in errno_names.errorcode else None


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and everything that it was raised from, or while handling."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


# --- advice where trying again does not help -----------------------------------------------------------------------

#: What to do by what a transport says, the first that fits. Its words are the system's and OpenSSL's.
_ADVICE: Final = (
    (
        ("it said 407",),
        "the proxy wants a user and a password: set them in VIPPS_PROXY, as http://user:password@host:port",
    ),
    (
        ("refused a tunnel",),
        "the proxy does not let this machine through: ask whoever runs it to allow this host on port 443",
    ),
    (("the proxy",), "look at host and port of the proxy in VIPPS_PROXY, and whether it runs"),
    (
        ("has expired", "not yet valid"),
        "look at the local clock first; if it is right, whoever answers has a certificate that nobody renewed",
    ),
    (
        ("hostname mismatch", "ip address mismatch", "doesn't match"),
        "whoever answers is not this host: look at VIPPS_BASE_URL, the name server, and what stands on the way",
    ),
    (
        ("was not accepted", "self-signed", "self signed", "local issuer"),
        (
            "if a firewall of yours opens TLS on the way, let this machine trust its authority (SSL_CERT_FILE), or "
            "have it leave this host alone; if not, the machine's own list of authorities is missing or old"
        ),
    ),
    (
        ("wrong version number", "record layer failure", "http request"),
        "whoever answers does not speak TLS: look at the port in VIPPS_BASE_URL; perhaps VIPPS_PROXY is needed",
    ),
    (
        ("no tls connection", "tlsv1", "tls error"),
        "whoever answers and this machine do not agree on TLS: look at what stands on the way, and how old OpenSSL is",
    ),
)


def connection_advice(message: str) -> str | None:
    """Return what to do about a failed connection.

    Args:
        message: what the transport says about it.

    Returns:
        What to look at; None: neither TLS nor a proxy is the cause.
    """
    words = message.casefold()
    return next((advice for signs, advice in _ADVICE if any(sign in words for sign in signs)), None)

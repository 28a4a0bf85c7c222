"""The words of the operating system and of OpenSSL for a failed exchange, without what libraries add to them."""

from __future__ import annotations

import errno as errno_names
import os
import socket
import ssl
from collections.abc import Iterator

__all__ = ["chain", "host_and_port", "plain_strerror", "reason"]


def host_and_port(host: str | None, port: int | None) -> str:
    """Return both as people write them; an IPv6 address stands in brackets."""
    shown = f"[{host}]" if host and ":" in host else host
    return f"{shown}:{port}"


def reason(error: BaseException) -> str:
    """Say in the system's own words why a connection failed; the texts of libraries can quote addresses of sockets."""
    if isinstance(error, ssl.SSLError):
        # Only errors that come from OpenSSL itself have these attributes.
        words: str | None = getattr(error, "verify_message", None) or getattr(error, "reason", None)
        return (words or "TLS error").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return (error.strerror or "the name could not be resolved").lower()
    if isinstance(error, OSError) and (plain := plain_strerror(error)):
        return plain.lower()
    nested = error.__cause__ or error.__context__
    return reason(nested) if isinstance(nested, OSError) else "the connection broke"


def plain_strerror(error: OSError) -> str | None:
    """Return the system's text for the error's number, if it has one that the system knows."""
    number = error.errno
    return os.strerror(number) if number is not None and number in errno_names.errorcode else None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and everything that it was raised from, or while handling."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

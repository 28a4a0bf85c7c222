"""Certificates of an authority that exists for one test run only."""

from __future__ import annotations

import functools
import ssl

import trustme


@functools.cache
def authority() -> trustme.CA:
    """Return the authority: one for all tests, as it takes a while to make."""
    return trustme.CA()


def server_context(*names: str) -> ssl.SSLContext:
    """Make the TLS context of a server with a certificate of our own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Make the TLS context of a client that trusts our own authority."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context

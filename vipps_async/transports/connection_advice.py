"""Says what to do about a connection that failed at TLS or at a proxy: where trying again does not help."""

from __future__ import annotations

from typing import Final

__all__ = ["connection_advice"]

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

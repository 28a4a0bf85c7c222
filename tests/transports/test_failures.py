"""What to do about a connection that failed at TLS or at a proxy."""

from __future__ import annotations

import pytest

from tests.support.rows import each_row
from vipps_async import AiohttpTransport, HttpxTransport
from vipps_async.config import Timeouts
from vipps_async.errors import RequestNotSent
from vipps_async.testing.transport_conformance.raw_server import dead_port
from vipps_async.transports.failures import connection_advice
from vipps_async.transports.protocol import Request


@each_row(
    ("message", "words"),
    [
        ("the proxy refused a tunnel to h:443 (it said 407)", "wants a user and a password"),
        ("the proxy refused a tunnel to h:443 (it said 403)", "allow this host on port 443"),
        ("could not connect to the proxy p:3128 on the way to h:443: connection refused", "VIPPS_PROXY, and whether"),
        ("could not connect to h:443 by way of the proxy p:3128: connection refused", "VIPPS_PROXY, and whether"),
        ("the TLS certificate of h:443 was not accepted: certificate has expired", "the local clock first"),
        ("could not connect to h:443: certificate has expired", "the local clock first"),
        ("the TLS certificate of h:443 was not accepted: Hostname mismatch, certificate is not", "is not this host"),
        ("the TLS certificate of h:443 was not accepted: self-signed certificate in chain", "SSL_CERT_FILE"),
        ("could not connect to h:443: unable to get local issuer certificate", "SSL_CERT_FILE"),
        ("no TLS connection to h:443: wrong version number", "does not speak TLS"),
        ("no TLS connection to h:443: tlsv1 alert protocol version", "do not agree on TLS"),
        ("could not connect to h:443: tlsv1 alert protocol version", "do not agree on TLS"),
    ],
)
def test_advice_by_cause(message: str, words: str) -> None:
    """Each cause has its own advice, in the words of either transport."""
    advice = connection_advice(message)
    assert advice is not None
    assert words in advice


@pytest.mark.parametrize(
    "message",
    [
        "could not look up h:443: name or service not known",
        "no connection to h:40700 within 5 s",
        "the connection broke",
    ],
)
def test_other_failures_have_none(message: str) -> None:
    """What may pass by itself keeps the advice that it is safe to try again."""
    assert connection_advice(message) is None


@pytest.mark.parametrize("kind", [AiohttpTransport, HttpxTransport])
async def test_the_error_says_what_to_look_at(kind: type[AiohttpTransport | HttpxTransport]) -> None:
    """An error of a proxy that is not there says that nothing was sent, and where to look."""
    transport = kind(proxy=f"http://127.0.0.1:{dead_port()}")
    try:
        with pytest.raises(RequestNotSent) as caught:
            await transport.send(Request(method="GET", url="https://example.com/", headers={}, timeouts=Timeouts()))
    finally:
        await transport.aclose()
    assert caught.value.advice.startswith("nothing was sent; look at host and port of the proxy in VIPPS_PROXY")

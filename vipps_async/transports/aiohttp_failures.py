"""What aiohttp's exceptions mean: the one place that turns them into RequestNotSent or OutcomeUnknown.

Which of the two it is does not depend on the exception: aiohttp raises the same classes before and after a request was
written. Only the witness (`sent`) decides; the exception gives the words. The words are for a person at 3 a.m.: they
name the host, never a path, a header or any part of an answer.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream
from attrs import frozen
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from vipps_async.config import Timeouts
from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.transports.connection_advice import connection_advice
from vipps_async.transports.content_coding import UnreadableAnswer
from vipps_async.transports.early_answer import AnsweredTooEarly
from vipps_async.transports.plain_words import chain, host_and_port, plain_strerror, reason

__all__ = ["FAILURES", "AnsweredTooEarly", "Circumstances", "NotResent", "translated"]


class NotResent(Exception):  # noqa: N818 - the name states the fact
    """Carries an error past aiohttp's resending of idempotent methods, which looks for its own classes only."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__()
        self.error = error


#: All that aiohttp may raise because an exchange failed; anything else is a mistake in a program and passes through.
#: OSError covers time-outs and TLS errors; UnicodeError comes from host names that cannot be encoded.
FAILURES = (
    aiohttp.ClientError,
    HttpProcessingError,
    EofStream,
    OSError,
    UnicodeError,
    UnreadableAnswer,
    AnsweredTooEarly,
    NotResent,
)


@frozen(kw_only=True)
class Circumstances:
    """What was known when an exchange failed."""

    #: Where the request was to go.
    url: URL
    #: The proxy on the way, if this transport was given one.
    proxy: URL | None
    timeouts: Timeouts
    #: Whether any byte of the request had been handed to the connection.
    sent: bool
    #: The status that the server itself sent, if the answer got that far.
    status: int | None

    @property
    def peer(self) -> str:
        """Host and port, as people write them."""
        return host_and_port(self.url.host, self.url.port)


def translated(error: Exception, circumstances: Circumstances) -> RequestNotSent | OutcomeUnknown:
    """Say what a failure means for the request. The error itself is stripped of all it quotes, as it becomes a cause.

    Args:
        error: one of FAILURES; of a `NotResent`, what it carries.
        circumstances: what was known when it was raised.
    """
    message = _words(error, circumstances)
    status = circumstances.status or _status_of_broken_headers(error)
    _strip(error, circumstances)
    if circumstances.sent:
        return OutcomeUnknown(message, status=status)
    advice = connection_advice(message)
    return RequestNotSent(message, advice=advice and f"nothing was sent; {advice}")


# --- words ---------------------------------------------------------------------------------------------------------


def _connector_words(error: Exception, at: Circumstances) -> str:
    return f"could not connect to {at.peer}: {_reason(error)}"


def _proxy_words(error: Exception, at: Circumstances) -> str:
    proxy = f" {host_and_port(at.proxy.host, at.proxy.port)}" if at.proxy else ""
    return f"could not connect to the proxy{proxy} on the way to {at.peer}: {_reason(error)}"


def _tunnel_words(error: Exception, at: Circumstances) -> str:
    # The status is the proxy's own, about the tunnel: it must not look like an answer.
    status = f" (it said {error.status})" if isinstance(error, aiohttp.ClientHttpProxyError) else ""
    return f"the proxy refused a tunnel to {at.peer}{status}"


def _disconnect_words(_error: Exception, at: Circumstances) -> str:
    if at.sent:
        return f"{at.peer} closed the connection before it had answered"
    return f"{at.peer}, or a proxy before it, closed the connection before the request was written"


def _broken_words(error: Exception, at: Circumstances) -> str:
    return f"the connection to {at.peer} broke: {_reason(error)}"


#: Most specific first: the first class that fits gives the words.
_WORDS: tuple[tuple[type[Exception], Callable[[Exception, Circumstances], str]], ...] = (
    (UnreadableAnswer, lambda e, at: f"the answer of {at.peer} cannot be used: {e}"),
    (AnsweredTooEarly, lambda _, at: f"{at.peer} spoke before the request was written; the connection was dropped"),
    (aiohttp.ClientHttpProxyError, _tunnel_words),
    (aiohttp.ClientConnectorDNSError, lambda e, at: f"could not look up {at.peer}: {_reason(e)}"),
    (aiohttp.ClientProxyConnectionError, _proxy_words),
    (
        aiohttp.ClientConnectorCertificateError,
        lambda e, at: f"the TLS certificate of {at.peer} was not accepted: {_reason(e)}",
    ),
    (aiohttp.ClientConnectorSSLError, lambda e, at: f"no TLS connection to {at.peer}: {_reason(e)}"),
    (aiohttp.ServerFingerprintMismatch, lambda _, at: f"the TLS certificate of {at.peer} is not the pinned one"),
    (aiohttp.ClientConnectorError, _connector_words),
    (
        aiohttp.ConnectionTimeoutError,
        lambda _, at: f"no connection to {at.peer} within {at.timeouts.connect:g} s (waiting for a free one included)",
    ),
    (aiohttp.SocketTimeoutError, lambda _, at: f"{at.peer} was silent for {at.timeouts.read:g} s"),
    (TimeoutError, lambda _, at: f"no whole answer of {at.peer} within {at.timeouts.total:g} s"),
    (aiohttp.ServerDisconnectedError, _disconnect_words),
    (EofStream, _disconnect_words),
    (aiohttp.ClientPayloadError, lambda _, at: f"the answer of {at.peer} broke off or is damaged"),
    (aiohttp.ClientResponseError, lambda _, at: f"what {at.peer} answered is not HTTP"),
    (HttpProcessingError, lambda _, at: f"what {at.peer} answered is not HTTP"),
    (aiohttp.InvalidURL, lambda _, at: f"{at.peer} is not an address that can be used"),
    (aiohttp.NonHttpUrlClientError, lambda _, at: f"{at.peer} is not reached by http or https"),
    (UnicodeError, lambda _, at: f"{at.peer} is not a host name that can be encoded"),
    (OSError, _broken_words),
    (aiohttp.ClientConnectionError, lambda _, at: f"the connection to {at.peer} was lost"),
    (aiohttp.ClientError, lambda e, at: f"the exchange with {at.peer} failed ({type(e).__name__})"),
)


def _words(error: Exception, at: Circumstances) -> str:
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words(error, at)
    raise AssertionError("unreachable: _WORDS covers FAILURES, and a test holds it to that")


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return reason(error.certificate_error)  # aiohttp 3.12 leaves its os_error unset
    if isinstance(error, aiohttp.ClientConnectorError):
        return reason(error.os_error)
    return reason(error)


# --- facts and secrets in foreign exceptions -----------------------------------------------------------------------


def _status_of_broken_headers(error: Exception) -> int | None:
    # If the headers of an answer break off, aiohttp hands out what it had parsed of them. A status line that was cut
    # itself gives fewer than three digits. ClientResponseError.status is never taken: aiohttp makes it up.
    code = getattr(error.message, "code", None) if isinstance(error, aiohttp.ServerDisconnectedError) else None
    return code if isinstance(code, int) and 200 <= code <= 599 else None


def _strip(error: Exception, at: Circumstances) -> None:
    # Our error is raised from this one, so tracebacks, loggers and error reporters will show it: aiohttp's carry the
    # request's headers (secrets), its URL (order ids), the proxy's password, and pieces of the answer.
    for link in chain(error):
        if not type(link).__module__.startswith("aiohttp."):
            continue
        link.args = ()
        if isinstance(link, aiohttp.ClientResponseError):
            origin = at.url.origin()
            link.request_info = aiohttp.RequestInfo(origin, "", CIMultiDictProxy(CIMultiDict()), origin)
            link.history, link.headers, link.message = (), None, ""
        elif isinstance(link, HttpProcessingError):
            link.headers, link.message = None, ""
        elif isinstance(link, aiohttp.ServerDisconnectedError):
            link.message = ""
        elif isinstance(link, OSError) and (plain := plain_strerror(link)):
            link.strerror = plain

"""Maps aiohttp's exceptions to RequestNotSent or OutcomeUnknown.

Which of the two it is does not depend on the exception: aiohttp raises the same classes before and after a request was
written. Only the witness (`sent`) decides; the exception gives the message, which names the host, never a path, a
header or any part of a response.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.transports.failures import (
    FailureContext,
    UnsolicitedData,
    UnusableResponse,
    error_chain,
    os_error_text,
    plain_strerror,
    transport_error,
)


class NotResent(Exception):  # noqa: N818 - the name states the fact
    """Carries an error past aiohttp's resending of idempotent methods, which looks for its own classes only."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__()
        self.error = error


#: All that aiohttp may raise because an exchange failed; anything else is a mistake in a program and passes through.
#: OSError covers time-outs and TLS errors; UnicodeError comes from host names that cannot be encoded.
TRANSPORT_EXCEPTIONS: tuple[type[Exception], ...] = (
    aiohttp.ClientError,
    HttpProcessingError,
    EofStream,
    OSError,
    UnicodeError,
    UnusableResponse,
    UnsolicitedData,
    NotResent,
)

#: What proves by its class alone that nothing was sent, of a request that aiohttp neither resends nor redirects.
NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


def map_exception(error: Exception, context: FailureContext) -> RequestNotSent | OutcomeUnknown:
    """Map an exception to the transport's error. All that the exception quotes is removed, as it becomes the cause.

    Args:
        error: one of TRANSPORT_EXCEPTIONS; of a `NotResent`, what it carries.
        context: what was known when it was raised.
    """
    message = _message(error, context)
    status = _status_of_broken_headers(error)
    _strip(error)
    return transport_error(message, context, status=status)


# --- messages ---------------------------------------------------------------------------------------------------------


def _connector_message(error: Exception, at: FailureContext) -> str:
    return f"could not connect to {at.peer}: {_reason(error)}"


def _proxy_message(error: Exception, at: FailureContext) -> str:
    proxy = f" {at.proxy}" if at.proxy else ""
    return f"could not connect to the proxy{proxy} on the way to {at.peer}: {_reason(error)}"


def _tunnel_message(error: Exception, at: FailureContext) -> str:
    # The status is the proxy's own, about the tunnel: it must not look like an answer.
    status = f" (it said {error.status})" if isinstance(error, aiohttp.ClientHttpProxyError) else ""
    return f"the proxy refused a tunnel to {at.peer}{status}"


def _disconnect_message(_error: Exception, at: FailureContext) -> str:
    if at.sent:
        return f"{at.peer} closed the connection before it had answered"
    return f"{at.peer}, or a proxy before it, closed the connection before the request was written"


def _broken_message(error: Exception, at: FailureContext) -> str:
    return f"the connection to {at.peer} broke: {_reason(error)}"


#: Most specific first: the first class that fits gives the message.
_MESSAGES: tuple[tuple[type[Exception], Callable[[Exception, FailureContext], str]], ...] = (
    (UnusableResponse, lambda e, at: f"the answer of {at.peer} cannot be used: {e}"),
    (UnsolicitedData, lambda _, at: f"{at.peer} spoke before the request was written; the connection was dropped"),
    (aiohttp.ClientHttpProxyError, _tunnel_message),
    (aiohttp.ClientConnectorDNSError, lambda e, at: f"could not look up {at.peer}: {_reason(e)}"),
    (aiohttp.ClientProxyConnectionError, _proxy_message),
    (
        aiohttp.ClientConnectorCertificateError,
        lambda e, at: f"the TLS certificate of {at.peer} was not accepted: {_reason(e)}",
    ),
    (aiohttp.ClientConnectorSSLError, lambda e, at: f"no TLS connection to {at.peer}: {_reason(e)}"),
    (aiohttp.ServerFingerprintMismatch, lambda _, at: f"the TLS certificate of {at.peer} is not the pinned one"),
    (aiohttp.ClientConnectorError, _connector_message),
    (
        aiohttp.ConnectionTimeoutError,
        lambda _, at: f"no connection to {at.peer} within {at.timeouts.connect:g} s (waiting for a free one included)",
    ),
    (aiohttp.SocketTimeoutError, lambda _, at: f"{at.peer} was silent for {at.timeouts.read:g} s"),
    (TimeoutError, lambda _, at: f"no whole answer of {at.peer} within {at.timeouts.total:g} s"),
    (aiohttp.ServerDisconnectedError, _disconnect_message),
    (EofStream, _disconnect_message),
    (aiohttp.ClientPayloadError, lambda _, at: f"the answer of {at.peer} broke off or is damaged"),
    (aiohttp.ClientResponseError, lambda _, at: f"what {at.peer} answered is not HTTP"),
    (HttpProcessingError, lambda _, at: f"what {at.peer} answered is not HTTP"),
    (aiohttp.InvalidURL, lambda _, at: f"{at.peer} is not an address that can be used"),
    (aiohttp.NonHttpUrlClientError, lambda _, at: f"{at.peer} is not reached by http or https"),
    (UnicodeError, lambda _, at: f"{at.peer} is not a host name that can be encoded"),
    (OSError, _broken_message),
    (aiohttp.ClientConnectionError, lambda _, at: f"the connection to {at.peer} was lost"),
    (aiohttp.ClientError, lambda e, at: f"the exchange with {at.peer} failed ({type(e).__name__})"),
)


def _message(error: Exception, at: FailureContext) -> str:
    for kind, message in _MESSAGES:
        if isinstance(error, kind):
            return message(error, at)
    raise AssertionError("unreachable: _MESSAGES covers FAILURES, and a test holds it to that")


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return os_error_text(error.certificate_error)  # aiohttp 3.12 leaves its os_error unset
    return os_error_text(error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error)


# --- facts and secrets in foreign exceptions -----------------------------------------------------------------------


def _status_of_broken_headers(error: Exception) -> int | None:
    # If the headers of an answer break off, aiohttp hands out what it had parsed of them. A status line that was cut
    # itself gives fewer than three digits. ClientResponseError.status is never taken: aiohttp makes it up.
    code = getattr(error.message, "code", None) if isinstance(error, aiohttp.ServerDisconnectedError) else None
    return code if isinstance(code, int) and 200 <= code <= 599 else None


def _strip(error: Exception) -> None:
    # Our error is raised from this one, so tracebacks, loggers and error reporters will show it: aiohttp's carry the
    # request's headers (secrets), its URL (order ids), the proxy's password, and pieces of the answer.
    for link in error_chain(error):
        if not type(link).__module__.startswith("aiohttp."):
            continue
        link.args = ()
        if isinstance(link, aiohttp.ClientResponseError):
            link.request_info = aiohttp.RequestInfo(URL(), "", CIMultiDictProxy(CIMultiDict()), URL())
            link.history, link.headers, link.message = (), None, ""
        elif isinstance(link, HttpProcessingError):
            link.headers, link.message = None, ""
        elif isinstance(link, aiohttp.ServerDisconnectedError):
            link.message = ""
        elif isinstance(link, OSError) and (plain := plain_strerror(link)):
            link.strerror = plain

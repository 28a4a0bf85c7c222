"""Maps httpx's exceptions to RequestNotSent or OutcomeUnknown.

Only the witness (`sent`) decides which of the two it is; the exception gives the words. They name the host, never a
path, a header or any part of an answer.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable

import anyio
import h11
import httpcore
import httpx

from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.transports.failures import (
    FailureContext,
    UnusableResponse,
    error_chain,
    os_error_text,
    plain_strerror,
    transport_error,
)


class NotWritten(Exception):  # noqa: N818 - the name states the fact
    """The witness did not let a request be written: it was written before, or given up."""


#: All that httpx may raise because an exchange failed, and what its foundations raise past it; anything else is a
#: mistake in a program and passes through. OSError covers time-outs and TLS errors: a client certificate that the
#: server refuses comes as a bare ssl.SSLError.
TRANSPORT_EXCEPTIONS = (
    httpx.HTTPError,
    httpx.StreamError,
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    h11.ProtocolError,
    anyio.BrokenResourceError,
    anyio.BusyResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    OSError,
    UnicodeError,
    UnusableResponse,
    NotWritten,
)

#: Whose exceptions quote what must not be shown: pieces of an answer, headers that were refused.
_QUOTING = ("httpx", "httpcore", "h11", "anyio")


def map_exception(error: Exception, context: FailureContext) -> RequestNotSent | OutcomeUnknown:
    """Say what a failure means for the request. The error itself is stripped of all it quotes, as it becomes a cause.

    Args:
        error: one of TRANSPORT_EXCEPTIONS.
        context: what was known when it was raised.
    """
    message = _message(error, context)
    for link in error_chain(error):
        if type(link).__module__.partition(".")[0] in _QUOTING:
            link.args = ()
        elif isinstance(link, OSError) and (plain := plain_strerror(link)):
            link.strerror = plain
    return transport_error(message, context)


def _connection_message(error: Exception, at: FailureContext) -> str:
    way = "" if at.proxy is None else f" by way of the proxy {at.proxy}"
    return f"could not connect to {at.peer}{way}: {_reason(error)}"


def _tunnel_message(error: Exception, at: FailureContext) -> str:
    # The status is the proxy's own, about the tunnel: it must not look like an answer. The rest is not ours to say.
    status = re.match(r"[1-5][0-9]{2}(?= |$)", str(error))
    return f"the proxy refused a tunnel to {at.peer}" + (f" (it said {status[0]})" if status else "")


def _no_connection_message(_error: Exception, at: FailureContext) -> str:
    if at.timeouts.total <= at.timeouts.connect:
        return f"no whole answer of {at.peer} within {at.timeouts.total:g} s"
    return f"no connection to {at.peer} within {at.timeouts.connect:g} s (waiting for a free one included)"


def _broken_answer_message(_error: Exception, at: FailureContext) -> str:
    # Garbage, an answer that breaks off, and no answer at all: httpx tells them apart by their texts only.
    if at.status is not None:
        return f"the answer of {at.peer} broke off or is damaged"
    return f"{at.peer} closed the connection before it had answered, or what it answered is not HTTP"


_Messages = tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Exception, FailureContext], str]], ...]

#: Most specific first: the first class of the error, or of the system's own error behind it, gives the message.
_MESSAGES_BEFORE: _Messages = (
    (httpx.ProxyError, _tunnel_message),
    ((TimeoutError, httpx.TimeoutException), _no_connection_message),
    (
        ssl.SSLCertVerificationError,
        lambda e, at: f"the TLS certificate of {at.peer} was not accepted: {_reason(e)}",
    ),
    (ssl.SSLError, lambda e, at: f"no TLS connection to {at.peer}: {_reason(e)}"),
    (UnicodeError, lambda _, at: f"{at.peer} is not a host name that can be encoded"),
    (Exception, _connection_message),
)
_MESSAGES_AFTER: _Messages = (
    (UnusableResponse, lambda e, at: f"the answer of {at.peer} cannot be used: {e}"),
    (NotWritten, lambda _, at: f"the request to {at.peer} was not written a second time"),
    (httpx.ReadTimeout, lambda _, at: f"{at.peer} was silent for {at.timeouts.read:g} s"),
    (
        (TimeoutError, httpx.TimeoutException),
        lambda _, at: f"no whole answer of {at.peer} within {at.timeouts.total:g} s",
    ),
    (OSError, lambda e, at: f"the connection to {at.peer} broke: {_reason(e)}"),
    ((httpx.RemoteProtocolError, h11.RemoteProtocolError), _broken_answer_message),
    (Exception, lambda e, at: f"the exchange with {at.peer} failed ({type(e).__name__})"),
)


def _message(error: Exception, at: FailureContext) -> str:
    system = _system_error(error)
    for kind, message in _MESSAGES_AFTER if at.sent else _MESSAGES_BEFORE:
        if isinstance(error, kind):
            return message(error, at)
        if isinstance(system, kind):
            return message(system, at)
    raise AssertionError("unreachable: both tables end with Exception")


def _reason(error: Exception) -> str:
    system = _system_error(error)
    return "the connection broke" if system is None else os_error_text(system)


def _system_error(error: BaseException) -> OSError | None:
    # The first one with words of its own: those of httpx and anyio only wrap it.
    found: OSError | None = None
    for link in error_chain(error):
        if isinstance(link, OSError):
            found = link
            if isinstance(link, ssl.SSLError) or link.errno is not None:
                break
    return found

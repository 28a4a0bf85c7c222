"""What the exceptions of httpx mean: the one place that turns them into RequestNotSent or OutcomeUnknown.

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
from attrs import frozen

from vipps_async.config import Timeouts
from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.transports.connection_advice import connection_advice
from vipps_async.transports.content_coding import UnreadableAnswer
from vipps_async.transports.early_answer import AnsweredTooEarly
from vipps_async.transports.plain_words import chain, plain_strerror, reason

__all__ = ["FAILURES", "Circumstances", "NotWritten", "translated"]


class NotWritten(Exception):  # noqa: N818 - the name states the fact
    """The witness did not let a request be written: it was written before, or given up."""


#: All that httpx may raise because an exchange failed, and what its foundations raise past it; anything else is a
#: mistake in a program and passes through. OSError covers time-outs and TLS errors: a client certificate that the
#: server refuses comes as a bare ssl.SSLError.
FAILURES = (
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
    UnreadableAnswer,
    AnsweredTooEarly,
    NotWritten,
)

#: Whose exceptions quote what must not be shown: pieces of an answer, headers that were refused.
_QUOTING = ("httpx", "httpcore", "h11", "anyio")


@frozen(kw_only=True)
class Circumstances:
    """What was known when an exchange failed."""

    #: Host and port of the server, as people write them.
    peer: str
    #: Host and port of the proxy on the way, once it was tried.
    proxy: str | None
    timeouts: Timeouts
    #: Whether any byte of the request may have been handed to the connection.
    sent: bool
    #: The status that the server itself sent, if the answer got that far.
    status: int | None


def translated(error: Exception, circumstances: Circumstances) -> RequestNotSent | OutcomeUnknown:
    """Say what a failure means for the request. The error itself is stripped of all it quotes, as it becomes a cause.

    Args:
        error: one of FAILURES.
        circumstances: what was known when it was raised.
    """
    message = _words(error, circumstances)
    for link in chain(error):
        if type(link).__module__.partition(".")[0] in _QUOTING:
            link.args = ()
        elif isinstance(link, OSError) and (plain := plain_strerror(link)):
            link.strerror = plain
    if circumstances.sent:
        return OutcomeUnknown(message, status=circumstances.status)
    advice = connection_advice(message)
    return RequestNotSent(message, advice=advice and f"nothing was sent; {advice}")


def _connection_words(error: Exception, at: Circumstances) -> str:
    way = "" if at.proxy is None else f" by way of the proxy {at.proxy}"
    return f"could not connect to {at.peer}{way}: {_reason(error)}"


def _tunnel_words(error: Exception, at: Circumstances) -> str:
    # The status is the proxy's own, about the tunnel: it must not look like an answer. The rest is not ours to say.
    status = re.match(r"[1-5][0-9]{2}(?= |$)", str(error))
    return f"the proxy refused a tunnel to {at.peer}" + (f" (it said {status[0]})" if status else "")


def _no_connection_words(_error: Exception, at: Circumstances) -> str:
    if at.timeouts.total <= at.timeouts.connect:
        return f"no whole answer of {at.peer} within {at.timeouts.total:g} s"
    return f"no connection to {at.peer} within {at.timeouts.connect:g} s (waiting for a free one included)"


def _broken_answer_words(_error: Exception, at: Circumstances) -> str:
    # Garbage, an answer that breaks off, and no answer at all: httpx tells them apart by their texts only.
    if at.status is not None:
        return f"the answer of {at.peer} broke off or is damaged"
    return f"{at.peer} closed the connection before it had answered, or what it answered is not HTTP"


_Words = tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Exception, Circumstances], str]], ...]

#: Most specific first. The first class that the error, or the system's own error behind it, belongs to gives the words.
_WORDS_BEFORE: _Words = (
    (AnsweredTooEarly, lambda _, at: f"{at.peer} spoke before the request was written; the connection was dropped"),
    (httpx.ProxyError, _tunnel_words),
    ((TimeoutError, httpx.TimeoutException), _no_connection_words),
    (
        ssl.SSLCertVerificationError,
        lambda e, at: f"the TLS certificate of {at.peer} was not accepted: {_reason(e)}",
    ),
    (ssl.SSLError, lambda e, at: f"no TLS connection to {at.peer}: {_reason(e)}"),
    (UnicodeError, lambda _, at: f"{at.peer} is not a host name that can be encoded"),
    (Exception, _connection_words),
)
_WORDS_AFTER: _Words = (
    (UnreadableAnswer, lambda e, at: f"the answer of {at.peer} cannot be used: {e}"),
    (NotWritten, lambda _, at: f"the request to {at.peer} was not written a second time"),
    (httpx.ReadTimeout, lambda _, at: f"{at.peer} was silent for {at.timeouts.read:g} s"),
    (
        (TimeoutError, httpx.TimeoutException),
        lambda _, at: f"no whole answer of {at.peer} within {at.timeouts.total:g} s",
    ),
    (OSError, lambda e, at: f"the connection to {at.peer} broke: {_reason(e)}"),
    ((httpx.RemoteProtocolError, h11.RemoteProtocolError), _broken_answer_words),
    (Exception, lambda e, at: f"the exchange with {at.peer} failed ({type(e).__name__})"),
)


def _words(error: Exception, at: Circumstances) -> str:
    system = _system_error(error)
    for kind, words in _WORDS_AFTER if at.sent else _WORDS_BEFORE:
        if isinstance(error, kind):
            return words(error, at)
        if isinstance(system, kind):
            return words(system, at)
    raise AssertionError("unreachable: both tables end with Exception")


def _reason(error: Exception) -> str:
    system = _system_error(error)
    return "the connection broke" if system is None else reason(system)


def _system_error(error: BaseException) -> OSError | None:
    # The first one with words of its own: those of httpx and anyio only wrap it.
    found: OSError | None = None
    for link in chain(error):
        if isinstance(link, OSError):
            found = link
            if isinstance(link, ssl.SSLError) or link.errno is not None:
                break
    return found

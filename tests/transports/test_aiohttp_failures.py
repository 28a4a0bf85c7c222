"""What the aiohttp transport says when a connection fails, against sockets that fail that way."""

from __future__ import annotations

import contextlib
import inspect
import ssl
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import client_exceptions, http_exceptions, streams
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.support.rows import each_row
from vipps_async import AiohttpTransport
from vipps_async.config import Timeouts
from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.testing.transport_conformance import MakeTransport, TransportConformance
from vipps_async.transports.aiohttp.failures import TRANSPORT_EXCEPTIONS, map_exception
from vipps_async.transports.failures import FailureContext, UnsolicitedData, UnusableResponse, host_and_port


class _OverAiohttp(TransportConformance):
    words_are_checked = True


class TestOwnSession(_OverAiohttp):
    """The suite over a session that the transport opened."""

    @pytest.fixture
    def make_transport(self, own_session: Callable[..., AiohttpTransport]) -> MakeTransport:
        """Make transports with a session of their own."""
        return own_session


@pytest.mark.heavy
class TestAdoptedSession(_OverAiohttp):
    """The suite over a session of the caller, with much set in it that must not matter."""

    @pytest_asyncio.fixture
    async def make_transport(self) -> AsyncIterator[MakeTransport]:
        """Make transports that adopt a session."""
        sessions: list[aiohttp.ClientSession] = []

        def make(
            *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, limit: int | None = None
        ) -> AiohttpTransport:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=limit or 100),
                raise_for_status=True,
                timeout=aiohttp.ClientTimeout(total=0.01),
                headers={"Accept-Encoding": "gzip"},
                middlewares=(_resend,),
                read_bufsize=2**30,
            )
            sessions.append(session)
            return AiohttpTransport(session, ssl_context=ssl_context, proxy=proxy)

        yield make
        for session in sessions:
            assert not session.closed
            await session.close()


async def _resend(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientError:
        return await handler(request)


# --- every exception of aiohttp ------------------------------------------------------------------------------------

CANARY = "canary-5e1d"

#: Of WebSockets, and warnings about multipart bodies: none of them comes from an exchange of ours.
NEVER_RAISED = {"BadContentDispositionHeader", "BadContentDispositionParam", "WSMessageTypeError", "WebSocketError"}


def _exceptions_of(*modules: object) -> list[type[Exception]]:
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__.startswith("aiohttp.")
    }
    return sorted(found, key=lambda kind: kind.__name__)


OF_AIOHTTP = _exceptions_of(client_exceptions, http_exceptions, streams, aiohttp)
RAISED = [kind for kind in OF_AIOHTTP if kind.__name__ not in NEVER_RAISED]
#: Of a URL that cannot be used: refused before aiohttp sees it, and it has no public way to take it out.
QUOTES_ITS_URL = {kind for kind in RAISED if issubclass(kind, aiohttp.InvalidURL)}
OF_PYTHON: list[type[Exception]] = [TimeoutError, OSError, ConnectionResetError, ssl.SSLError, UnicodeError]


def _instance(kind: type[Exception]) -> Exception:
    # By-passing the constructors, which differ; what they would set is what must not be quoted.
    error = kind.__new__(kind)
    error.args = (CANARY,)
    secrets = CIMultiDict({"Authorization": CANARY})
    url = URL(f"https://127.0.0.1/{CANARY}")
    for name, value in {
        "request_info": aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(secrets), url),
        "history": (),
        "status": 400,
        "message": CANARY,
        "headers": secrets,
        "_conn_key": aiohttp.client_reqrep.ConnectionKey("127.0.0.1", 443, True, True, url, None, None),  # noqa: FBT003
        "_os_error": ConnectionRefusedError(111, "refused"),
        "_certificate_error": ssl.SSLCertVerificationError(1, "refused"),
        "_path": "/socket",
        "expected": b"",
        "got": b"",
        "host": "127.0.0.1",
        "port": 443,
        "_url": url,
        "_description": CANARY,
    }.items():
        with contextlib.suppress(AttributeError):  # a property without a setter: made of the others
            setattr(error, name, value)
    return error


def _at(*, sent: bool, status: int | None = None) -> FailureContext:
    return FailureContext(peer="api.example:8443", proxy=None, timeouts=Timeouts(), sent=sent, status=status)


def test_no_exception_of_aiohttp_slips_by() -> None:
    """Each exception that aiohttp defines is translated, or is known never to come."""
    assert {kind.__name__ for kind in OF_AIOHTTP if not issubclass(kind, TRANSPORT_EXCEPTIONS)} == NEVER_RAISED


@each_row("kind", [*RAISED, *OF_PYTHON], ids=lambda kind: kind.__name__)
def test_the_witness_decides_and_never_the_class(kind: type[Exception]) -> None:
    """Any exception means "not sent" if nothing was written, and "unknown" if something was."""
    assert type(map_exception(_instance(kind), _at(sent=False))) is RequestNotSent
    assert type(map_exception(_instance(kind), _at(sent=True))) is OutcomeUnknown


@each_row("kind", RAISED, ids=lambda kind: kind.__name__)
def test_nothing_that_aiohttp_quotes_is_passed_on(kind: type[Exception]) -> None:
    """Neither our error nor the exception that becomes its cause shows a header, a path or a piece of an answer."""
    error = _instance(kind)
    message = map_exception(error, _at(sent=True)).message
    shown = message if kind in QUOTES_ITS_URL else f"{message} {error} {error!r} {error.args!r}"
    assert CANARY not in shown
    assert "api.example:8443" in message


@pytest.mark.parametrize("kind", [k for k in RAISED if issubclass(k, aiohttp.ClientResponseError)])
def test_a_status_that_aiohttp_made_up_is_not_kept(kind: type[Exception]) -> None:
    """The status of a ClientResponseError is aiohttp's own invention or a proxy's: it never looks like an answer."""
    error = map_exception(_instance(kind), _at(sent=True))
    assert isinstance(error, OutcomeUnknown)
    assert error.status is None


@each_row(
    ("error", "message"),
    [
        (UnusableResponse("it is larger than 7 bytes"), "the answer of api.example:8443 cannot be used: it is larger than 7 bytes"),  # noqa: E501 - a row
        (UnsolicitedData(), "api.example:8443 spoke before the request was written; the connection was dropped"),
        (TimeoutError(), "no whole answer of api.example:8443 within 30 s"),
        (aiohttp.SocketTimeoutError(), "api.example:8443 was silent for 15 s"),
        (aiohttp.ConnectionTimeoutError(), "no connection to api.example:8443 within 5 s (waiting for a free one included)"),  # noqa: E501 - a row
        (ConnectionResetError(104, "x"), "the connection to api.example:8443 broke: connection reset by peer"),
        (aiohttp.ClientOSError("x"), "the connection to api.example:8443 broke: the connection broke"),
        (ssl.SSLError(1, "x"), "the connection to api.example:8443 broke: tls error"),
        (UnicodeError("x"), "api.example:8443 is not a host name that can be encoded"),
    ],
)  # fmt: skip
def test_the_message_is_for_a_person(error: Exception, message: str) -> None:
    """The message says in plain words what happened, and with whom."""
    assert map_exception(error, _at(sent=True)).message == message


def test_an_ipv6_address_is_written_in_brackets() -> None:
    """Host and port stay apart in an IPv6 address."""
    assert host_and_port("::1", 80) == "[::1]:80"


def test_the_words_of_a_nested_system_error_are_found() -> None:
    """An error without words of its own takes those of its cause."""
    error = aiohttp.ClientOSError()
    error.__cause__ = BrokenPipeError(32, "x")
    assert map_exception(error, _at(sent=True)).message.endswith("broke: broken pipe")

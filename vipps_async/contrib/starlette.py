"""Vipps in Starlette and FastAPI: a session for the time of the application, and the paths that Vipps calls.

::

    reception = Reception(AUTH_TOKEN, on_payment=on_payment)
    app = FastAPI(lifespan=vipps_lifespan(VippsSession.from_env, reception))
    app.mount("/vipps", callback_app(reception))

    @app.post("/buy")
    async def buy(vipps: Annotated[VippsSession, Depends(get_vipps)]) -> ...:

Needs the extra `starlette`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vipps_async.contrib.reception import Reception
from vipps_async.errors import ConfigurationError
from vipps_async.session import VippsSession

__all__ = ["callback_app", "get_vipps", "vipps_lifespan"]

#: Where the session stands in the state of the lifespan, and so in that of each request.
_STATE: Final = "vipps_session"


def vipps_lifespan(
    open_session: Callable[[], VippsSession], reception: Reception | None = None
) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[dict[str, Any]]]:
    """Make a lifespan that opens a session when the application starts and closes it when it ends.

    If you have a lifespan of your own, enter this one within it, and yield its state along with yours::

        async with vipps_lifespan(VippsSession.from_env, reception)(app) as state:
            yield {**state, "mine": 1}

    Args:
        open_session: makes the session, such as `VippsSession.from_env`.
        reception: takes callbacks in for the same time, and has its handlers drained before the session is closed.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with open_session() as session, contextlib.AsyncExitStack() as stack:
            if reception is not None:
                await stack.enter_async_context(reception.serving(session))
            yield {_STATE: session}

    return lifespan


def get_vipps(connection: HTTPConnection) -> VippsSession:
    """Return the session of the application: a dependency for FastAPI, a plain function for Starlette.

    Args:
        connection: the request or web socket.

    Raises:
        ConfigurationError: the application runs without `vipps_lifespan`.
    """
    session = connection.scope.get("state", {}).get(_STATE)
    if not isinstance(session, VippsSession):
        raise ConfigurationError(
            "the application has no Vipps session", advice="give it lifespan=vipps_lifespan(...), and serve it with it"
        )
    return session


def callback_app(reception: Reception) -> ASGIApp:
    """Return an application that answers what Vipps calls; mount it where your prefixes point.

    With ``app.mount("/vipps", callback_app(reception))`` the prefix for callbacks, shipping details and consent removal
    alike is ``https://your.host/vipps``. Other paths below it are answered 404.

    Args:
        reception: takes in what Vipps calls; it has to be `serving`, as `vipps_lifespan` sees to.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)

        async def read_body(most: int) -> bytes:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    break
            return bytes(body)

        try:
            answered = await reception.receive(
                request.method, _raw_path(scope), [(name, value) for name, value in request.headers.items()], read_body
            )
        except ClientDisconnect:
            return
        response = Response(answered.body, status_code=answered.status, headers=dict(answered.headers))
        await response(scope, receive, send)

    return answer


def _raw_path(scope: Scope) -> str:
    # Servers need not give it; without it a user id with an encoded slash comes decoded, and is read all the same.
    raw = scope.get("raw_path")
    return raw.decode("latin-1") if isinstance(raw, bytes) else quote(scope["path"])

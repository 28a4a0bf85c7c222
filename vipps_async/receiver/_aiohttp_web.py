"""Vipps in aiohttp.web: a session for the lifetime of the application, and the routes that Vipps calls.

::

    receiver = Receiver(EcomCallbacks(AUTH_TOKEN, on_payment=on_payment))
    app = web.Application()
    app.cleanup_ctx.append(aiohttp_context(VippsSession.from_env, receiver))
    app.add_routes(aiohttp_routes(receiver, prefix="/vipps"))

    async def buy(request: web.Request) -> web.Response:
        vipps = aiohttp_session(request)
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import ClientError, hdrs, web

from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.receiver._receiver import Receiver
from vipps_async.session import VippsSession

#: Where the session stands in the application.
VIPPS_SESSION: Final[web.AppKey[VippsSession]] = web.AppKey("vipps_session", VippsSession)

_PREFIX = re.compile(r"(?:/[^/{}]+)+")


def aiohttp_context(
    open_session: Callable[[], VippsSession], receiver: Receiver | None = None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Make a cleanup context that opens a session when the application starts and closes it when it ends.

    Args:
        open_session: makes the session, such as `VippsSession.from_env`.
        receiver: serves for the same time, and has its handlers drained before the session is closed.
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with open_session() as session, receiver.serving(session) if receiver else contextlib.nullcontext():
            app[VIPPS_SESSION] = session
            yield

    return context


def aiohttp_session(request: web.Request) -> VippsSession:
    """Return the session of the application, or of one that it is a part of.

    Args:
        request: the request.

    Raises:
        ConfigurationError: the application runs without `aiohttp_context`.
    """
    session = request.config_dict.get(VIPPS_SESSION)
    if session is None:
        advice = "append aiohttp_context(...) to its cleanup_ctx"
        raise ConfigurationError("the application has no Vipps session", advice=advice)
    return session


def aiohttp_routes(receiver: Receiver, *, prefix: str) -> list[web.RouteDef]:
    """Return the route for Vipps' requests: every path below the prefix.

    With ``prefix="/vipps"`` eCom's prefix for callbacks, shipping details and consent removal alike is
    ``https://your.host/vipps``. Other paths below it are answered 404.

    Args:
        receiver: has to be `serving`, as `aiohttp_context` sees to.
        prefix: with a slash in front and none at its end, such as ``/vipps``.

    Raises:
        InvalidInputError: the prefix is of another form.
    """
    if not _PREFIX.fullmatch(prefix):
        raise InvalidInputError("prefix", "a path such as '/vipps'", value=prefix)

    async def answer(request: web.Request) -> web.Response:
        try:
            reply = await receiver.handle(
                request.method, request.raw_path, request.headers.items(), request.content.iter_any()
            )
        except (ClientError, web.RequestPayloadError, ConnectionError):
            # The caller is gone, so nobody reads this.
            return web.Response(status=400)
        response = web.Response(body=reply.body, status=reply.status, headers=reply.headers)
        if hdrs.CONTENT_ENCODING in request.headers:
            await _answer_and_close(request, response)
        return response

    return [web.route("*", f"{prefix}/{{vipps:.*}}", answer)]


async def _answer_and_close(request: web.Request, response: web.Response) -> None:
    # aiohttp would read the rest of the body and undo its compression as it comes, without ever giving way to the loop:
    # a few hundred kilobytes, from anybody at all, would hold it for seconds.
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    request.protocol.force_close()

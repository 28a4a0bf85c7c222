"""Vipps in aiohttp.web: a session for the time of the application, and the paths that Vipps calls.

::

    reception = Reception(AUTH_TOKEN, on_payment=on_payment)
    app = web.Application()
    app.cleanup_ctx.append(vipps_context(VippsSession.from_env, reception))
    app.add_routes(callback_routes(reception, prefix="/vipps"))

    async def buy(request: web.Request) -> web.Response:
        vipps = get_vipps(request)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import ClientError, hdrs, web

from vipps_async.contrib.reception import Reception
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.session import VippsSession

__all__ = ["VIPPS_SESSION", "callback_routes", "get_vipps", "vipps_context"]

#: Where the session stands in the application.
VIPPS_SESSION: Final = web.AppKey("vipps_session", VippsSession)


def vipps_context(
    open_session: Callable[[], VippsSession], reception: Reception | None = None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Make a cleanup context that opens a session when the application starts and closes it when it ends.

    Args:
        open_session: makes the session, such as `VippsSession.from_env`.
        reception: takes callbacks in for the same time, and has its handlers drained before the session is closed.
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with open_session() as session, contextlib.AsyncExitStack() as stack:
            if reception is not None:
                await stack.enter_async_context(reception.serving(session))
            app[VIPPS_SESSION] = session
            yield

    return context


def get_vipps(request: web.Request) -> VippsSession:
    """Return the session of the application, or of one that it is a part of.

    Args:
        request: the request.

    Raises:
        ConfigurationError: the application runs without `vipps_context`.
    """
    session = request.config_dict.get(VIPPS_SESSION)
    if session is None:
        raise ConfigurationError(
            "the application has no Vipps session", advice="append vipps_context(...) to its cleanup_ctx"
        )
    return session


def callback_routes(reception: Reception, *, prefix: str = "") -> list[web.RouteDef]:
    """Return the routes that answer what Vipps calls.

    With ``prefix="/vipps"`` the prefix for callbacks, shipping details and consent removal alike is
    ``https://your.host/vipps``.

    Args:
        reception: takes in what Vipps calls; it has to be `serving`, as `vipps_context` sees to.
        prefix: what stands before Vipps' own part of the path; empty, or with a slash in front and none at its end.

    Raises:
        InvalidInputError: the prefix is of another form.
    """
    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or "{" in prefix):
        raise InvalidInputError("prefix", "a path such as '/vipps', or empty", value=prefix)

    async def answer(request: web.Request) -> web.Response:
        async def read_body(most: int) -> bytes:
            body = bytearray()
            async for chunk in request.content.iter_chunked(most):
                body += chunk
                if len(body) > most:
                    break
            return bytes(body)

        try:
            answered = await reception.receive(request.method, request.raw_path, request.headers.items(), read_body)
        except (ClientError, web.RequestPayloadError, ConnectionError):
            # The caller is gone, so nobody reads this.
            return web.Response(status=400)
        response = web.Response(body=answered.body, status=answered.status, headers=answered.headers)
        if hdrs.CONTENT_ENCODING in request.headers:
            await _answer_and_close(request, response)
        return response

    # More slashes than one: a prefix that ends in one gives such paths, for Vipps puts its own part behind it as it is.
    return [
        web.route("*", f"{prefix}/{{slashes:/*}}v2/payments/{{vipps:.*}}", answer),
        web.route("*", f"{prefix}/{{slashes:/*}}v2/consents/{{vipps:.*}}", answer),
    ]


async def _answer_and_close(request: web.Request, response: web.Response) -> None:
    # aiohttp would read the rest of the body and undo its compression as it comes, without ever giving way to the loop:
    # a few hundred kilobytes, from anybody at all, would hold it for seconds.
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    request.protocol.force_close()

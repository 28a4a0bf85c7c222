"""Shops in each framework, served on a real socket, that take callbacks in and can be asked for their session."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import aiohttp
import fastapi
import uvicorn
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from vipps_async import VippsSession
from vipps_async.receiver import (
    Receiver,
    aiohttp_context,
    aiohttp_routes,
    aiohttp_session,
    starlette_app,
    starlette_lifespan,
    starlette_session,
)

__all__ = ["FRAMEWORKS", "serve"]

FRAMEWORKS = ("starlette", "fastapi", "aiohttp")
#: Seconds for a server to start or stop.
_PATIENCE = 20.0

OpenSession = Callable[[], VippsSession]


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process alone and tells when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the test runner."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell when it is done."""
        await super().startup(sockets)
        self.is_up.set()


@contextlib.asynccontextmanager
async def _uvicorn(app: Any) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with _running(app, listener) as url:
            yield url


@contextlib.asynccontextmanager
async def _running(app: Any, listener: socket.socket) -> AsyncIterator[str]:
    config = uvicorn.Config(app, log_config=None, lifespan="on", ws="none", timeout_graceful_shutdown=5)
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        async with asyncio.timeout(_PATIENCE):
            up = asyncio.create_task(server.is_up.wait())
            await asyncio.wait({up, serving}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        async with asyncio.timeout(_PATIENCE):
            await serving


def _starlette(open_session: OpenSession, receiver: Receiver) -> Starlette:
    async def order(request: Request) -> Response:
        return PlainTextResponse(starlette_session(request).merchant_serial_number)

    return Starlette(
        routes=[Route("/order", order), Mount("/vipps", app=starlette_app(receiver))],
        lifespan=starlette_lifespan(open_session, receiver),
    )


def _fastapi(open_session: OpenSession, receiver: Receiver) -> fastapi.FastAPI:
    app = fastapi.FastAPI(lifespan=starlette_lifespan(open_session, receiver))
    app.mount("/vipps", starlette_app(receiver))

    async def order(vipps: Any) -> Response:
        return PlainTextResponse(vipps.merchant_serial_number)

    # Not written out: annotations of nested functions are texts here, which FastAPI could not look up.
    order.__annotations__["vipps"] = Annotated[VippsSession, fastapi.Depends(starlette_session)]
    order.__annotations__["return"] = None
    app.add_api_route("/order", order, response_class=PlainTextResponse, response_model=None)
    return app


def _aiohttp(open_session: OpenSession, receiver: Receiver) -> web.Application:
    async def order(request: web.Request) -> web.Response:
        return web.Response(text=aiohttp_session(request).merchant_serial_number)

    part = web.Application()
    part.router.add_get("/order", order)
    app = web.Application()
    app.cleanup_ctx.append(aiohttp_context(open_session, receiver))
    app.add_routes(aiohttp_routes(receiver, prefix="/vipps"))
    app.add_subapp("/part", part)
    app.router.add_get("/order", order)
    return app


@contextlib.asynccontextmanager
async def _aiohttp_server(app: web.Application) -> AsyncIterator[str]:
    # Before 3.14 aiohttp unpacks the first packet of a body before any handler runs; the docs say what to do there.
    unpacks = aiohttp.__version__ >= "3.14"
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5, auto_decompress=unpacks)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def serve(framework: str, open_session: OpenSession, receiver: Receiver) -> AsyncIterator[str]:
    """Serve a shop and yield its address; callbacks go to ``/vipps``, ``/order`` answers with the sales unit."""
    if framework == "aiohttp":
        async with _aiohttp_server(_aiohttp(open_session, receiver)) as url:
            yield url
    else:
        make = _starlette if framework == "starlette" else _fastapi
        async with _uvicorn(make(open_session, receiver)) as url:
            yield url

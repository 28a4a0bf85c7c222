"""Routes whose resources all applications of a process share: each application answers by its own handlers."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from vipps_async.sandbox.network.routing import add_routes


def _application(name: str) -> web.Application:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=f"{name} shows {request.match_info['id']}")

    async def change(request: web.Request) -> web.Response:
        return web.Response(text=f"{name} changes {request.match_info['id']}")

    app = web.Application()
    add_routes(app, [web.get("/things/{id}", show), web.post("/things/{id}", change)])
    return app


async def test_each_application_answers_by_its_own_handlers() -> None:
    """The same path leads to the handler of the application that was asked, by its method."""
    first, second = _application("first"), _application("second")
    assert [*first.router.resources()] == [*second.router.resources()]
    async with TestClient(TestServer(first)) as one, TestClient(TestServer(second)) as other:
        assert await (await one.get("/things/1")).text() == "first shows 1"
        assert await (await other.get("/things/2")).text() == "second shows 2"
        assert await (await other.post("/things/3")).text() == "second changes 3"
        assert (await one.head("/things/1")).status == 200
        assert (await one.delete("/things/1")).status == 405

"""Routes of an application by handlers, over aiohttp's resources that all sandboxes of a process share.

A sandbox is made for each test of a shop. To parse some forty paths anew took a seventh of what such a test costs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["add_routes"]

#: Method and path → what answers there, in one application.
_HANDLERS: web.AppKey[dict[tuple[str, str], Handler]] = web.AppKey("handlers", dict)
#: What tells one route from another but for its handler: method, path, and further arguments.
_Key = tuple[str, str, tuple[tuple[str, Any], ...]]


def add_routes(app: web.Application, routes: Iterable[web.RouteDef]) -> None:
    """Do what `web.Application.add_routes` does, for paths whose variables have no patterns.

    Args:
        app: the application, which was given no routes this way before.
        routes: each with its handler, a function.
    """
    given = list(routes)
    app[_HANDLERS] = {(route.method, route.path): route.handler for route in given}
    for resource in _resources(tuple((route.method, route.path, tuple(route.kwargs.items())) for route in given)):
        app.router.register_resource(resource)


@functools.cache
def _resources(keys: tuple[_Key, ...]) -> tuple[web.AbstractResource, ...]:
    # A resource knows neither the application nor the event loop that it is used in.
    router = web.UrlDispatcher()
    router.add_routes(web.route(method, path, _answer, **dict(further)) for method, path, further in keys)
    return tuple(router.resources())


async def _answer(request: web.Request) -> web.StreamResponse:
    route = request.match_info.route
    canonical = route.resource.canonical if route.resource is not None else ""
    method = "GET" if route.method == "HEAD" else route.method
    return await request.app[_HANDLERS][method, canonical](request)

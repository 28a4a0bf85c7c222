"""Rejects requests from web pages of other origins, and request bodies that arrive too slowly."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from vipps_async.sandbox.network.exchange import gateway_response
from vipps_async.sandbox.wire.urls import is_loopback_host

#: Values of `Sec-Fetch-Site` for requests of our own pages, and for URLs that a person typed.
_OWN_SITE = frozenset({"same-origin", "none"})
#: Addresses that bind to every address of this machine.
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - nothing is bound here
#: Seconds for the body of a request to come in; the largest honest one has some thousand bytes.
_BODY_TIME = 10.0


class _BodyTooSlowError(Exception):
    """The body did not come in time."""


class RequestFilter:
    """Refuses requests that a web page of another origin makes a browser send, on every route.

    After DNS rebinding a browser sends the page's own name as Host; a page that posts across sites is named in Origin.
    So Host must be a loopback name or address, the address that the sandbox listens on, or one of `allowed`. Where it
    listens on all addresses, Host may be any address, since addresses cannot be rebound.

    Args:
        host: where the sandbox listens.
        allowed: further host names that are accepted, such as a container's.
    """

    def __init__(self, host: str, allowed: Collection[str] = frozenset()) -> None:
        #: Where the sandbox listens.
        self.host = host
        #: Whether only this machine reaches the sandbox.
        self.loopback_only: bool = is_loopback_host(host)
        self._allowed = frozenset(name.lower() for name in (host, *allowed) if name)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Reject a foreign Host, and a body that takes too long."""
        # The header itself: aiohttp makes one up where it is missing.
        if not self._is_ours(_hostname(f"//{request.headers.get('Host', '')}")):
            return gateway_response(403, "The sandbox is not to be had under that host name.")
        timer = asyncio.get_running_loop().call_later(_BODY_TIME, _give_up, request)
        try:
            return await handler(request)
        except _BodyTooSlowError:
            response = gateway_response(408, "The body did not come in time.")
            response.force_close()
            await response.prepare(request)
            await response.write_eof()
            # Otherwise aiohttp would wait for the rest of the body.
            request.protocol.force_close()
            return response
        finally:
            timer.cancel()

    def check_read(self, request: web.Request) -> None:
        """Check a request that only reads a page or a control.

        Raises:
            HTTPForbidden: if its Origin is a foreign one.
        """
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{request.headers.get('Host', '')}".lower():
            raise web.HTTPForbidden(reason="This cannot be asked for from another site.")

    def check_change(self, request: web.Request) -> None:
        """Check a request that changes something on a page or by a control.

        Raises:
            HTTPForbidden: if its Origin is a foreign one, or a browser made it for another site.
        """
        self.check_read(request)
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
            raise web.HTTPForbidden(reason="This cannot be asked for from another site.")

    def _is_ours(self, host: str | None) -> bool:
        if host is None:
            return False
        if is_loopback_host(host) or host in self._allowed:
            return True
        if self.host not in _EVERYWHERE:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _give_up(request: web.Request) -> None:
    if not request.content.is_eof():
        request.content.set_exception(_BodyTooSlowError())


def _hostname(place: str) -> str | None:
    try:
        return urlsplit(place).hostname
    except ValueError:
        return None

"""Who may see and use the dashboard and the controls: not a web page from elsewhere, under whatever name it comes."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from vipps_async.sandbox.problems import gateway_refusal
from vipps_async.sandbox.urls import is_loopback_host

__all__ = ["Guard"]

#: What browsers say of a request that one of our own pages makes, or that somebody typed in.
_OWN_SITE = frozenset({"same-origin", "none"})


class Guard:
    """Refuses what a page from elsewhere makes a browser ask for.

    A page that has brought its own name here (DNS rebinding) shows that name as Host; a page that posts across sites
    shows its own Origin. Addresses cannot be rebound, so that they are good where the sandbox listens beyond loopback.

    Args:
        host: where the sandbox listens.
    """

    def __init__(self, host: str) -> None:
        #: Where the sandbox listens.
        self.host = host
        #: Whether only this machine reaches the sandbox.
        self.loopback_only = is_loopback_host(host)

    def look(self, request: web.Request) -> None:
        """Let a request pass that only looks.

        Raises:
            Refusal: 403, if its Host or Origin is a foreign one.
        """
        # The header itself: aiohttp makes one up where it is missing.
        host = request.headers.get("Host", "")
        if not self._is_ours(_hostname(f"//{host}")):
            raise gateway_refusal(403, "This page is not to be had under that host name.")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            raise gateway_refusal(403, "This cannot be asked for from another site.")

    def change(self, request: web.Request) -> None:
        """Let a request pass that changes something.

        Raises:
            Refusal: 403, if its Host or Origin is a foreign one, or a browser made it for another site.
        """
        self.look(request)
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
            raise gateway_refusal(403, "This cannot be asked for from another site.")

    def _is_ours(self, host: str | None) -> bool:
        if is_loopback_host(host):
            return True
        if self.loopback_only or host is None:
            return False
        if host == self.host.lower():
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _hostname(place: str) -> str | None:
    try:
        return urlsplit(place).hostname
    except ValueError:
        return None

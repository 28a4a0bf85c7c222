"""Where a request goes: URLs taken apart, and each server looked at once."""

from __future__ import annotations

from attrs import frozen
from yarl import URL

from vipps_async.errors import InvalidInputError
from vipps_async.transports.request_rules import checked_url

__all__ = ["Location", "Locations"]

#: Servers that are remembered: one, as a rule.
_MOST_SERVERS = 16

#: What stands behind a name and a password, and before a query or a fragment that follows the host at once.
_NOT_ONLY_SERVER = frozenset("@?#")


@frozen(kw_only=True)
class Location:
    """A checked URL, and how a request names it."""

    url: URL
    #: The value of the Host header.
    host: str
    #: Path and query, as they stand in the request line.
    target: str


class Locations:
    """Checks URLs. Calls go to the same server again and again, so what is known of it is kept."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, ...], Location] = {}

    def of(self, text: str) -> Location:
        """Check an absolute, percent-encoded URL and take it apart.

        Raises:
            InvalidInputError: it is none, or no http or https URL.
        """
        # Anything else would end the request line or the Host header, be read by some server as if it did, or be tidied
        # away on the quiet.
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise InvalidInputError("url", "percent-encoded", secret=True)  # its path may name a person
        *server, path = text.split("/", 3)
        known = self._servers.get(tuple(server))
        if known is not None and "?" not in path and "#" not in path:
            target = f"/{path}"
            return Location(url=known.url.with_path(target, encoded=True), host=known.host, target=target)
        url = checked_url(text)
        location = Location(url=url, host=url.host_port_subcomponent or "", target=url.raw_path_qs)
        # Only where nothing but the server stands before the path, and never names and passwords.
        if len(server) == 3 and not _NOT_ONLY_SERVER.intersection(server[2]) and len(self._servers) < _MOST_SERVERS:
            self._servers[tuple(server)] = location
        return location

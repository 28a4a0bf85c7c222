"""The transport over httpx, and all that knows a name of httpx's own (extra ``httpx``)."""

from vipps_async.transports.httpx.transport import HttpxTransport

__all__ = ["HttpxTransport"]

"""The transport over httpx (extra ``httpx``); only this folder uses httpx's names."""

from vipps_async.transports.httpx.transport import HttpxTransport

__all__ = ["HttpxTransport"]

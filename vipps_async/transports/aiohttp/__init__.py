"""The transport over aiohttp, and all that knows a name of aiohttp's own."""

from vipps_async.transports.aiohttp.transport import AiohttpTransport

__all__ = ["AiohttpTransport"]

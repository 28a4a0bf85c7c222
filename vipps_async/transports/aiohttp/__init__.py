"""The transport over aiohttp; only this folder uses aiohttp's names."""

from vipps_async.transports.aiohttp.transport import AiohttpTransport

__all__ = ["AiohttpTransport"]

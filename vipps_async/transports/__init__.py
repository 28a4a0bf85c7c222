"""The way to the wire: the transport protocol and the transports that come with the package."""

from vipps_async.transports.aiohttp_transport import AiohttpTransport
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response, Transport

__all__ = ["MAX_RESPONSE_BYTES", "AiohttpTransport", "Request", "Response", "Transport"]

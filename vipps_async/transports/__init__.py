"""The way to the wire: the transport protocol and the transports that come with the package."""

from typing import TYPE_CHECKING

from vipps_async.names_on_demand import names_on_demand

if TYPE_CHECKING:
    from vipps_async.transports.aiohttp import AiohttpTransport
    from vipps_async.transports.httpx import HttpxTransport
    from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response, Transport
else:
    __getattr__, __dir__ = names_on_demand(
        __name__,
        {
            "AiohttpTransport": "vipps_async.transports.aiohttp",
            "HttpxTransport": "vipps_async.transports.httpx",
            "MAX_RESPONSE_BYTES": "vipps_async.transports.protocol",
            "Request": "vipps_async.transports.protocol",
            "Response": "vipps_async.transports.protocol",
            "Transport": "vipps_async.transports.protocol",
        },
    )

__all__ = ["MAX_RESPONSE_BYTES", "AiohttpTransport", "HttpxTransport", "Request", "Response", "Transport"]

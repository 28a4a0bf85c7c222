"""The way to the wire: the transport protocol and the transports that come with the package."""

import typing

from vipps_async.transports.aiohttp_transport import AiohttpTransport
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response, Transport

if typing.TYPE_CHECKING:
    from vipps_async.transports.httpx_transport import HttpxTransport

__all__ = ["MAX_RESPONSE_BYTES", "AiohttpTransport", "HttpxTransport", "Request", "Response", "Transport"]


def __getattr__(name: str) -> object:
    # httpx is an extra: it is imported when somebody asks for its transport.
    if name != "HttpxTransport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from vipps_async.transports import httpx_transport  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if error.name not in {"httpx", "httpcore", "h11", "anyio"}:
            raise
        raise ImportError("HttpxTransport needs httpx: pip install 'vipps-async[httpx]'", name=error.name) from error
    return httpx_transport.HttpxTransport

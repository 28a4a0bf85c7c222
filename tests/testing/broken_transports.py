"""Transports with one fault each, which the conformance suite must find."""

from __future__ import annotations

from urllib.parse import urljoin

from attrs import evolve

from vipps_async import AiohttpTransport, Request, Response
from vipps_async.errors import OutcomeUnknown, RequestNotSent, TransportError


class Resending(AiohttpTransport):
    """Sends a request again if no answer came."""

    async def send(self, request: Request) -> Response:
        """Send twice, if need be."""
        try:
            return await super().send(request)
        except TransportError:
            return await super().send(request)


class Optimistic(AiohttpTransport):
    """Takes every failure for proof that nothing was sent."""

    async def send(self, request: Request) -> Response:
        """Call what is unknown unsent."""
        try:
            return await super().send(request)
        except OutcomeUnknown as error:
            raise RequestNotSent(error.message) from error


class Pessimistic(AiohttpTransport):
    """Never says that nothing was sent."""

    async def send(self, request: Request) -> Response:
        """Call what is unsent unknown."""
        try:
            return await super().send(request)
        except RequestNotSent as error:
            raise OutcomeUnknown(error.message) from error


class Following(AiohttpTransport):
    """Follows redirects."""

    async def send(self, request: Request) -> Response:
        """Send to wherever the answer points."""
        response = await super().send(request)
        if response.status // 100 == 3 and "location" in response.headers:
            return await super().send(evolve(request, url=urljoin(request.url, response.headers["location"])))
        return response


class Talkative(AiohttpTransport):
    """Quotes the URL and the headers in its errors."""

    async def send(self, request: Request) -> Response:
        """Say more than may be said."""
        try:
            return await super().send(request)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(f"{request.url} {dict(request.headers)}", status=error.status) from error


class Forgetful(AiohttpTransport):
    """Loses the status of an answer that breaks off."""

    async def send(self, request: Request) -> Response:
        """Forget what was known."""
        try:
            return await super().send(request)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(error.message) from error

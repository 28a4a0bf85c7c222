"""One HTTP request to an API: reads it, authenticates it, carries it out and records it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from vipps_async.sandbox.ledger.reasons import Refused
from vipps_async.sandbox.network.callers import Callers
from vipps_async.sandbox.network.history import RequestRecord
from vipps_async.sandbox.wire.face import Answer, ApiRequest, Face, Refusal, Route
from vipps_async.sandbox.wire.fault import Kind
from vipps_async.sandbox.wire.gateway import gateway_refusal


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation of an API."""

    face: Face
    route: Route


class Exchange:
    """A request, and the function that carries it out.

    Args:
        request: the request.
        endpoint: what answers it; None: a page does.
        handler: the page's handler.
        callers: authenticates who makes it.
        at: when it came: its token must be valid then, also if it is carried out later.
    """

    def __init__(
        self, request: web.Request, endpoint: Endpoint | None, handler: Handler, callers: Callers, at: datetime
    ) -> None:
        self.request = request
        self.endpoint = endpoint
        #: The name of the operation; empty if it is none.
        self.operation: str = "" if endpoint is None else endpoint.route.operation
        #: The idempotency key; empty if there is none.
        self.key: str = "" if endpoint is None else request.headers.get(endpoint.face.key_header, "")
        self.asked: ApiRequest = ApiRequest(
            operation=self.operation, headers=request.headers, path=request.match_info, body=b""
        )
        #: The body of the answer, also where a fault keeps it from the client.
        self.answer: bytes = b""
        self._handler = handler
        self._callers = callers
        self._at = at

    @property
    def face(self) -> Face:
        """The API that the request is for."""
        if self.endpoint is None:
            raise AssertionError("unreachable: no fault meets a page")
        return self.endpoint.face

    async def read(self) -> None:
        """Read the body."""
        self.asked.body = await self.request.read()

    async def respond(self) -> web.StreamResponse:
        """Carry it out, and return the right answer as an aiohttp response."""
        if self.endpoint is not None:
            return over_the_wire(await self.proceed())
        try:
            await self.read()
            return await self._handler(self.request)
        except web.HTTPException as error:
            return over_the_wire(gateway_refusal(error.status, error.reason).answer)

    async def proceed(self) -> Answer:
        """Carry a request to an API out, and return the right answer."""
        answer = await self._right_answer(self.endpoint) if self.endpoint is not None else Answer()
        self.answer = answer.body
        return answer

    async def _right_answer(self, endpoint: Endpoint) -> Answer:
        route = endpoint.route
        try:
            await self.read()
            self.asked.keys = self._callers.authorise(self.asked.headers, route, self._at)
            return await route.handle(self.asked)
        except Refusal as refusal:
            return refusal.answer
        except Refused as refused:
            return endpoint.face.refused(refused, route.operation)
        except web.HTTPException as error:
            return gateway_refusal(error.status, error.reason).answer

    async def reference(self) -> str:
        """Return the payment that it names; the body is read only where path and headers name none."""
        if self.endpoint is not None and self.endpoint.route.kind is Kind.CREATES:
            # Too large a body will be refused for that.
            with contextlib.suppress(web.HTTPException):
                await self.read()
        return self.face.about(self.asked)[1]

    def record(self, status: int | None, fault: str) -> RequestRecord:
        """Return its record."""
        return RequestRecord(
            method=self.request.method,
            path=self.request.rel_url.raw_path,
            query=self.request.rel_url.raw_query_string,
            operation=self.operation,
            about=("", "") if self.endpoint is None else self.endpoint.face.about(self.asked),
            key=self.key,
            headers=self.request.headers,
            body=self.asked.body,
            status=status,
            answer=self.answer,
            fault=fault,
            at=self._at,
        )


def over_the_wire(answer: Answer) -> web.Response:
    """Return an answer as an aiohttp response."""
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def gateway_response(status: int, message: str) -> web.Response:
    """Return an error of the gateway, which also answers requests to paths of no API."""
    return over_the_wire(gateway_refusal(status, message).answer)


def route_path(template: str) -> str:
    """Return a template as aiohttp takes it: any case up to the first place in braces, a slash at the end or none."""
    head, brace, tail = template.partition("{")
    parts = "/".join(
        f"{{fixed_{number}:(?i:{re.escape(part)})}}" for number, part in enumerate(head.strip("/").split("/"))
    )
    return f"/{parts}{'/' if brace else ''}{brace}{tail}{{end:/?}}"

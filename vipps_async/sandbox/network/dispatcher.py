"""Dispatches each request to an operation or page, applies faults to it, and records it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.network.callers import Callers
from vipps_async.sandbox.network.exchange import Endpoint, Exchange, route_path
from vipps_async.sandbox.network.fault_injection import FaultInjection, gone
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.network.held_requests import HeldRequests
from vipps_async.sandbox.network.history import RequestRecord
from vipps_async.sandbox.network.listener import Listener
from vipps_async.sandbox.network.waits import Waits
from vipps_async.sandbox.wire.face import Face
from vipps_async.sandbox.wire.fault import KINDS


class Dispatcher:
    """Middleware of all routes.

    Args:
        clock: the sandbox's clock.
        faces: the APIs.
        callers: authenticates who calls them.
        listener: the socket.
        keep: how many requests are kept on record; 0: none.
        settled: returns once every change so far is in the state file.
        waits: how the time of stalls and slow answers passes.
    """

    def __init__(
        self,
        clock: SandboxClock,
        faces: Iterable[Face],
        callers: Callers,
        listener: Listener,
        *,
        keep: int,
        settled: Callable[[], Awaitable[None]],
        waits: Waits,
    ) -> None:
        self._clock = clock
        self._callers = callers
        self._listener = listener
        self._settled = settled
        self._waits = waits
        self.requests: deque[RequestRecord] = deque(maxlen=keep)
        #: The name of the route → the operation.
        self._endpoints = {
            f"{face.name}.{route.operation}": Endpoint(face, route)
            for face in (*faces, callers)
            for route in face.routes()
        }
        kinds = {endpoint.route.operation: endpoint.route.kind for endpoint in self._endpoints.values()}
        groups = {group for endpoint in self._endpoints.values() for group in endpoint.face.error_groups}
        #: The faults to inject.
        self.faults: Faults = Faults({**KINDS, **kinds}, groups)
        self.held: HeldRequests = HeldRequests(clock)
        self._injection = FaultInjection(self.faults, listener.refuse_for_a_while, self.held, waits)

    def begin(self) -> list[web.RouteDef]:
        """Enable faults, and return the routes of all operations."""
        self._injection = FaultInjection(self.faults, self._listener.refuse_for_a_while, self.held, self._waits)
        return [
            # The middleware answers; aiohttp wants a handler all the same.
            web.route(endpoint.route.method, route_path(endpoint.route.path), _never_called, name=name)
            for name, endpoint in self._endpoints.items()
        ]

    def end(self) -> None:
        """End the answers that stall or drip."""
        self._injection.end()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request and record it, unless it is the dashboard's."""
        self._clock.run_due()
        resource = request.match_info.route.resource
        endpoint = self._endpoints.get((resource.name if resource is not None else None) or "")
        exchange = Exchange(request, endpoint, handler, self._callers, self._clock.now())
        decided, status = None, None
        self._listener.busy.add(request.protocol)
        try:
            if endpoint is not None and self.faults.active:
                decided = self.faults.decide(exchange.operation, await exchange.reference(), exchange.key)
            if decided is None:
                response = await exchange.respond()
                status = response.status
            else:
                response, status = await self._injection.answer(exchange, decided)
            if status is not None and isinstance(response, web.Response) and isinstance(response.body, bytes):
                exchange.answer = response.body
            # What was answered must be in the state file, whenever the process ends.
            await self._settled()
        except ConnectionError:
            # The client hung up before its request was whole.
            response = gone()
        finally:
            self._listener.busy.discard(request.protocol)
            if self.requests.maxlen and not (request.path == "/" or request.path.startswith("/sandbox/")):
                self.requests.append(exchange.record(status, "" if decided is None else decided.fault.value))
        if self._listener.refusing and not response.prepared:
            response.force_close()
        return response


async def _never_called(_: web.Request) -> web.Response:
    raise AssertionError("unreachable: the middleware answers by the API")

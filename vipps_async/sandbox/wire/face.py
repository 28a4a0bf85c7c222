# ruff: noqa: ARG002 - what is not abstract takes what those need who say more
"""The base class of an API in the sandbox: its routes, and its responses for what the ledger decides.

A further API is one module beside this one with a subclass of `Face`, given to the server in `faces`. It shares the
orders, the clock, the rate limits, the faults, the pages and the state file with the others. It knows requests and
answers as plain values: connections, tokens and faults are the network's.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import orjson

from vipps_async.sandbox.ledger.clock import RateLimits, SandboxClock
from vipps_async.sandbox.ledger.customer_simulator import CustomerSimulator
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import UNDISTURBED, Disturbance, PaymentOutcome
from vipps_async.sandbox.ledger.events import Event
from vipps_async.sandbox.ledger.orders import Order, OrderBook, ShippingMethod
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.ledger.registrations import Registrations
from vipps_async.sandbox.ledger.settings import SandboxCredentials, SandboxSettings
from vipps_async.sandbox.wire.fault import KINDS, Decided, Kind

#: Seconds that Vipps waits for the answer to a callback.
CALLBACK_TIMEOUT = 3.0
#: The headers that name the sales unit, and who calls.
MSN_HEADER, SUBSCRIPTION_KEY = "Merchant-Serial-Number", "Ocp-Apim-Subscription-Key"
#: An object of JSON.
Json = dict[str, Any]
JSON_MEDIA = "application/json;charset=UTF-8"


@dataclass(slots=True, kw_only=True)
class ApiRequest:
    """A request to an API, whose body is read and whose caller is known."""

    operation: str
    headers: Mapping[str, str]
    #: What stands in the places of the path, by name.
    path: Mapping[str, str]
    body: bytes
    #: The keys of who makes it; None where any are taken.
    keys: SandboxCredentials | None = None
    #: What a fault does to the operation.
    disturbance: Disturbance = UNDISTURBED
    #: How old a view of the payment a fault shows.
    stale_by: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, before it goes over the wire."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(
    body: object, status: int = 200, *, media: str = JSON_MEDIA, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return an answer in JSON."""
    return Answer(status, orjson.dumps(body), {"Content-Type": media, **(headers or {})})


class Refusal(Exception):  # noqa: N818 - an answer of the API, not a failure of the sandbox
    """A request that is answered with an error; arguments as for `json_answer`."""

    def __init__(
        self, status: int, body: object, *, media: str = JSON_MEDIA, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.answer: Answer = json_answer(body, status, media=media, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An operation of an API: where it is called, and what answers.

    Faults and the pages know it by the name; one of `KINDS` says what kind it is, so that faults fit it.
    """

    operation: str
    method: str
    #: Any case up to the first place in braces, with or without a slash at the end.
    path: str
    handle: Callable[[ApiRequest], Awaitable[Answer]]
    kind: Kind = field(default=Kind.OTHER)
    #: Whether an access token is needed.
    token_needed: bool = True
    #: Whether the subscription key is needed.
    key_needed: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", KINDS.get(self.operation, self.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackJob:
    """A request to make at the merchant."""

    kind: str
    order_id: str
    merchant_serial_number: str = ""
    method: str = "POST"
    #: Out of the repr: it may hold the customer's id.
    url: str = field(repr=False)
    #: The merchant's token, which goes back verbatim.
    auth_token: str | None = field(default=None, repr=False)
    #: Further headers.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    #: Seconds.
    timeout: float = CALLBACK_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNews:
    """An event for the webhooks that are registered for it."""

    #: The name that it is registered for by.
    event: str
    sales_unit: str
    reference: str
    body: Any = field(repr=False)


class Ignored:
    """Counts the fields of requests that Vipps ignores: unknown ones, and nulls."""

    #: Different places that are counted apart; beyond that only those that are known already.
    MAX_PLACES = 1_000
    #: Characters of a place's name that are kept.
    MAX_NAME = 200

    def __init__(self) -> None:
        #: (operation, place, ``"unknown"`` or ``"null"``) → how often.
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, operation: str, place: str, kind: str) -> None:
        """Count one."""
        entry = operation, place[: self.MAX_NAME], kind
        if entry in self.counts or len(self.counts) < self.MAX_PLACES:
            self.counts[entry] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of the sandbox that every API uses."""

    clock: SandboxClock
    book: OrderBook
    customers: CustomerSimulator
    settings: SandboxSettings
    #: None: calls are not limited.
    limits: RateLimits | None
    ignored: Ignored
    #: Hosts whose URLs pass with http, too: they may be called.
    callback_hosts: Collection[str]
    #: Is called with each order that changes, and with None for a change of no order.
    changed: Callable[[Order | None], None]
    #: Which URLs get which webhooks.
    registrations: Registrations
    #: Makes a request at the merchant now, once: status and body of the answer, or None if there was none.
    call: Callable[[CallbackJob], Awaitable[tuple[int, bytes] | None]]
    #: Where the merchant is to send the customer.
    landing_url: Callable[[Order], str]
    #: Where the image of a QR code is that leads there.
    qr_url: Callable[[Order], str]

    def count_call(self, operation: str, per_minute: int, *whose: str) -> None:
        """Count a call against its limit.

        Raises:
            Refused: TOO_MANY_CALLS.
        """
        if self.limits is not None:
            self.limits.count(operation, per_minute, whose, self.clock.now())


class Face(abc.ABC):
    """One API. Methods that are not abstract have a default that is enough for many APIs."""

    name: ClassVar[str]
    """Its name, in lower case; orders that it initiates are kept under it."""
    title: ClassVar[str] = ""
    """Its name for people; empty: as above."""
    key_header: ClassVar[str] = "Idempotency-Key"
    """The header of the idempotency key."""
    error_groups: ClassVar[tuple[str, ...]] = ()
    """Groups of errors that the faults' `unsettled_group` can choose from."""
    unit_codes: ClassVar[tuple[str, ...]] = ()
    """Codes that a sales unit's initiates can be made to be refused with; see `SandboxSettings.refused_units`."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @abc.abstractmethod
    def routes(self) -> Sequence[Route]:
        """Return the operations. A handler may raise Refused and Refusal."""

    @abc.abstractmethod
    def refused(self, refused: Refused, operation: str) -> Answer:
        """Return the answer to what is refused for a reason."""

    def about(self, request: ApiRequest) -> tuple[str, str]:
        """Return which payment a request is about, as far as it says so: sales unit and reference."""
        return request.headers.get(MSN_HEADER, ""), request.path.get("reference", "")

    # -- what faults make it say -------------------------------------------------------------------------------------

    def unsettled(self, decided: Decided, request: ApiRequest, status: int, group: str) -> Answer:
        """Return the answer for a fault whose name begins with UNSETTLED: it does not tell if there was an effect."""
        return json_answer({"status": status}, status)

    def contradict(self, decided: Decided, request: ApiRequest, answer: Answer) -> Answer:
        """Return the answer with the error that a contradicting fault asks for; the right one, if it asks for none."""
        return answer

    def words_of(self, answer: Answer) -> Mapping[str, str] | None:
        """Return the fields of a refusal of this API, by name; None: the answer is no refusal."""
        return None

    # -- the merchant and the customer -------------------------------------------------------------------------------

    def callback(self, order: Order, outcome: PaymentOutcome) -> CallbackJob | None:
        """Return the request that tells the merchant what became of an order; None: it is not told."""
        return None

    def webhook(self, order: Order, event: Event) -> WebhookNews | None:
        """Return the webhook of an event of an order; None: it has none."""
        return None

    async def shipping_methods(self, order: Order, customer: Customer) -> list[ShippingMethod]:
        """Ask the merchant for the ways of shipping of an express order.

        Raises:
            SandboxError: there are none.
        """
        return []

    def consent_removal(self, user_id: str) -> CallbackJob | None:
        """Return the request that tells the merchant of a removed consent; None: there is nobody to tell."""
        return None

    def explain(self, reason: Reason) -> str:
        """Return the text of a reason for a page."""
        return reason.value

    def return_url(self, order: Order) -> str:
        """Return the URL that the customer returns to."""
        return order.return_url

    def facts(self, order: Order) -> list[tuple[str, str]]:
        """Return what the merchant said that only this API knows, for the payment's page: name and text."""
        return []

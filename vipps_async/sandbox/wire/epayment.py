"""The ePayment API v1: handles each operation over the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import orjson

from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import UNDISTURBED, Disturbance
from vipps_async.sandbox.ledger.events import Event, events_of
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason, Refused, SandboxError
from vipps_async.sandbox.ledger.terms import REFUSED_REFUNDS, Terms
from vipps_async.sandbox.wire.epayment_answers import (
    adjust_answer,
    authorized_facts,
    event_answer,
    events_answer,
    get_answer,
)
from vipps_async.sandbox.wire.epayment_bodies import (
    MAX_KEY,
    check_permissions,
    expiry_of,
    read_approval,
    read_cancellation,
    read_creation,
    read_modification,
)
from vipps_async.sandbox.wire.epayment_contradictions import contradicted, unsettled_answer
from vipps_async.sandbox.wire.epayment_errors import (
    CODES,
    PASSING,
    UNIT_CODES,
    EpaymentViolations,
    code_in,
    code_of,
    coded,
    problem,
    words_of,
)
from vipps_async.sandbox.wire.epayment_fields import REFERENCE
from vipps_async.sandbox.wire.epayment_money import MONEY
from vipps_async.sandbox.wire.epayment_shipping import (
    SHIPPING_TIMEOUT,
    methods_of,
    read_shipping_answer,
    shipping_question,
)
from vipps_async.sandbox.wire.face import (
    MSN_HEADER,
    SUBSCRIPTION_KEY,
    Answer,
    ApiRequest,
    CallbackJob,
    Face,
    Json,
    Refusal,
    Route,
    Services,
    WebhookNews,
    json_answer,
)
from vipps_async.sandbox.wire.fault import Decided, Fault, Kind
from vipps_async.sandbox.wire.fields import SURROGATE, read_json, read_sales_unit
from vipps_async.sandbox.wire.gateway import refused_by_gateway
from vipps_async.sandbox.wire.kept_answers import KeptAnswers

#: The vendor's published limits for one reference, in calls a minute: of a sales unit; reads: of a subscription key.
_PER_MINUTE = {"create": 5, "get": 120, "events": 120, **dict.fromkeys(MONEY, 5)}
_PAYMENTS = "/epayment/v1/payments"
#: Captures and cancellations outside Norway end so many days after the reservation.
_DAYS_ABROAD = 14


class EpaymentFace(Face):
    """All endpoints."""

    name = "epayment"
    title = "ePayment"
    unit_codes: ClassVar[tuple[str, ...]] = UNIT_CODES

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._answers = KeptAnswers(lambda answer: answer.status >= 500 or code_in(answer) in PASSING)

    def routes(self) -> Sequence[Route]:
        """Return the operations."""
        one = f"{_PAYMENTS}/{{reference}}"
        approve = "/epayment/v1/test/payments/{reference}/approve"
        reads, adjust = Kind.READS, {**dict.fromkeys(MONEY, self._move), "cancel": self._cancel}
        return [
            Route(operation="create", method="POST", path=_PAYMENTS, handle=self._create, kind=Kind.CREATES),
            Route(operation="get", method="GET", path=one, handle=self._get, kind=reads),
            Route(operation="events", method="GET", path=f"{one}/events", handle=self._events, kind=reads),
            *(
                Route(operation=name, method="POST", path=f"{one}/{name}", handle=handle, kind=MONEY[name].kind)
                for name, handle in adjust.items()
            ),
            Route(operation="approve", method="POST", path=approve, handle=self._approve),
        ]

    def refused(self, refused: Refused, operation: str) -> Answer:
        """Return a problem with the code for the reason."""
        by_gateway = refused_by_gateway(refused)
        if by_gateway is not None:
            return by_gateway
        if refused.reason is Reason.UNIT_NOT_AVAILABLE:
            return problem(403, "Forbidden", "These keys are not for this sales unit.").answer
        payment = self._known(refused.sales_unit, refused.reference)
        return coded(code_of(refused.reason, operation, payment)).answer

    def _known(self, sales_unit: str, reference: str) -> Payment | None:
        orders = self.services.book.all_of(reference)
        return next((order.payment for order in orders if order.payment.sales_unit == sales_unit), None)

    def about(self, request: ApiRequest) -> tuple[str, str]:
        """Return sales unit and reference, that of the body where the path has none."""
        reference = request.path.get("reference") or _reference_in(request.body)
        return request.headers.get(MSN_HEADER, ""), reference

    # -- requests and their keys ---------------------------------------------------------------------------------------

    def _key(self, request: ApiRequest, *, required: bool = True) -> str:
        key = request.headers.get(self.key_header)
        if key is None and not required:
            return ""
        if not key or len(key) > MAX_KEY or SURROGATE.search(key):
            text = f"is required and must have at most {MAX_KEY} characters"
            raise EpaymentViolations().refusal([(self.key_header, text)])
        return key

    def _body(self, request: ApiRequest) -> tuple[Json, EpaymentViolations]:
        settings, ignored = self.services.settings, self.services.ignored
        violations = EpaymentViolations(request.operation, ignored, strict=settings.strict)
        return read_json(request.body, request.headers.get("Content-Type", ""), violations), violations

    def _once(
        self, request: ApiRequest, key: str, find: Callable[[], Order | None], act: Callable[[], Answer]
    ) -> Answer:
        """Answer a request with a key, whether it is new or a repetition.

        Raises:
            Refused: KEY_REUSED.
        """

        def answered() -> Answer:
            try:
                return act()
            except Refusal as refusal:
                return refusal.answer
            except Refused as refused:
                return self.refused(refused, request.operation)

        name = f"{request.headers[MSN_HEADER]} {request.operation} {key}"
        return self._answers.once(name, request.body, find, answered)

    def _order(self, request: ApiRequest) -> Order:
        """Return the order of the path, whichever API initiated it, and count the call.

        Raises:
            Refusal: 400 for headers and path.
            Refused: UNKNOWN_PAYMENT, TOO_MANY_CALLS.
        """
        msn, reference = read_sales_unit(request.headers, EpaymentViolations()), request.path["reference"]
        if not REFERENCE.fullmatch(reference):
            text = "must be 8 to 64 letters, digits or hyphens"
            raise EpaymentViolations().refusal([("reference", text)])
        reads = request.operation in {"get", "events"}
        self._count(request, request.headers[SUBSCRIPTION_KEY] if reads else msn, reference)
        if request.keys is not None and not request.keys.covers(msn):
            raise Refused(Reason.UNKNOWN_PAYMENT, sales_unit=msn, reference=reference)
        order = self.services.book.find(reference, msn)
        self.services.customers.settle(order)
        return order

    def _count(self, request: ApiRequest, *whose: str) -> None:
        if request.operation in _PER_MINUTE:
            name = request.operation
            self.services.count_call(f"epayment.{name}", _PER_MINUTE[name], *whose)

    # -- create --------------------------------------------------------------------------------------------------------

    async def _create(self, request: ApiRequest) -> Answer:
        msn = read_sales_unit(request.headers, EpaymentViolations())
        # One without a reference counts with all others that have none.
        self._count(request, msn, _reference_in(request.body))
        key = self._key(request)
        if request.keys is not None and not request.keys.covers(msn):
            raise Refused(Reason.UNIT_NOT_AVAILABLE, sales_unit=msn)
        book = self.services.book
        return self._once(request, key, lambda: book.by_key(msn, key), lambda: self._enter(request, msn, key))

    def _enter(self, request: ApiRequest, msn: str, key: str) -> Answer:
        services, now = self.services, self.services.clock.now()
        settings = services.settings
        currency = settings.currencies.get(msn, "NOK")
        body, violations = self._body(request)
        read_creation(body, currency, now, hosts=services.callback_hosts, violations=violations)
        code = settings.refused_units.get(msn)
        if code in UNIT_CODES:
            raise coded(code)
        check_permissions(body, msn, settings)
        age = body.get("minimumUserAge", 0)
        if body.get("customer") and Customer().age(now.date()) < age:
            raise Refused(Reason.CUSTOMER_UNDER_AGE, sales_unit=msn)
        services.book.check_unused(body["reference"], msn)
        order = Order(
            payment=Payment(
                reference=body["reference"],
                sales_unit=msn,
                amount=body["amount"]["value"],
                currency=currency,
                text=body.get("paymentDescription", ""),
                initiated_at=now,
                new_transaction_id=services.book.new_transaction_id,
                key=key,
                terms=self._terms(msn, currency),
                expires_at=expiry_of(body, now),
            ),
            api=self.name,
            return_url=body.get("returnUrl", ""),
            is_app=body["userFlow"] == "NATIVE_REDIRECT",
            express=bool(body.get("shipping")),
            scope=frozenset(body.get("profile", {}).get("scope", "").split()),
            skip_landing_page=body["userFlow"] == "PUSH_MESSAGE",
            mobile_number=body.get("customer", {}).get("phoneNumber"),
            minimum_age=age,
            details=_details(body),
            offered=methods_of(body.get("shipping", {}).get("fixedOptions", ())) or None,
        )
        services.book.add(order)
        services.customers.watch(order)
        services.changed(order)
        answer: Json = {"reference": order.payment.reference}
        if (url := self._redirect_url(order)) is not None:
            answer["redirectUrl"] = url
        return json_answer(answer, 201)

    def _terms(self, msn: str, currency: str) -> Terms:
        settings, abroad = self.services.settings, currency != "NOK"
        return Terms(
            capture_days=_DAYS_ABROAD if abroad and msn not in settings.late_capture else Terms().capture_days,
            full_capture_only=abroad and msn not in settings.partial_capture,
            refusal_ends=False,
            released_in_time=True,
        )

    def _redirect_url(self, order: Order) -> str | None:
        if order.skip_landing_page:
            return None
        if order.details.get("userFlow") == "QR" and order.details["qrFormat"] != "TEXT/TARGETURL":
            return self.services.qr_url(order)
        return self.services.landing_url(order)

    # -- reads ---------------------------------------------------------------------------------------------------------

    async def _get(self, request: ApiRequest) -> Answer:
        order, now = self._order(request), self.services.clock.now()
        history, _ = order.payment.view(now, now - request.stale_by)
        url = self._redirect_url(order)
        return json_answer(get_answer(order, events_of(order.payment, history), now, url))

    async def _events(self, request: ApiRequest) -> Answer:
        order, now = self._order(request), self.services.clock.now()
        history, _ = order.payment.view(now, now - request.stale_by)
        return json_answer(events_answer(order.payment, events_of(order.payment, history)))

    # -- adjustments ---------------------------------------------------------------------------------------------------

    async def _move(self, request: ApiRequest) -> Answer:
        order = self._order(request)
        key = self._key(request)
        try:
            return self._once(request, key, lambda: order, lambda: self._moved(request, order, key))
        finally:
            # What is refused stands in the history, too.
            self.services.changed(order)

    def _moved(self, request: ApiRequest, order: Order, key: str) -> Answer:
        payment, fault = order.payment, request.disturbance
        body, violations = self._body(request)
        amount = read_modification(body, payment.currency, violations)
        if request.operation == "refund" and fault is UNDISTURBED and amount in REFUSED_REFUNDS:
            fault = Disturbance(reason=REFUSED_REFUNDS[amount])
        name, now = request.operation.upper(), self.services.clock.now()
        payment.move(name, amount, key=key, fingerprint="", text=payment.text, now=now, fault=fault)
        return json_answer(adjust_answer(payment))

    async def _cancel(self, request: ApiRequest) -> Answer:
        order = self._order(request)
        # A key may come, and nothing goes by it.
        self._key(request, required=False)
        body, violations = self._body(request) if request.body else ({}, EpaymentViolations())
        payment, fault = order.payment, request.disturbance
        if read_cancellation(body, violations) and payment.reserved_at is not None and fault.reason is None:
            fault = replace(fault, reason=Reason.RESERVED)
        try:
            payment.cancel(release_remaining=True, text=payment.text, now=self.services.clock.now(), fault=fault)
        finally:
            self.services.changed(order)
        return json_answer(adjust_answer(payment))

    async def _approve(self, request: ApiRequest) -> Answer:
        order = self._order(request)
        number, token = read_approval(*self._body(request))
        if order.api != self.name or order.express:
            raise Refused(Reason.NOT_TO_BE_FORCED)
        # Beside a number the token is a placeholder as often as not.
        if number is None and token != order.token:
            raise EpaymentViolations().refusal([("token", "is not the one of the payment's redirectUrl")])
        customer = Customer() if number is None else Customer(mobile_number=number)
        if customer.age(self.services.clock.now().date()) < order.minimum_age:
            raise Refused(Reason.CUSTOMER_UNDER_AGE)
        try:
            await self.services.customers.approve(order, customer=customer, force=True)
        except SandboxError as error:
            raise Refused(Reason.APPROVED_BEFORE) from error
        return Answer()

    # -- what faults make it say ---------------------------------------------------------------------------------------

    def unsettled(self, decided: Decided, request: ApiRequest, status: int, group: str) -> Answer:  # noqa: ARG002
        """Return a code of failure, of what was done before, 3010, a 402 or the gateway's 1000."""
        return unsettled_answer(decided, status)

    def contradict(self, decided: Decided, request: ApiRequest, answer: Answer) -> Answer:
        """Return the answer with another amount, state, reference or shape."""
        payment = self._known(*self.about(request))
        as_it_stands = None
        if decided.fault is Fault.FAILURE_STATUS_BEFORE and payment is not None:
            as_it_stands = adjust_answer(payment)
        return contradicted(decided, answer, as_it_stands)

    def words_of(self, answer: Answer) -> Mapping[str, str] | None:
        """Return title and code of a problem."""
        return words_of(answer)

    # -- the merchant and the customer ---------------------------------------------------------------------------------

    def webhook(self, order: Order, event: Event) -> WebhookNews:
        """Return the event, and with an authorization what that brings."""
        payment = order.payment
        body = {"msn": payment.sales_unit, **event_answer(payment, event)}
        if event.name == "AUTHORIZED" and event.success:
            body |= authorized_facts(order, self.services.clock.now())
        return WebhookNews(
            event=f"epayments.payment.{event.name.lower()}.v1",
            sales_unit=payment.sales_unit,
            reference=payment.reference,
            body=body,
        )

    async def shipping_methods(self, order: Order, customer: Customer) -> list[ShippingMethod]:
        """Ask the merchant, which has ten seconds.

        Raises:
            SandboxError: it gives none, or answers wrongly.
        """
        job = CallbackJob(
            kind="shippingDetails",
            order_id=order.payment.reference,
            merchant_serial_number=order.payment.sales_unit,
            url=order.details["callbackUrl"],
            auth_token=order.details.get("callbackAuthorizationToken"),
            body=shipping_question(order, customer),
            timeout=SHIPPING_TIMEOUT,
        )
        return read_shipping_answer(await self.services.call(job), order.payment.currency)

    def explain(self, reason: Reason) -> str:
        """Return the sentence that goes with the reason's code, and that."""
        code = code_of(reason)
        return f"{CODES[code][1]} ({code})"

    def facts(self, order: Order) -> list[tuple[str, str]]:
        """Return how the customer gets there, and where shipping is asked for; its token is a secret."""
        details, payment = order.details, order.payment
        facts = [("User flow", details["userFlow"]), ("Payment method", details["paymentMethod"])]
        if "callbackUrl" in details:
            token = "with a token, hidden" if "callbackAuthorizationToken" in details else "without a token"
            facts.append(("Shipping from", f"{details['callbackUrl']} ({token})"))
        if order.minimum_age:
            facts.append(("Minimum age", str(order.minimum_age)))
        if payment.terms.full_capture_only:
            facts.append(("Captures", "the whole amount alone"))
        facts += [(f"Metadata: {name}", value) for name, value in details.get("metadata", {}).items()]
        return facts


def _details(body: Json) -> Json:
    """Return what this API alone goes by, of a checked create."""
    details: Json = {
        "userFlow": body["userFlow"],
        "paymentMethod": body["paymentMethod"]["type"],
        "qrFormat": body.get("qrFormat", {}).get("format", "IMAGE/SVG+XML"),
        "qrSize": body.get("qrFormat", {}).get("size", 1024),
        **body.get("shipping", {}).get("dynamicOptions", {}),
    }
    return {**details, "metadata": body["metadata"]} if body.get("metadata") else details


def _reference_in(body: bytes) -> str:
    try:
        said = orjson.loads(body)
    except ValueError:
        return ""
    value = said.get("reference") if isinstance(said, dict) else None
    return str(value) if isinstance(value, str | int) else ""

"""The eCom API v2: handles each operation over the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from vipps_async.sandbox.ledger.customers import Customer, check_number
from vipps_async.sandbox.ledger.entries import Movement, PaymentOutcome, told_sums
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason, Refused, SandboxError
from vipps_async.sandbox.wire.ecom_answers import details_answer, result_answer, status_answer
from vipps_async.sandbox.wire.ecom_bodies import (
    EXPRESS,
    check_headers,
    check_order_id,
    check_request_id,
    read_approval,
    read_cancellation,
    read_initiation,
    read_payment_action,
)
from vipps_async.sandbox.wire.ecom_callbacks import callback_body, read_methods, read_shipping_answer, shipping_question
from vipps_async.sandbox.wire.ecom_contradictions import contradicted, unsettled_answer, words_of
from vipps_async.sandbox.wire.ecom_errors import (
    UNIT_CODES,
    code_of,
    error_text,
    invalid_request,
    refusal_for,
    vipps_refusal,
)
from vipps_async.sandbox.wire.ecom_fields import SALES_UNIT, EcomViolations
from vipps_async.sandbox.wire.ecom_money import MONEY
from vipps_async.sandbox.wire.face import (
    MSN_HEADER,
    SUBSCRIPTION_KEY,
    Answer,
    ApiRequest,
    CallbackJob,
    Face,
    Json,
    Route,
    json_answer,
)
from vipps_async.sandbox.wire.fault import Decided
from vipps_async.sandbox.wire.fields import read_json

#: Seconds that Vipps waits for shipping methods.
SHIPPING_TIMEOUT = 10.0
#: The vendor's published limits for one order of one sales unit, in calls a minute.
_PER_MINUTE = {"initiate": 2, "details": 120, "status": 120, **{name: one.per_minute for name, one in MONEY.items()}}
_PAYMENTS = "/ecomm/v2/payments"


class EcomFace(Face):
    """All endpoints."""

    name = "ecom"
    title = "eCom"
    key_header = "X-Request-Id"
    error_groups: ClassVar[tuple[str, ...]] = ("Payment", "VippsError", "Merchant")
    unit_codes: ClassVar[tuple[str, ...]] = tuple(UNIT_CODES)

    def routes(self) -> Sequence[Route]:
        """Return the operations. The vendor's quick start initiates with a slash at the end, shops at ``/Ecomm/v2``."""
        order = f"{_PAYMENTS}/{{order_id}}"
        approve = "/ecomm/v2/integration-test/payments/{order_id}/approve"
        return [
            Route(operation="initiate", method="POST", path=_PAYMENTS, handle=self._initiate),
            *(
                Route(
                    operation=name,
                    method=one.method,
                    path=f"{order}/{name}",
                    handle=self._cancel if name == "cancel" else self._move,
                    kind=one.kind,
                )
                for name, one in MONEY.items()
            ),
            Route(operation="details", method="GET", path=f"{order}/details", handle=self._details),
            Route(operation="status", method="GET", path=f"{order}/status", handle=self._status),
            Route(operation="approve", method="POST", path=approve, handle=self._approve),
        ]

    def refused(self, refused: Refused, operation: str) -> Answer:
        """Return one error with the code for the reason."""
        return refusal_for(refused, operation)

    def about(self, request: ApiRequest) -> tuple[str, str]:
        """Return sales unit and order id, of the body where neither header nor path has them."""
        try:
            body = orjson.loads(request.body)
        except ValueError:
            # It names none.
            body = None
        msn = request.headers.get(MSN_HEADER) or _named(body, "merchantInfo", "merchantSerialNumber")
        return msn, request.path.get("order_id") or _named(body, "transaction", "orderId")

    # -- payments --------------------------------------------------------------------------------------------------

    async def _initiate(self, request: ApiRequest) -> Answer:
        body = _json(request)
        read_initiation(body, self.services.callback_hosts, violations=self._violations("initiate"))
        order_id, msn = body["transaction"]["orderId"], _agreed_msn(request, body)
        if request.keys is not None and not request.keys.covers(msn):
            raise Refused(Reason.UNIT_NOT_AVAILABLE, sales_unit=msn)
        self._count("initiate", msn, order_id)
        self._permit(msn, body)
        order = self.enter(body)
        self.services.customers.watch(order)
        self.services.changed(order)
        return json_answer({"orderId": order_id, "url": self.services.landing_url(order)})

    def _permit(self, msn: str, body: Json) -> None:
        settings, transaction = self.services.settings, body["transaction"]
        code = settings.refused_units.get(msn)
        if code in UNIT_CODES:
            raise vipps_refusal("Merchant", code, UNIT_CODES[code], msn=msn)
        if settings.currencies.get(msn, "NOK") != "NOK":
            # There never was an eCom outside Norway.
            raise Refused(Reason.UNIT_NOT_AVAILABLE, sales_unit=msn)
        if transaction.get("skipLandingPage") and msn not in settings.skip_landing_page:
            raise Refused(Reason.MAY_NOT_SKIP_LANDING_PAGE, sales_unit=msn)
        if "nin" in transaction.get("scope", "").split() and msn not in settings.nin:
            raise Refused(Reason.MAY_NOT_ASK_FOR_NIN, sales_unit=msn)
        check_number(body["customerInfo"].get("mobileNumber"))

    def enter(self, body: Mapping[str, Any]) -> Order:
        """Enter the order of a checked initiate body.

        Raises:
            Refused: REFERENCE_USED, if the sales unit used the order id before.
        """
        merchant, transaction, book = body["merchantInfo"], body["transaction"], self.services.book
        msn, order_id = merchant["merchantSerialNumber"], transaction["orderId"]
        book.check_unused(order_id, msn)
        details = ("callbackPrefix", "authToken", "consentRemovalPrefix", "shippingDetailsPrefix")
        order = Order(
            payment=Payment(
                reference=order_id,
                sales_unit=msn,
                amount=transaction["amount"],
                text=transaction["transactionText"],
                initiated_at=self.services.clock.now(),
                new_transaction_id=book.new_transaction_id,
                direct_capture=msn in self.services.settings.direct_capture,
            ),
            api=self.name,
            return_url=merchant["fallBack"],
            is_app=merchant.get("isApp", False),
            express=merchant.get("paymentType") == EXPRESS,
            scope=frozenset(transaction.get("scope", "").split()),
            skip_landing_page=transaction.get("skipLandingPage", False),
            mobile_number=body["customerInfo"].get("mobileNumber"),
            details={name: merchant[name] for name in details if merchant.get(name)},
            offered=read_methods(merchant.get("staticShippingDetails", [])) or None,
        )
        book.add(order)
        return order

    async def _move(self, request: ApiRequest) -> Answer:
        body = _json(request)
        amount = read_payment_action(body, violations=self._violations(request.operation))
        required = self.services.settings.request_id_required
        key = check_request_id(request.headers.get(self.key_header), required=required)
        order = self._order_of_body(request, body)
        payment = order.payment
        try:
            done = payment.move(
                request.operation.upper(),
                amount,
                key=key,
                fingerprint=_fingerprint(body),
                text=body["transaction"]["transactionText"],
                now=self.services.clock.now(),
                fault=request.disturbance,
            )
        finally:
            # What is refused stands in the history, too.
            self.services.changed(order)
        return json_answer(result_answer(request.operation, payment.reference, done))

    async def _cancel(self, request: ApiRequest) -> Answer:
        body = _json(request)
        release_remaining = read_cancellation(body, violations=self._violations("cancel"))
        order = self._order_of_body(request, body)
        try:
            done = order.payment.cancel(
                release_remaining=release_remaining,
                text=body["transaction"]["transactionText"],
                now=self.services.clock.now(),
                fault=request.disturbance,
            )
        finally:
            self.services.changed(order)
        return json_answer(result_answer("cancel", order.payment.reference, done))

    async def _details(self, request: ApiRequest) -> Answer:
        order, now = self._order_of_path(request), self.services.clock.now()
        return json_answer(details_answer(order, now, as_of=now - request.stale_by))

    async def _status(self, request: ApiRequest) -> Answer:
        return json_answer(status_answer(self._order_of_path(request)))

    async def _approve(self, request: ApiRequest) -> Answer:
        order = self._order_of_path(request)
        key = check_request_id(request.headers.get(self.key_header), required=False)
        # Neither of its fields is needed, nor any body.
        body = _json(request) if request.body else {}
        number, token = read_approval(body, violations=self._violations("approve"))
        if token is not None and token != order.token:
            raise invalid_request([("token", "is not the one of the payment's url")])
        check_number(number)
        if key and order.payment.approved_by(key, _fingerprint(body)):
            return Answer()
        if order.express or order.skip_landing_page:
            raise Refused(Reason.NOT_TO_BE_FORCED)
        try:
            await self.services.customers.approve(order, force=True)
        except SandboxError as error:
            raise Refused(Reason.APPROVED_BEFORE) from error
        if key:
            order.payment.note_approval(key)
            self.services.changed(order)
        return Answer()

    # -- about which order -------------------------------------------------------------------------------------------

    def _violations(self, operation: str) -> EcomViolations:
        return EcomViolations(operation, self.services.ignored, strict=self.services.settings.strict)

    def _count(self, operation: str, *whose: str) -> None:
        if operation in _PER_MINUTE:
            self.services.count_call(f"ecom.{operation}", _PER_MINUTE[operation], *whose)

    def _order_of_body(self, request: ApiRequest, body: Json) -> Order:
        order_id = request.path["order_id"]
        check_order_id(order_id)
        msn = _agreed_msn(request, body)
        self._count(request.operation, msn, order_id)
        if request.keys is not None and not request.keys.covers(msn):
            raise Refused(Reason.UNKNOWN_PAYMENT, sales_unit=msn, reference=order_id)
        # What another API initiated is none of its orders, though their ids share one space.
        order = self.services.book.find(order_id, msn, api=self.name)
        self.services.customers.settle(order)
        return order

    def _order_of_path(self, request: ApiRequest) -> Order:
        _check_headers(request)
        order_id, keys = request.path["order_id"], request.keys
        check_order_id(order_id)
        msn = request.headers.get(MSN_HEADER)
        self._count(request.operation, request.headers[SUBSCRIPTION_KEY], msn or "", order_id)
        # Without the header the keys tell whose order it is; here, where any keys will do, the order itself.
        found = [
            order
            for order in self.services.book.all_of(order_id)
            if order.api == self.name
            and msn in {None, order.payment.sales_unit}
            and (keys is None or keys.covers(order.payment.sales_unit))
        ]
        if len(found) != 1:
            raise Refused(Reason.UNKNOWN_PAYMENT, sales_unit=msn or "", reference=order_id)
        self.services.customers.settle(found[0])
        return found[0]

    # -- what faults make it say -------------------------------------------------------------------------------------

    def unsettled(self, decided: Decided, request: ApiRequest, status: int, group: str) -> Answer:
        """Return 63, 52 or 74, 92, 99, a 402 or the gateway's 1000."""
        msn, order_id = self.about(request)
        # An initiate is not named in what refuses it so.
        order_id = request.path.get("order_id", "") and order_id
        return unsettled_answer(decided, status, group, order_id=order_id, msn=msn)

    def contradict(self, decided: Decided, request: ApiRequest, answer: Answer) -> Answer:
        """Return the answer with another amount, status or shape."""
        return contradicted(decided, answer, lambda: self._failed_result(request))

    def _failed_result(self, request: ApiRequest) -> Json:
        """Return what would be answered if the failed operation, the last of the history, had succeeded."""
        msn, order_id = self.about(request)
        payment = self.services.book.find(order_id, msn).payment
        failed = Movement(entry=payment.history[-1], sums=told_sums(payment.history))
        return result_answer(request.operation, payment.reference, failed)

    def words_of(self, answer: Answer) -> Mapping[str, str] | None:
        """Return group and code of the first error."""
        return words_of(answer)

    # -- the merchant and the customer -------------------------------------------------------------------------------

    def _job(
        self, kind: str, order: Order, prefix: str, path: str, *, method: str = "POST", **rest: Any
    ) -> CallbackJob:
        return CallbackJob(
            kind=kind,
            order_id=order.payment.reference,
            merchant_serial_number=order.payment.sales_unit,
            method=method,
            url=f"{order.details[prefix]}{path}",
            auth_token=order.details.get("authToken"),
            **rest,
        )

    def callback(self, order: Order, outcome: PaymentOutcome) -> CallbackJob:
        """Return the callback: the prefix, verbatim, with the path behind it."""
        numeric = self.services.settings.numeric_callback_msn
        body = callback_body(order, outcome, self.services.clock.now(), number_as_integer=numeric)
        return self._job("payment", order, "callbackPrefix", f"/v2/payments/{order.payment.reference}", body=body)

    async def shipping_methods(self, order: Order, customer: Customer) -> list[ShippingMethod]:
        """Ask the merchant, which has ten seconds.

        Raises:
            SandboxError: it gives none, or answers wrongly.
        """
        order_id = order.payment.reference
        job = self._job(
            "shippingDetails",
            order,
            "shippingDetailsPrefix",
            f"/v2/payments/{order_id}/shippingDetails",
            body=shipping_question(customer),
            timeout=SHIPPING_TIMEOUT,
        )
        return read_shipping_answer(await self.services.call(job), order_id)

    def consent_removal(self, user_id: str) -> CallbackJob | None:
        """Return a DELETE with the user id, which is base64, in its path."""
        order = self.services.book.by_user_id(user_id)
        if order is None or "consentRemovalPrefix" not in order.details:
            return None
        path = f"/v2/consents/{quote(user_id, safe='')}"
        return self._job("consentRemoval", order, "consentRemovalPrefix", path, method="DELETE")

    def explain(self, reason: Reason) -> str:
        """Return the sentence that goes with the reason's code, and that."""
        return f"{error_text(reason)} ({code_of(reason)[1]})"

    def return_url(self, order: Order) -> str:
        """Return `fallBack` with the parameter that the vendor calls phased out, and still sends."""
        payment = order.payment
        status = (
            "100" if payment.reserved_at is not None else "301" if payment.ending is PaymentOutcome.DECLINED else ""
        )
        if not status:
            return order.return_url
        url, mark, fragment = order.return_url.partition("#")
        return f"{url}{'&' if '?' in url else '?'}status={status}{mark}{fragment}"

    def facts(self, order: Order) -> list[tuple[str, str]]:
        """Return where the merchant is called; its token is a secret."""
        told = {
            "callbackPrefix": "Callbacks to",
            "shippingDetailsPrefix": "Shipping from",
            "consentRemovalPrefix": "Consent removal",
        }
        facts = [
            (label, order.details[name] + _said_of(order.details[name]))
            for name, label in told.items()
            if name in order.details
        ]
        return [*facts, ("Callback token", "yes, hidden" if "authToken" in order.details else "none")]


def _named(body: object, part: str, name: str) -> str:
    found = body.get(part) if isinstance(body, dict) else None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _said_of(url: str) -> str:
    return " (Vipps itself refuses http)" if url.lower().startswith("http:") else ""


def _check_headers(request: ApiRequest) -> None:
    check_headers(request.headers)
    msn = request.headers.get(MSN_HEADER)
    if msn is not None and not SALES_UNIT.fullmatch(msn):
        raise invalid_request([(MSN_HEADER, "must have 5 or 6 digits")])


def _json(request: ApiRequest) -> Json:
    _check_headers(request)
    return read_json(request.body, request.headers.get("Content-Type", ""), EcomViolations())


def _agreed_msn(request: ApiRequest, body: Json) -> str:
    """Return the sales unit of a checked body.

    Raises:
        Refusal: 400, if the header names another one.
    """
    msn: str = body["merchantInfo"]["merchantSerialNumber"]
    if request.headers.get(MSN_HEADER, msn) != msn:
        raise invalid_request([(MSN_HEADER, "must be the same in header and body")])
    return msn


def _fingerprint(body: Json) -> str:
    # The same payload, however its JSON was laid out.
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()

"""The Webhooks API v1: registers URLs for events, lists and deletes them."""

from __future__ import annotations

import base64
import re
import secrets
import uuid
from collections.abc import Sequence
from typing import Any

from vipps_async.sandbox.ledger.events import NAMES
from vipps_async.sandbox.ledger.reasons import Refused
from vipps_async.sandbox.ledger.registrations import Registration
from vipps_async.sandbox.wire import fields
from vipps_async.sandbox.wire.face import MSN_HEADER, Answer, ApiRequest, Face, Refusal, Route, json_answer
from vipps_async.sandbox.wire.fields import Field, Violations, drop_nulls, read_fields, read_json, read_sales_unit
from vipps_async.sandbox.wire.gateway import refused_by_gateway
from vipps_async.sandbox.wire.urls import violation_of_webhook

#: How many registrations there may be for one event of one sales unit, and for QR check-ins.
LIMIT, CHECK_IN_LIMIT = 25, 1
_CHECK_IN = "user.checked-in.v1"
_RECURRING = (
    "agreement-activated agreement-rejected agreement-stopped agreement-expired charge-reserved charge-captured "
    "charge-canceled charge-refunded charge-failed charge-creation-failed"
)
#: What may be registered for: only ePayment's events ever come.
EVENTS = frozenset(
    {
        *(f"epayments.payment.{name.lower()}.v1" for name in NAMES),
        *(f"recurring.{name}.v1" for name in _RECURRING.split()),
        _CHECK_IN,
        "login.merchant-initiated.ping.v1",
    }
)
#: Events whose names are not published in full.
_DONATION = re.compile(r"donations\.[a-z.-]+\.v[0-9]+")
#: The bytes of a secret, which are 88 characters of base64 text.
_SECRET_BYTES = 64
_WEBHOOKS = "/webhooks/v1/webhooks"


def _problem(status: int, title: str, detail: str, extra: Sequence[tuple[str, str]] = ()) -> Refusal:
    """Return a problem whose type, other than ePayment's, is a trace id."""
    trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    body = {
        "type": trace,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": _WEBHOOKS.removeprefix("/webhooks"),
        "traceId": trace,
        "extraDetails": [{"name": name, "reason": reason} for name, reason in extra] or None,
    }
    return Refusal(status, body, media="application/problem+json")


class _Violations(Violations):
    """Makes the refusals: one problem, with each field and what is wrong with it."""

    def refusal(self, found: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
        """Return a problem."""
        title = "Unsupported Media Type" if status == 415 else "Bad Request"
        return _problem(status, title, "One or more validation errors occurred.", found)


class WebhooksFace(Face):
    """The three operations. There is no update, and no idempotency key."""

    name = "webhooks"

    def routes(self) -> Sequence[Route]:
        """Return the operations."""
        one = f"{_WEBHOOKS}/{{id}}"
        return [
            Route(operation="register_webhook", method="POST", path=_WEBHOOKS, handle=self._register),
            Route(operation="list_webhooks", method="GET", path=_WEBHOOKS, handle=self._list),
            Route(operation="delete_webhook", method="DELETE", path=one, handle=self._delete),
        ]

    def refused(self, refused: Refused, operation: str) -> Answer:  # noqa: ARG002 - all are alike
        """Return a problem, but for what the gateway refuses."""
        return refused_by_gateway(refused) or _problem(403, "Forbidden", f"{refused.reason.value}.").answer

    def about(self, request: ApiRequest) -> tuple[str, str]:
        """Return the sales unit and the registration's id: it names no payment."""
        return request.headers.get(MSN_HEADER, ""), request.path.get("id", "")

    async def _register(self, request: ApiRequest) -> Answer:
        unit, registrations = self._unit(request), self.services.registrations
        url, events = self._read(request)
        most = {_CHECK_IN: CHECK_IN_LIMIT}
        full = [event for event in events if registrations.full(unit, [event], most.get(event, LIMIT))]
        if full:
            reason = f"The limit of registrations is reached for: {', '.join(full)}"
            raise _Violations().refusal([("Events", reason)])
        made = Registration(
            id=str(uuid.uuid4()),
            sales_unit=unit,
            url=url,
            events=events,
            secret=base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode(),
        )
        registrations.add(made)
        self.services.changed(None)
        return json_answer({"id": made.id, "secret": made.secret}, 201)

    async def _list(self, request: ApiRequest) -> Answer:
        found = self.services.registrations.of(self._unit(request))
        return json_answer({"webhooks": [{"id": one.id, "url": one.url, "events": list(one.events)} for one in found]})

    async def _delete(self, request: ApiRequest) -> Answer:
        unit, given = self._unit(request), request.path["id"]
        try:
            name = str(uuid.UUID(given))
        except ValueError:
            raise _Violations().refusal([("id", f"The value '{given}' is not valid.")]) from None
        if not self.services.registrations.remove(name, unit):
            raise _problem(404, "Not Found", "There is no such webhook.")
        self.services.changed(None)
        return Answer(204)

    def _unit(self, request: ApiRequest) -> str:
        unit = read_sales_unit(request.headers, _Violations())
        if request.keys is not None and not request.keys.covers(unit):
            raise _problem(403, "Forbidden", "These keys are not for this sales unit.")
        return unit

    def _read(self, request: ApiRequest) -> tuple[str, tuple[str, ...]]:
        settings = self.services.settings
        violations = _Violations(request.operation, self.services.ignored, strict=settings.strict)
        body: dict[str, Any] = read_json(request.body, request.headers.get("Content-Type", ""), violations)
        drop_nulls(body, violations)
        are_texts = fields.check_that(
            lambda value: isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value),
            "must be a list of texts that is not empty",
        )
        read_fields(
            body,
            {"url": Field(self._check_url, required=True), "events": Field(are_texts, required=True)},
            "",
            violations,
        )
        violations.settle()
        events = tuple(dict.fromkeys(body["events"]))
        unknown = [event for event in events if event not in EVENTS and not _DONATION.fullmatch(event)]
        if unknown:
            raise violations.refusal([("Events", f"Unsupported values: {', '.join(unknown)}")])
        return body["url"], events

    def _check_url(self, value: object) -> str | None:
        if not isinstance(value, str):
            return "must be text"
        return violation_of_webhook(value, hosts=self.services.callback_hosts)

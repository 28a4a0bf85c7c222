"""No secret or personal value shows in a repr, an error, a log or the journal."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest

import vipps_async.epayment.responses
from tests.epayment.service import EpaymentService, money, problem
from tests.epayment.sessions import ORDER, opened
from tests.support.rows import each_row
from vipps_async import MemoryJournal, VippsError, nok
from vipps_async.testing import answer

CANARY = "canary"
#: Fields that anybody may see. Whatever is not named here must not show: a new field is personal until someone has
#: thought about it.
PUBLIC = {
    "aggregate",
    "amount",
    "authorized_amount",
    "cancelled_amount",
    "capture_guaranteed_until",
    "captured_amount",
    "idempotency_key",
    "name",
    "payment_method",
    "profile",
    "psp_reference",
    "reference",
    "refunded_amount",
    "settled_by",
    "shipping_cost",
    "shipping_details",
    "shipping_option_id",
    "shipping_option_name",
    "state",
    "success",
    "time",
    "timestamp",
    "type",
}
MODELS = [
    each
    for each in vars(vipps_async.epayment.responses).values()
    if isinstance(each, type) and attrs.has(each) and each.__module__ == "vipps_async.epayment.responses"
]


@each_row("model", MODELS)
def test_reprs_show_public_fields_only(model: type[Any]) -> None:
    """Each field that is not public is left out of its model's repr."""
    for field in attrs.fields(model):
        assert bool(field.repr) is (field.name in PUBLIC), field.name


async def test_errors_logs_and_journal(service: EpaymentService, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever Vipps answers, number, token, URL and customer stand nowhere but in the request and the result."""
    caplog.set_level(logging.DEBUG)
    journal = MemoryJournal()
    personal = {
        "redirectUrl": f"https://pay-mt.vipps.no/?token={CANARY}",
        "userDetails": {"email": f"{CANARY}@example.com", "mobileNumber": "4791234567"},
        "profile": {"sub": CANARY},
        "customer": {"phoneNumber": "4791234567"},
        "metadata": {CANARY: CANARY},
    }
    shown = []
    service.faults = [
        answer(201, {"reference": "other-order-1"} | personal),
        answer(201, {"amount": money(1)} | personal),
        problem(400, "4070", detail="Number 4791234567 is none", **personal),
        problem(422, detail=f"token={CANARY}", **personal),
        answer(400, f"<p>{CANARY} 91234567</p>".encode()),
    ]
    async with opened(service, journal) as vipps:
        for number in range(len(service.faults)):
            with pytest.raises(VippsError) as caught:
                await vipps.epayment.create(
                    reference=f"{ORDER}-{number}",
                    amount=nok(499),
                    return_url=f"https://example.com/?key={CANARY}",
                    phone_number="4791234567",
                    metadata={CANARY: CANARY},
                )
            error = caught.value
            shown.append(f"{error} {error!r} {vars(error)} {error.__cause__!r} {vars(error.__cause__ or error)}")
        created = await vipps.epayment.create(
            reference=ORDER, amount=nok(499), phone_number="4791234567", return_url=f"https://example.com/?key={CANARY}"
        )
        payment = await vipps.epayment.get(ORDER)
        shown += [repr(created), repr(payment)]
        entries = [
            entry
            for reference in [ORDER, *(f"{ORDER}-{number}" for number in range(5))]
            for entry in await journal.find(payment=reference, merchant_serial_number="123456")
        ]
    assert len(entries) == 6
    shown += [f"{entry} {entry.intent.body!r} {entry.settlement and entry.settlement.answer!r}" for entry in entries]
    shown += [record.getMessage() for record in caplog.records]
    everything = "\n".join(shown)
    for secret in (CANARY, "91234567", "token=secret"):
        assert secret not in everything, everything[everything.index(secret) - 200 :][:300]

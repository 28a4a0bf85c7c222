"""Core knows no API: retries, journal, recovery and limits work over a toy API, with eCom not even there."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tests.batch.test_other_api import MSN, opened
from tests.toy.api import ToyApi, row_call
from tests.toy.service import ToyService
from tests.toy.without_ecom import run_without_ecom
from vipps_async.core.batch import BatchOperation
from vipps_async.core.operation import SettledBy
from vipps_async.core.rate_limit import PerPaymentRateLimiter
from vipps_async.errors import CaptureError, Effect, JournalError, OrderNotFoundError, OutcomeUnknown
from vipps_async.journals.entries import Entry, Intent, Outcome
from vipps_async.journals.memory import MemoryJournal

PACKAGE = Path(__file__).parents[2] / "vipps_async"


async def noted(toy: ToyApi, payment: str = "toy-0") -> list[Entry]:
    """What the journal has of a payment."""
    assert toy.journal is not None
    return await toy.journal.find(payment=payment, merchant_serial_number=MSN)


def intent(api: str = "toy", body: bytes = b'{"amount":{"currency":"EUR","value":300}}') -> Intent:
    """An intent that a process left behind."""
    return Intent(
        key="k-1",
        api=api,
        operation="capture",
        payment="toy-0",
        merchant_serial_number=MSN,
        amount=300,
        currency="EUR",
        digest=sha256(body).hexdigest(),
        body=body,
        created_at=datetime.now(UTC),
    )


async def test_a_call_that_is_refused_for_now_is_repeated_with_its_key() -> None:
    """The API's own code tells that the payment is locked: the same key and bytes go again, in the API's own header."""
    service = ToyService({"toy-0": 1000}, busy=2)
    async with opened(service, attempts=3) as (toy, _):
        result = await toy.runner.run(row_call(BatchOperation.CAPTURE, "toy-0", 300, key="k-1"))
        (entry,) = await noted(toy)
    assert (result.amount.value, service.sent) == (300, [("capture", "k-1")] * 3)
    assert (entry.intent.name, entry.intent.currency, entry.settlement is not None) == ("toy.capture", "EUR", True)


async def test_a_lost_answer_is_proven_by_the_apis_own_history() -> None:
    """The event log has the key as done: that is the result, and nothing is sent again."""
    service = ToyService({"toy-0": 1000}, losing=1)
    async with opened(service) as (toy, _):
        result = await toy.runner.run(row_call(BatchOperation.CAPTURE, "toy-0", 300, key="k-1"))
    assert (result.settled_by, len(service.sent)) == (SettledBy.HISTORY, 1)


async def test_a_refusal_is_typed_by_the_apis_own_codes() -> None:
    """A code of its own becomes the operation's class with its advice; one that can never change is recorded so."""
    service = ToyService({"toy-0": 1000})
    async with opened(service) as (toy, _):
        with pytest.raises(CaptureError, match="see the payment's events") as caught:
            await toy.runner.run(row_call(BatchOperation.CAPTURE, "toy-0", 9999, key="k-1"))
        with pytest.raises(OrderNotFoundError):
            await toy.runner.run(row_call(BatchOperation.CAPTURE, "toy-9", 1, key="k-2"))
        (entry,) = await noted(toy)
    assert (caught.value.effect, caught.value.operation, caught.value.payment) == (Effect.NONE, "toy.capture", "toy-0")
    assert entry.settlement is not None
    assert entry.settlement.outcome is Outcome.REFUSED


async def test_a_code_that_no_table_has_proves_nothing() -> None:
    """An API that says nothing of its unknown codes is not believed to have moved nothing: the call stays in doubt."""
    service = ToyService({"toy-0": 1000}, unknown=True)
    async with opened(service) as (toy, _):
        with pytest.raises(OutcomeUnknown) as caught:
            await toy.runner.run(row_call(BatchOperation.CAPTURE, "toy-0", 300, key="k-1"))
        (entry,) = await noted(toy)
    assert (caught.value.effect, entry.settlement) == (Effect.POSSIBLE, None)


async def test_what_a_process_left_behind_is_recovered_at_its_own_api() -> None:
    """It is looked up in the API's history and sent again by its path, header, key and bytes."""
    service, journal = ToyService({"toy-0": 1000}), MemoryJournal()
    async with opened(service, journal) as (toy, recovery):
        await journal.begin(intent(), owner="a process that died", lease=0)
        report = await recovery.run(concurrency=1)
        (entry,) = await noted(toy)
    assert (report.sent_again, report.stays_open, service.sent) == (1, 0, [("capture", "k-1")])
    assert entry.settlement is not None
    assert entry.settlement.outcome is Outcome.DONE


def test_limits_count_for_each_api() -> None:
    """A payment of the same name at another API has turns of its own."""
    limiter = PerPaymentRateLimiter()
    limiter.note("toy.capture", "a-1", 1, 100.0)
    assert limiter.wait_for_slot("toy.capture", "a-1", 1, 101.0) == 59.0
    assert limiter.wait_for_slot("ecom.capture", "a-1", 1, 101.0) == 0.0


def test_an_intent_never_goes_to_another_api() -> None:
    """An entry of an API that is not known here stays open by name; it is no call of eCom."""
    from vipps_async.apis import rebuild_call  # noqa: PLC0415 - eCom is blocked where the others run

    with pytest.raises(JournalError, match=r"'toy\.capture' of an API that this version does not know"):
        rebuild_call(intent())
    assert rebuild_call(intent(api="ecom")).path == "/ecomm/v2/payments/toy-0/capture"


_WITHOUT_ECOM = """
import asyncio
from tests.core import test_other_api as tests
asyncio.run(tests.test_a_call_that_is_refused_for_now_is_repeated_with_its_key())
asyncio.run(tests.test_a_lost_answer_is_proven_by_the_apis_own_history())
asyncio.run(tests.test_a_refusal_is_typed_by_the_apis_own_codes())
asyncio.run(tests.test_what_a_process_left_behind_is_recovered_at_its_own_api())
print("carried out")
"""


def test_core_needs_no_ecom() -> None:
    """With eCom's folder blocked from import, all of it works the same."""
    found = run_without_ecom(_WITHOUT_ECOM)
    assert (found.stdout, found.returncode) == ("carried out\n", 0), found.stderr


@pytest.mark.parametrize("room", ["core", "journals", "transports"])
def test_no_word_of_an_api_stands_below_the_apis(room: str) -> None:
    """Adding an API touches none of these floors."""
    words = ("ecomm", "x-request-id", "errorgroup", "transactionlog", "order_id", "orderid", "\u00f8re", "mobile")
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(word in line.casefold() for word in words)
    ]
    assert found == []

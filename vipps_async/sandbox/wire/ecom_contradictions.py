"""eCom's faulty answers: inconclusive, with a wrong value, or in a wrong shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.wire.ecom_errors import refusal_for, vipps_refusal
from vipps_async.sandbox.wire.ecom_money import MONEY
from vipps_async.sandbox.wire.face import Answer, Json, json_answer
from vipps_async.sandbox.wire.fault import Decided, Fault
from vipps_async.sandbox.wire.gateway import gateway_refusal, management_refusal

#: Words of failure that occur in answers, and words that no client knows.
_FAILURE_WORDS, _UNKNOWN_WORDS = ("Failed", "FAILED", "Rejected", "Cancelled"), ("Processed", "CAPTURE_PENDING", "Ok")


def unsettled_answer(decided: Decided, status: int, group: str, *, order_id: str, msn: str) -> Answer:
    """Return an inconclusive answer of the decided kind, status and group."""
    match decided.fault.name.split("_")[1]:
        case "99":
            return vipps_refusal(group, "99", "Internal error", status=status).answer
        case "1000":
            return management_refusal(status, "Error", "The request could not be completed.", code=1000).answer
        case "402":
            of_gateway = gateway_refusal(402, "Payment Required").answer
            return decided.one_of((of_gateway, refusal_for(Refused(Reason.BANK_REFUSED), "", status=402)))
        case kind:
            reason = Reason.FAILED if kind == "FAILED" else Reason.ENDED_BEFORE
            return refusal_for(Refused(reason, sales_unit=msn, reference=order_id), decided.operation, status=status)


def words_of(answer: Answer) -> Mapping[str, str] | None:
    """Return group and code of the first error; None for what is no refusal of this API."""
    said = orjson.loads(answer.body) if answer.body and answer.status >= 400 else None
    return {name: said[0][name] for name in ("errorGroup", "errorCode")} if isinstance(said, list) else None


def contradicted(decided: Decided, answer: Answer, failed_result: Callable[[], Json]) -> Answer:
    """Return an answer with something wrong in it, or as it is.

    Args:
        decided: what is to be wrong, for which operation, and in which variant.
        answer: the right answer.
        failed_result: gives what a success would say of the operation that just failed.
    """
    if decided.fault is Fault.FAILURE_STATUS_BEFORE:
        failed = {"errorGroup": "Payment", "errorCode": MONEY[decided.operation].failed_code}
        if words_of(answer) != failed:
            # It was refused in its own right.
            return answer
        said = failed_result()
        said[_where(decided)]["status"] = _failure_word(decided, said)
        return json_answer(said)
    if answer.status != 200 or not answer.body:
        return answer
    said = orjson.loads(answer.body)
    if decided.operation == "details":
        _contradict_details(decided, said)
    else:
        _contradict_result(decided, said)
    return json_answer(said)


def _where(decided: Decided) -> str:
    return MONEY[decided.operation].transaction_name


def _failure_word(decided: Decided, said: Json) -> str:
    # "Cancelled" is what a cancel says that succeeded.
    return decided.one_of([word for word in _FAILURE_WORDS if word != said[_where(decided)]["status"]])


def _contradict_result(decided: Decided, said: Json) -> None:
    where = _where(decided)
    match decided.fault:
        case Fault.OTHER_AMOUNT_AFTER:
            amount = said[where]["amount"]
            said[where]["amount"] = decided.one_of((amount + 1, amount * 2, max(1, amount // 2), 0))
        case Fault.FAILURE_STATUS_AFTER:
            said[where]["status"] = _failure_word(decided, said)
        case Fault.UNKNOWN_STATUS_AFTER:
            said[where]["status"] = decided.one_of(_UNKNOWN_WORDS)
        case Fault.NO_TRANSACTION_AFTER:
            del said[where]


def _contradict_details(decided: Decided, said: Json) -> None:
    entries: list[Json] = said["transactionLogHistory"]
    match decided.fault:
        case Fault.UNORDERED_DETAILS:
            # Turned, and with its ends swapped: neither oldest nor newest first.
            turn = decided.number % len(entries)
            entries[:] = entries[turn:] + entries[:turn]
            entries.sort(key=lambda entry: str(entry["transactionId"])[::-1])
        case Fault.DETAILS_WITHOUT_KEYS:
            for entry in entries:
                del entry["requestId"], entry["transactionId"]
        case Fault.DETAILS_ODD_TYPES:
            del said["orderId"]
            for name, value in said.get("transactionSummary", {}).items():
                said["transactionSummary"][name] = str(value)
            for entry in entries:
                entry["timeStamp"] = entry["timeStamp"].replace("Z", "+00:00")
                if entry["requestId"].isdigit():
                    entry["requestId"] = int(entry["requestId"])

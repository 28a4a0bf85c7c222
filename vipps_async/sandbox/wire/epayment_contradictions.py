"""ePayment's faulty answers: inconclusive, with a wrong value, or in a wrong shape."""

from __future__ import annotations

import orjson

from vipps_async.sandbox.ledger.reasons import Reason
from vipps_async.sandbox.wire.epayment_errors import code_in, code_of, coded, problem
from vipps_async.sandbox.wire.epayment_money import MONEY
from vipps_async.sandbox.wire.face import Answer, Json, json_answer
from vipps_async.sandbox.wire.fault import Decided, Fault
from vipps_async.sandbox.wire.gateway import gateway_refusal, management_refusal

#: States that say that there is nothing to adjust, and words that no client knows.
_FAILURE_WORDS, _UNKNOWN_WORDS = ("ABORTED", "EXPIRED", "CREATED"), ("CAPTURED", "PROCESSING", "FAILED")
_OTHER_REFERENCE = "another-payment"


def unsettled_answer(decided: Decided, status: int) -> Answer:
    """Return an inconclusive answer of the decided kind and status."""
    match decided.fault.name.split("_")[1]:
        case "FAILED":
            return coded(code_of(Reason.FAILED, decided.operation), status=status).answer
        case "92":
            return coded(MONEY[decided.operation].done_code, status=status).answer
        case "99":
            return coded("3010", status=status).answer
        case "1000":
            return management_refusal(status, "Error", "The request could not be completed.", code=1000).answer
        case _:
            of_gateway = gateway_refusal(402, "Payment Required").answer
            return decided.one_of((of_gateway, problem(402, "Payment Required", "Payment Required.").answer))


def contradicted(decided: Decided, answer: Answer, as_it_stands: Json | None) -> Answer:
    """Return an answer with something wrong in it, or as it is.

    Args:
        decided: what is to be wrong, for which operation, and in which variant.
        answer: the right answer.
        as_it_stands: what a success would say of a payment that nothing moved on; None: it is not needed.
    """
    if decided.fault is Fault.FAILURE_STATUS_BEFORE:
        failed = code_in(answer) == code_of(Reason.FAILED, decided.operation)
        # Else it was refused in its own right.
        return json_answer(as_it_stands) if failed else answer
    if answer.status != 200 or not answer.body:
        return answer
    said = orjson.loads(answer.body)
    if decided.operation == "events":
        _contradict_events(decided, said)
    elif decided.operation == "get":
        _contradict_get(decided, said)
    else:
        _contradict_adjustment(decided, said)
    return json_answer(said)


def _contradict_adjustment(decided: Decided, said: Json) -> None:
    match decided.fault:
        case Fault.OTHER_AMOUNT_AFTER:
            moved = said["aggregate"][MONEY[decided.operation].sum]
            value = moved["value"]
            moved["value"] = decided.one_of((value + 1, value * 2, max(1, value // 2) if value != 1 else 2, 0))
        case Fault.FAILURE_STATUS_AFTER:
            said["state"] = decided.one_of([word for word in _FAILURE_WORDS if word != said["state"]])
        case Fault.UNKNOWN_STATUS_AFTER:
            said["state"] = decided.one_of(_UNKNOWN_WORDS)
        case Fault.NO_TRANSACTION_AFTER:
            if decided.number % 2:
                said["reference"] = _OTHER_REFERENCE
            else:
                del said["aggregate"]


def _contradict_events(decided: Decided, said: list[Json]) -> None:
    match decided.fault:
        case Fault.UNORDERED_DETAILS:
            said.sort(key=lambda event: event["pspReference"])
            turn = decided.number % len(said)
            said[:] = said[turn:] + said[:turn]
        case Fault.DETAILS_WITHOUT_KEYS:
            for event in said:
                event.pop("idempotencyKey", None)
                del event["pspReference"]
        case Fault.DETAILS_ODD_TYPES:
            for event in said:
                # Seven digits of a second, and an offset.
                event["timestamp"] = event["timestamp"].replace("Z", "0000+00:00")
                del event["reference"]
                if event.get("idempotencyKey", "").isdigit():
                    event["idempotencyKey"] = int(event["idempotencyKey"])


def _contradict_get(decided: Decided, said: Json) -> None:
    match decided.fault:
        case Fault.DETAILS_WITHOUT_KEYS:
            del said["pspReference"]
        case Fault.DETAILS_ODD_TYPES:
            del said["reference"]
            for amount in said["aggregate"].values():
                amount["value"] = str(amount["value"])

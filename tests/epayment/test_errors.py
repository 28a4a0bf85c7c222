"""Each code of the ePayment API: its class, what it says about money, and what to do; and every shape of an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.epayment.service import problem
from tests.support.rows import each_row
from vipps_async import errors
from vipps_async.core.dialect import FailureKind
from vipps_async.core.refusal import Refusal, read_refusal
from vipps_async.core.stored_error import is_permanent, read_stored_error, write_stored_error
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.epayment.errors import CODE, rule_for
from vipps_async.epayment.operations import CANCEL, CAPTURE, CREATE, GET, REFUND
from vipps_async.errors import ApiError, CaptureError, Effect, ErrorInfo, PermissionDeniedError
from vipps_async.journals.entries import Outcome, Settlement
from vipps_async.testing import answer
from vipps_async.transports.protocol import Response

#: Every code that Vipps publishes: operation, status, class, and whether it is for now, settles nothing, is for good.
TABLE = """
3010 capture 500 ServerError retryable unsettled
4010 capture 409 IdempotencyMismatchError permanent
4020 create 409 IdempotencyMismatchError permanent
4040 create 400 InvalidRequestError
4050 create 400 InvalidRequestError
4060 create 400 InvalidRequestError
4070 create 400 InvalidRequestError
4080 create 400 InvalidRequestError
4090 create 400 InvalidRequestError
4100 create 400 InvalidRequestError
4110 create 400 InvalidRequestError
4120 create 400 InvalidRequestError
4130 create 400 InvalidRequestError
4140 create 400 InvalidRequestError
4150 create 409 DuplicateOrderError permanent
4150 refund 409 IdempotencyMismatchError permanent
4160 create 400 InvalidRequestError
5010 create 400 InvalidRequestError
5020 create 403 PermissionDeniedError
5030 create 403 PermissionDeniedError
5040 create 400 InvalidRequestError
5050 create 403 PermissionDeniedError
5060 create 403 MerchantError
5070 create 422 PaymentRefusedError
5080 create 403 PushNotAllowedError
5090 get 404 OrderNotFoundError
5100 refund 400 RefundError
6010 create 400 InvalidRequestError
6020 refund 400 RefundError
6030 cancel 400 CancelError permanent
6040 cancel 400 CancelError
6050 cancel 400 CancelError
6060 cancel 400 CancelError permanent
6070 capture 400 CaptureError permanent
6080 capture 400 CaptureError
6090 capture 400 CaptureError
6100 capture 400 CaptureError permanent
6110 create 400 InvalidRequestError
6120 create 400 InvalidRequestError
6130 create 400 InvalidRequestError
6140 capture 400 CaptureError
6150 refund 400 RefundError
6160 capture 423 OrderLockedError retryable
6170 capture 400 CaptureError probable
6180 refund 400 RefundError probable
6190 cancel 400 CancelError probable
6200 capture 400 CaptureError
6210 refund 400 RefundError
6220 refund 400 RefundError permanent
6230 get 400 ApiError
6250 cancel 409 CancelError retryable
6260 capture 400 CaptureError retryable
6280 capture 400 CaptureError retryable unsettled
7010 create 400 UserError
10010 create 400 PaymentRefusedError retryable
10020 create 400 PermissionDeniedError
10030 create 400 UserError
10040 create 400 UserError
10050 create 400 UserError
10060 create 400 PaymentRefusedError
10070 create 400 PaymentRefusedError
"""
ROWS = [
    (code, verb, int(status), kind, set(facts))
    for code, verb, status, kind, *facts in map(str.split, TABLE.split("\n")[1:-1])
]
VERBS: dict[str, Any] = {"capture": CAPTURE, "create": CREATE, "refund": REFUND, "cancel": CANCEL, "get": GET}


def read(response: Response, verb: str = "capture") -> Refusal:
    """Read an answer that is no success."""
    return read_refusal(response, VERBS[verb], FakeClock(), ("canary-secret",))


@each_row(("code", "verb", "status", "kind", "facts"), ROWS)
def test_each_code(code: str, verb: str, status: int, kind: str, facts: set[str]) -> None:
    """It has its class, advice and trace id, and says truly whether money may have moved."""
    found = read(problem(status, code), verb)
    error = found.error
    assert type(error) is getattr(errors, kind)
    assert (error.status, error.trace_id, error.retryable) == (status, "trace-1", "retryable" in facts)
    effects = {"unsettled": Effect.POSSIBLE, "probable": Effect.PROBABLE}
    assert error.effect is next((effects[fact] for fact in effects if fact in facts), Effect.NONE)
    assert is_permanent(error, EPAYMENT) is ("permanent" in facts)
    assert error.advice
    assert str(error.errors[0]) == f"ErrorCode {code}: No. (context id trace-1)"


@each_row(("code", "verb", "kind"), [(code, verb, kind) for code, verb, _, kind, _ in ROWS if code != "3010"])
@each_row("status", [400, 403, 404, 409, 422])
def test_the_status_is_data(code: str, verb: str, kind: str, status: int) -> None:
    """Few statuses are published, so the code decides, whatever the status is."""
    error = read(problem(status, code), verb).error
    assert type(error).__name__ == kind
    assert error.status == status


def test_three_captures_that_came_too_late() -> None:
    """The time is over, the bank holds the money no more, or it failed for the moment: each wants another deed."""
    found = {code: rule_for(ErrorInfo(CODE, code, "")) for code in ("6100", "6260", "6280")}
    assert None not in found.values()
    advice = {code: rule.advice for code, rule in found.items() if rule is not None}
    assert len(set(advice.values())) == 3
    assert "for good" in advice["6100"]
    assert "once a day" in advice["6260"]
    assert "some minutes" in advice["6280"]


def test_a_till_can_fall_back() -> None:
    """A sales unit that may not send push messages has a class of its own, which is a lack of permission as well."""
    error = read(problem(403, "5080"), "create").error
    assert type(error) is errors.PushNotAllowedError
    assert isinstance(error, PermissionDeniedError)
    assert "WEB_REDIRECT" in error.advice


@each_row(
    ("response", "verb", "failure", "retryable"),
    [
        (problem(400, "6090"), "capture", FailureKind.REFUSED, False),
        (problem(423), "capture", FailureKind.LOCKED, True),
        (problem(400, "6160"), "capture", FailureKind.LOCKED, True),
        (problem(400, "6250"), "cancel", FailureKind.LOCKED, True),
        (problem(409), "capture", FailureKind.CONFLICT, True),
        (problem(429), "capture", FailureKind.THROTTLED, True),
        (problem(400, "9999"), "capture", FailureKind.UNSETTLED, True),
        (problem(500, "6090"), "capture", FailureKind.UNKNOWN, True),
        (problem(503), "capture", FailureKind.UNKNOWN, True),
        (problem(400), "capture", FailureKind.REFUSED, False),
        (answer(404, {"statusCode": 404, "message": "Resource not found"}), "capture", FailureKind.REFUSED, False),
        (
            answer(429, {"statusCode": 429, "message": "Rate limit is exceeded."}),
            "capture",
            FailureKind.THROTTLED,
            True,
        ),
        (
            answer(
                400, {"responseInfo": {"responseCode": 1000, "responseMessage": "Bad"}, "result": {"message": "No"}}
            ),
            "capture",
            FailureKind.UNSETTLED,
            True,
        ),
        (answer(400, b"<html><body>Bad</body></html>"), "capture", FailureKind.FOREIGN, False),
        (answer(400, "a bare text"), "capture", FailureKind.FOREIGN, False),
        (answer(400, ["a", "list of", "texts"]), "capture", FailureKind.FOREIGN, False),
        (answer(502, b"Bad gateway"), "capture", FailureKind.UNKNOWN, True),
    ],
)
def test_kinds_of_failures_are_told_apart(
    response: Response, verb: str, failure: FailureKind, *, retryable: bool
) -> None:
    """A refusal, a lock, a pause that is asked for, a code that is not known, and what nobody at Vipps has said."""
    found = read(response, verb)
    assert (found.failure, found.error.retryable) == (failure, retryable)
    assert (found.error.effect is Effect.NONE) is not failure.doubtful


def test_a_code_of_later_belongs_to_its_operation() -> None:
    """It may be about money that moved, so nothing is called refused by it."""
    found = read(problem(400, "6999"))
    assert type(found.error) is CaptureError
    assert (found.failure, found.error.effect) == (FailureKind.UNSETTLED, Effect.POSSIBLE)
    assert type(read(problem(403, "6999")).error) is PermissionDeniedError
    assert type(read(problem(400, "6999"), "get").error) is ApiError


def test_what_settles_nothing_outranks_a_refusal_beside_it() -> None:
    """Of two codes in one answer the one that leaves things open decides."""
    details = [{"name": "ErrorCode", "reason": "6090"}, {"name": "errorCode", "reason": 3010}]
    found = read(problem(400, extraDetails=details))
    assert [info.code for info in found.error.errors] == ["6090", "3010"]
    assert (found.failure, type(found.error)) == (FailureKind.UNSETTLED, errors.ServerError)


def test_fields_that_were_refused() -> None:
    """A validation error has no code: the fields are named, in whichever capitals."""
    details = [
        {"name": "Amount.Value", "reason": "must be positive"},
        {"Name": "reference", "Reason": "too short"},
        "no object",
        {"name": ["no text"]},
    ]
    error = read(problem(400, title="Bad Request", detail="See extraDetails", extraDetails=details)).error
    assert type(error) is errors.InvalidRequestError
    assert [(info.group, info.code, info.message) for info in error.errors] == [
        ("", "Amount.Value", "must be positive"),
        ("", "reference", "too short"),
        ("", "", ""),
    ]
    assert error.effect is Effect.NONE


@pytest.mark.parametrize("details", [None, [], {}, "text", 7])
def test_a_problem_without_details(details: Any) -> None:
    """Title, detail and trace id are what is left."""
    error = read(problem(400, title="Bad Request", detail="Body is empty", status="400", extraDetails=details)).error
    assert [(info.code, info.message, info.context_id) for info in error.errors] == [
        ("", "Bad Request: Body is empty", "trace-1")
    ]
    assert type(error) is errors.InvalidRequestError


def test_a_text_that_is_said_twice() -> None:
    """It is shown once, also where one of both ends with a full stop."""
    for title, detail in (("Amount too high", "Amount too high"), ("Already captured", "Already captured.")):
        error = read(problem(400, "6170", title=title, detail=detail)).error
        assert error.errors[0].message == detail
        assert f"{error}".count(title) == 1


def test_errors_by_field_of_its_web_server() -> None:
    """They are read as they are for any API."""
    body = {"type": "t", "title": "Invalid", "status": 400, "traceId": "t-2", "errors": {"amount": ["too big", "odd"]}}
    error = read(answer(400, body)).error
    assert [(info.code, info.message) for info in error.errors] == [("t", "Invalid"), ("amount", "too big odd")]
    assert error.trace_id == "t-2"


def test_a_thousand_details_are_not_all_kept() -> None:
    """An answer cannot make the process grow."""
    details = [{"name": f"field{number}", "reason": "no"} for number in range(1000)]
    assert len(read(problem(400, extraDetails=details)).error.errors) == 20


def test_nothing_personal_is_shown() -> None:
    """Numbers, names and tokens in a text or in the body are taken out; the code and the trace id stay."""
    body = {
        "title": "Customer 91234567 canary-secret",
        "detail": "see kari@example.com",
        "customer": {"phoneNumber": "4791234567"},
        "redirectUrl": "https://pay-mt.vipps.no/?token=canary",
        "personalQr": "canary",
        "metadata": {"canary": "canary"},
        "profile": {"sub": "canary"},
        "extraDetails": [{"name": "ErrorCode", "reason": "4070"}],
        "traceId": "trace-1",
    }
    error = read(answer(400, body), "create").error
    shown = f"{error} {error!r} {error.body} {error.errors} {vars(error)}"
    for secret in ("canary", "91234567", "kari@"):
        assert secret not in shown
    assert (error.errors[0].code, error.trace_id) == ("4070", "trace-1")


@pytest.mark.parametrize("code", ["6100", "4070"])
def test_a_refusal_on_record_has_its_code_and_trace_id(code: str) -> None:
    """What a journal keeps of it is enough to act upon, and to ask Vipps about."""
    error = read(problem(400, code)).error
    now = FakeClock().now()
    kept = Settlement(outcome=Outcome.REFUSED, answer=write_stored_error(error), settled_at=now)
    again = read_stored_error(kept, ApiError)
    assert (type(again), again.trace_id, again.errors) == (type(error), "trace-1", error.errors)

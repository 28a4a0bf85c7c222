"""From an answer that is no success to an error: every code, every shape, and what nobody foresaw."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.fake_clock import FakeClock
from vipps_async import errors
from vipps_async.core.decision import Failure
from vipps_async.core.error_codes import LOCKED, UNKNOWN_ORDER, has_code, operation_error
from vipps_async.core.refusal import Refusal, parse_errors, read_refusal
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    CancelError,
    CaptureError,
    DuplicateOrderError,
    ErrorInfo,
    IdempotencyMismatchError,
    InvalidRequestError,
    MerchantError,
    OrderLockedError,
    OrderNotFoundError,
    PaymentRefusedError,
    PermissionDeniedError,
    RateLimitedError,
    RefundError,
    ServerError,
    UserError,
)
from vipps_async.testing import answer

OPERATIONS = ("initiate", "capture", "cancel", "refund", "details", "status", "approve", "token", "userinfo")
#: Stands for: the class that belongs to the operation.
OWN = None
OWN_CLASS = {"capture": CaptureError, "cancel": CancelError, "refund": RefundError}

CODES: dict[tuple[str, str], type[ApiError] | None] = {
    ("Payment", "41"): PaymentRefusedError,
    ("Payment", "42"): PaymentRefusedError,
    ("Payment", "43"): PaymentRefusedError,
    ("Payment", "44"): PaymentRefusedError,
    ("Payment", "45"): PaymentRefusedError,
    ("Payment", "51"): CancelError,
    ("Payment", "52"): CancelError,
    ("Payment", "61"): CaptureError,
    ("Payment", "62"): CaptureError,
    ("Payment", "63"): CaptureError,
    ("Payment", "71"): RefundError,
    ("Payment", "72"): RefundError,
    ("Payment", "73"): RefundError,
    ("Payment", "74"): RefundError,
    ("Payment", "93"): IdempotencyMismatchError,
    ("Payment", "95"): OWN,
    ("Payment", "98"): OWN,
    ("Payment", "1082"): PaymentRefusedError,
    ("VippsError", "91"): OWN,
    ("VippsError", "92"): OWN,
    ("VippsError", "93"): IdempotencyMismatchError,
    ("VippsError", "94"): OrderLockedError,
    ("VippsError", "98"): RateLimitedError,
    ("VippsError", "99"): ServerError,
    ("User", "81"): UserError,
    ("User", "82"): UserError,
    ("Merchant", "31"): MerchantError,
    ("Merchant", "32"): MerchantError,
    ("Merchant", "33"): MerchantError,
    ("Merchant", "34"): DuplicateOrderError,
    ("Merchant", "35"): OrderNotFoundError,
    ("Merchant", "36"): MerchantError,
    ("Merchant", "37"): MerchantError,
    ("Merchant", "38"): MerchantError,
    ("Merchant", "39"): MerchantError,
    ("Merchant", "51"): PermissionDeniedError,
    ("Merchant", "97"): MerchantError,
}
REPEATED = {("VippsError", "94"): Failure.LOCKED, ("VippsError", "98"): Failure.THROTTLED}


def read(status: int, body: object = b"", operation: str = "capture", **headers: str) -> Refusal:
    """Read a refusal of an operation."""
    return read_refusal(answer(status, body, headers=headers), operation, FakeClock(), ())


def item(group: str, code: str, message: str = "Some text.", **more: object) -> dict[str, object]:
    """Make an error as the API writes it."""
    return {"errorGroup": group, "errorCode": code, "errorMessage": message, **more}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("group", "code"), CODES)
def test_every_code_for_every_operation(group: str, code: str, operation: str) -> None:
    """Each code of Vipps becomes its class, or the operation's own, keeps all its facts and says what to do."""
    expected = CODES[group, code] or OWN_CLASS.get(operation, InvalidRequestError)
    refusal = read(400, [item(group, code, contextId="ctx-7")], operation)
    assert expected is type(refusal.error)
    assert refusal.error.errors == (ErrorInfo(group, code, "Some text.", "ctx-7"),)
    assert refusal.error.status == 400
    assert refusal.error.advice
    shown = str(refusal.error)
    assert f"{group} {code}: Some text. (context id ctx-7)" in shown


@pytest.mark.parametrize(("group", "code"), CODES)
def test_what_each_code_means_for_repeating(group: str, code: str) -> None:
    """A code is a refusal, but for a locked order, too many at once, and an internal error, which proves nothing."""
    refusal = read(400, [item(group, code)])
    wanted = REPEATED.get((group, code), Failure.UNKNOWN if (group, code) == ("VippsError", "99") else Failure.REFUSED)
    assert wanted is refusal.failure
    assert refusal.error.retryable is (wanted is not Failure.REFUSED)


def test_groups_are_read_in_any_case() -> None:
    """PAYMENTS for Payment has been seen; a locked order is a locked order however its group is written."""
    assert type(read(400, [item("PAYMENTS", "61")]).error) is CaptureError
    assert read(423, [item("VIPPSERROR", "94")]).failure is Failure.LOCKED
    assert read(400, [item("vippserror", "94")]).failure is Failure.LOCKED
    assert has_code((ErrorInfo("merchant", "35", ""),), UNKNOWN_ORDER)
    assert not has_code((ErrorInfo("Payment", "94", ""),), LOCKED)


@pytest.mark.parametrize(
    ("status", "group", "operation", "expected"),
    [
        (400, "Payment", "capture", CaptureError),
        (400, "Payment", "refund", RefundError),
        (400, "Payment", "initiate", PaymentRefusedError),
        (400, "User", "capture", UserError),
        (400, "Merchant", "capture", MerchantError),
        (400, "InvalidRequest", "capture", InvalidRequestError),
        (400, "Authentication", "capture", AuthenticationError),
        (400, "VippsError", "capture", ServerError),
        (401, "Merchant", "capture", AuthenticationError),
        (403, "Merchant", "capture", PermissionDeniedError),
        (423, "Merchant", "capture", OrderLockedError),
        (429, "Merchant", "capture", RateLimitedError),
        (402, "Brand-new", "capture", PaymentRefusedError),
        (422, "Brand-new", "capture", InvalidRequestError),
        (404, "Brand-new", "capture", ApiError),
        (500, "Payment", "capture", ServerError),
        (503, "Merchant", "capture", ServerError),
    ],
)
def test_codes_that_vipps_adds_later(status: int, group: str, operation: str, expected: type[ApiError]) -> None:
    """An unknown code keeps its text and falls into the class of a telling status, its group, or its status."""
    error = read(status, [item(group, "7777")], operation).error
    assert expected is type(error)
    assert error.errors[0].code == "7777"


@pytest.mark.parametrize(
    ("status", "failure", "error"),
    [
        (400, Failure.FOREIGN, InvalidRequestError),
        (401, Failure.UNAUTHORIZED, AuthenticationError),
        (402, Failure.FOREIGN, PaymentRefusedError),
        (403, Failure.REFUSED, PermissionDeniedError),
        (404, Failure.FOREIGN, ApiError),
        (405, Failure.REFUSED, ApiError),
        (408, Failure.UNKNOWN, ApiError),
        (409, Failure.CONFLICT, ApiError),
        (413, Failure.REFUSED, ApiError),
        (422, Failure.FOREIGN, InvalidRequestError),
        (423, Failure.LOCKED, OrderLockedError),
        (425, Failure.LOCKED, ApiError),
        (429, Failure.THROTTLED, RateLimitedError),
        (500, Failure.UNKNOWN, ServerError),
        (502, Failure.UNKNOWN, ServerError),
        (503, Failure.UNKNOWN, ServerError),
        (504, Failure.UNKNOWN, ServerError),
        (599, Failure.UNKNOWN, ServerError),
        (199, Failure.FOREIGN, ApiError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html><body>Sorry</body></html>", b'[{"errorGroup":"Pay'])
def test_a_status_without_a_readable_body(status: int, failure: Failure, error: type[ApiError], body: bytes) -> None:
    """Without Vipps' own words the status decides, and a 4xx of a stranger is no proof of anything."""
    refusal = read(status, body)
    assert failure is refusal.failure
    assert error is type(refusal.error)
    assert refusal.error.errors == ()
    assert "no readable error text" in str(refusal.error)


def test_a_conflict_that_explains_itself_is_a_refusal() -> None:
    """A 409 with a known code says what stands in the way; any other 409 may be our own earlier attempt."""
    assert read(409, [item("Merchant", "34")], "initiate").failure is Failure.REFUSED
    assert read(409, [item("Payment", "7777")]).failure is Failure.CONFLICT


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([item("Payment", "61", contextId="c")], [("Payment", "61", "Some text.", "c")]),
        (item("Payment", "61"), [("Payment", "61", "Some text.", None)]),
        ([item("InvalidRequest", "merchantInfo.msn", "Bad")], [("InvalidRequest", "merchantInfo.msn", "Bad", None)]),
        ([{"errorGroup": "Payment", "errorCode": 61, "errorMessage": None}], [("Payment", "61", "", None)]),
        ([{"errorCode": True, "errorGroup": ["x"]}], [("", "", "", None)]),
        ([{"errorMessage": "alone"}], [("", "", "alone", None)]),
        ({"statusCode": 401, "message": "Access denied."}, [("", "401", "Access denied.", None)]),
        (
            {"responseInfo": {"responseCode": 404, "responseMessage": "Not found"}, "result": {"message": "No route"}},
            [("", "404", "No route", None)],
        ),
        ({"responseInfo": {"responseCode": "5", "responseMessage": "Broken"}}, [("", "5", "Broken", None)]),
        (
            {"error": "invalid_client", "error_description": "AADSTS7000215", "error_codes": [7], "trace_id": "t-1"},
            [("", "invalid_client", "AADSTS7000215", "t-1")],
        ),
        ({"error": "x", "correlation_id": "co-1"}, [("", "x", "", "co-1")]),
        (
            {
                "type": "urn:problem:bad",
                "title": "Bad",
                "detail": "Very bad",
                "status": 400,
                "traceId": "t-2",
                "extraDetails": [{"name": "amount", "reason": "Too small"}, "noise"],
            },
            [("", "urn:problem:bad", "Bad: Very bad", "t-2"), ("", "amount", "Too small", None)],
        ),
        ({"title": "Bad", "status": 400, "errors": {"amount": ["x"]}}, [("", "400", "Bad", None)]),
        ([item("Payment", "61"), "noise", None, item("User", "81")], [("Payment", "61"), ("User", "81")]),
        ({}, []),
        ([], []),
        ("text", []),
        (7, []),
        (None, []),
        ({"error": {"code": 5}}, []),
    ],
)
def test_every_shape(body: object, expected: list[tuple[str, ...]]) -> None:
    """Each shape of an error body is read, with its code, text and context id, whatever types they come in."""
    found = parse_errors(orjson.dumps(body))
    assert [ErrorInfo(*(parts if len(parts) > 2 else (*parts, "Some text."))) for parts in expected] == list(found)


def test_several_errors_are_all_kept() -> None:
    """All errors of an answer are kept in their order; the first one that is known decides."""
    error = read(400, [item("Payment", "7777"), item("Merchant", "34"), item("User", "81")]).error
    assert type(error) is DuplicateOrderError
    assert [info.code for info in error.errors] == ["7777", "34", "81"]
    assert all(code in str(error) for code in ("7777", "34", "81"))


def test_a_huge_answer_is_cut() -> None:
    """Only so many errors of an answer are kept, and only so much text of each."""
    many = read(400, [item("Payment", "61", "x" * 5000)] * 5000).error
    assert len(many.errors) == 20
    assert all(len(info.message) <= 500 for info in many.errors)
    nested = parse_errors(orjson.dumps([{"title": "t", "extraDetails": [{"name": "n"}] * 50}] * 50))
    assert len(nested) == 20


def test_the_text_is_one_line() -> None:
    """However the answer breaks its lines, the error is one line."""
    error = read(400, [item("Payment", "6\n1", "a\r\nb\x0bc\u2028d\x85e", contextId="f\ng")]).error
    assert len(str(error).splitlines()) == 1
    assert len(repr(error).splitlines()) == 1


def test_confidential_values_are_taken_out() -> None:
    """What the call declares confidential stands nowhere in the error, even if the answer repeats it everywhere."""
    canary = "48059990"
    body = [item(canary, canary, f"number {canary} is bad", contextId=f"ctx {canary}")]
    error = read_refusal(answer(400, body), "initiate", FakeClock(), (canary,)).error
    assert canary not in f"{error!s} {error!r} {error.errors!r} {error.args!r}"


def test_retry_after_is_kept() -> None:
    """The error carries the seconds that Vipps asked to wait."""
    assert read(429, **{"retry-after": "12"}).error.retry_after == 12.0
    assert read(503, **{"retry-after": "soon"}).error.retry_after is None


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
def test_keys_that_the_token_endpoint_does_not_take(status: int, code: str) -> None:
    """A wrong client id is refused with 400 and no field is named: it is the keys that have to be looked at."""
    error = read_refusal(
        answer(status, {"error": code, "error_description": "AADSTS700016"}), "token", FakeClock(), ()
    ).error
    assert type(error) is AuthenticationError
    assert "check the keys" in str(error)


def test_the_class_of_an_operation() -> None:
    """An error that belongs to an operation has that operation's class."""
    assert [CaptureError, RefundError, CancelError, ApiError] == [
        operation_error(name) for name in ("capture", "refund", "cancel", "details")
    ]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "errorGroup",
                    "errorCode",
                    "errorMessage",
                    "contextId",
                    "statusCode",
                    "message",
                    "responseInfo",
                    "responseCode",
                    "result",
                    "error",
                    "error_description",
                    "trace_id",
                    "title",
                    "detail",
                    "type",
                    "status",
                    "extraDetails",
                    "invalidParams",
                    "errors",
                    "name",
                    "reason",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.binary(max_size=200) | json_values.map(orjson.dumps), st.integers(100, 999), st.sampled_from(OPERATIONS))
@example(b"[" * 100_000, 400, "capture")
@example(b'{"error":' * 100_000, 400, "capture")
@example(b"[" + b"{}," * 200_000 + b"{}]", 500, "capture")
@example(b'[{"errorCode":1e999}]', 400, "capture")
@example(b'[{"errorCode":' + b"9" * 5000 + b"}]", 400, "capture")
@example(b'{"errorCode":"\\ud800"}', 400, "capture")
@example(b"\xff\xfe\x00", 400, "capture")
def test_hostile_bodies_are_survived(body: bytes, status: int, operation: str) -> None:
    """Whatever bytes come with whatever status, the result is an error of ours in one line, never another exception."""
    refusal = read(status, body, operation)
    assert isinstance(refusal.error, ApiError)
    assert refusal.error.status == status
    assert len(refusal.error.errors) <= 20
    assert len(str(refusal.error).splitlines()) == 1


def test_every_api_error_is_reachable_or_made_elsewhere() -> None:
    """No class of the tree is left without an answer that leads to it, but the two that the pipeline itself raises."""
    reached = {each for each in CODES.values() if each} | {AuthenticationError, InvalidRequestError}
    classes = {
        each
        for name in errors.__all__
        if isinstance(each := getattr(errors, name), type) and issubclass(each, ApiError)
    }
    assert classes - reached == {ApiError, errors.PaymentUrlLostError}

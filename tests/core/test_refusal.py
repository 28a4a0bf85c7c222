"""From an answer that is no success to an error: every code, every shape, and what nobody foresaw."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.fake_clock import FakeClock
from tests.support.rows import each_row
from vipps_async import errors
from vipps_async.core.dialect import FailureKind
from vipps_async.core.error_body import read_error_body
from vipps_async.core.operation import Operation
from vipps_async.core.refusal import Refusal, read_refusal, shown_body
from vipps_async.core.token import FETCH_TOKEN
from vipps_async.ecom.dialect import ECOM
from vipps_async.ecom.errors import UNKNOWN_ORDER, has_code, read_error
from vipps_async.ecom.operations import OPERATIONS
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    CancelError,
    CaptureError,
    DuplicateOrderError,
    Effect,
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
from vipps_async.userinfo import USERINFO

BY_NAME: dict[str, Operation[Any]] = {**OPERATIONS, "token": FETCH_TOKEN.operation, "userinfo": USERINFO}
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
    ("Payment", "53"): OWN,
    ("Payment", "61"): CaptureError,
    ("Payment", "62"): CaptureError,
    ("Payment", "63"): CaptureError,
    ("Payment", "71"): RefundError,
    ("Payment", "72"): RefundError,
    ("Payment", "73"): RefundError,
    ("Payment", "74"): RefundError,
    ("Payment", "93"): IdempotencyMismatchError,
    ("Payment", "95"): OWN,
    ("Payment", "96"): OWN,
    ("Payment", "98"): OWN,
    ("Payment", "99"): ServerError,
    ("Payment", "1082"): PaymentRefusedError,
    ("Payment", "1501"): PaymentRefusedError,
    ("VippsError", "91"): OWN,
    ("VippsError", "92"): OWN,
    ("VippsError", "93"): IdempotencyMismatchError,
    ("VippsError", "94"): OrderLockedError,
    ("VippsError", "98"): RateLimitedError,
    ("VippsError", "99"): ServerError,
    ("User", "81"): UserError,
    ("User", "82"): UserError,
    ("User", "99"): ServerError,
    ("Customer", "81"): UserError,
    ("Customer", "82"): UserError,
    ("Merchant", "21"): InvalidRequestError,
    ("Merchant", "22"): InvalidRequestError,
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
    ("Merchant", "99"): ServerError,
    ("Merchant", "merchantInfo.fallBack.invalid"): InvalidRequestError,
}
REPEATED = {("VippsError", "94"): FailureKind.LOCKED, ("VippsError", "98"): FailureKind.THROTTLED}
#: What the vendor's own pages tell to ask details about and to repeat.
SETTLES_NOTHING = {("Payment", "52"), ("Payment", "63"), ("Payment", "74"), ("VippsError", "92")}


def read(status: int, body: object = b"", operation: str = "capture", **headers: str) -> Refusal:
    """Read a refusal of an operation."""
    return read_refusal(answer(status, body, headers=headers), BY_NAME[operation], FakeClock(), ())


def item(group: str, code: str, message: str = "Some text.", **more: object) -> dict[str, object]:
    """Make an error as the API writes it."""
    return {"errorGroup": group, "errorCode": code, "errorMessage": message, **more}


@each_row("operation", sorted(OPERATIONS))
@each_row(("group", "code"), CODES)
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


def expected_failure(group: str, code: str) -> FailureKind:
    """Say what kind of failure a known code is."""
    if code == "99" or (group, code) in SETTLES_NOTHING:
        return FailureKind.UNSETTLED
    return REPEATED.get((group, code), FailureKind.REFUSED)


@each_row(("group", "code"), CODES)
def test_what_each_code_means_for_repeating(group: str, code: str) -> None:
    """A code is a refusal, but for a locked order, too many at once, and what settles nothing."""
    refusal = read(400, [item(group, code)])
    wanted = expected_failure(group, code)
    assert wanted is refusal.failure
    assert refusal.error.retryable is (wanted is not FailureKind.REFUSED)
    effect = Effect.NONE if wanted is not FailureKind.UNSETTLED else Effect.POSSIBLE
    assert refusal.error.effect is (Effect.PROBABLE if (group, code) == ("VippsError", "92") else effect)
    assert refusal.suggests_effect is ((group, code) in {("VippsError", "92"), ("VippsError", "93"), ("Payment", "93")})


@each_row("status", [400, 401, 402, 403, 404, 408, 409, 422, 423, 429, 500, 502, 503])
@each_row(
    "body",
    [
        *([item(group, code)] for group, code in sorted(SETTLES_NOTHING)),
        *([item(group, "99")] for group in ("Payment", "VippsError", "User", "Merchant", "Brand-new", "")),
        {"responseInfo": {"responseCode": "1000", "responseMessage": "Failed"}, "result": {"message": "Failed"}},
        {"ResponseInfo": {"ResponseCode": 1000, "ResponseMessage": "Failed"}},
        [item("Payment", "61"), item("Payment", "63")],
        {"errorInfo": item("Payment", "74")},
    ],
    ids=lambda body: orjson.dumps(body).decode()[:60],
)
def test_what_settles_nothing_does_so_with_any_status(status: int, body: object) -> None:
    """The operation may have taken effect: the error says so, and to look before anything else."""
    refusal = read(status, body)
    assert refusal.failure is FailureKind.UNSETTLED
    assert refusal.error.effect is not Effect.NONE
    assert refusal.error.retryable
    assert re.search("ask details|look the payment up", refusal.error.advice)


@each_row("body", [b"", b"<html>", [item("Payment", "61")], [item("Merchant", "34")]])
@each_row("operation", sorted(OPERATIONS))
def test_a_402_settles_nothing(operation: str, body: object) -> None:
    """Any 402 leaves open what happened, and asks for details; a read's own 402 is no customer's card."""
    refusal = read(402, body, operation)
    assert refusal.failure is FailureKind.UNSETTLED
    assert re.search("ask details|look the payment up", refusal.error.advice)
    if body in (b"", b"<html>"):
        assert type(refusal.error) is (
            PaymentRefusedError if operation == "initiate" else OWN_CLASS.get(operation, ApiError)
        )


@each_row("group", ["Payment", "PAYMENTS", "VippsError"])
@each_row("status", [400, 403, 409, 422, 429, 500])
def test_an_unknown_code_of_the_groups_of_money_settles_nothing(group: str, status: int) -> None:
    """Whether a code that Vipps adds later is a refusal cannot be known; of the other groups it is one."""
    refusal = read(status, [item(group, "7777")])
    assert refusal.failure is FailureKind.UNSETTLED
    assert re.search("ask details|look the payment up", refusal.error.advice)
    assert read(401, [item(group, "7777")]).failure is FailureKind.UNAUTHORIZED
    assert read(400, [item("Merchant", "7777")]).failure is FailureKind.REFUSED


def test_groups_are_read_in_any_case() -> None:
    """PAYMENTS for Payment has been seen; a locked order is a locked order however its group is written."""
    assert type(read(400, [item("PAYMENTS", "61")]).error) is CaptureError
    assert read(423, [item("VIPPSERROR", "94")]).failure is FailureKind.LOCKED
    assert read(400, [item("vippserror", "94")]).failure is FailureKind.LOCKED
    assert has_code((ErrorInfo("merchant", "35", ""),), UNKNOWN_ORDER)
    assert not has_code((ErrorInfo("Payment", "94", ""),), ("VippsError", "94"))


@each_row(
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
        (402, "Brand-new", "capture", CaptureError),
        (402, "Brand-new", "initiate", PaymentRefusedError),
        (402, "Brand-new", "details", ApiError),
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


@each_row(
    ("status", "failure", "error"),
    [
        (400, FailureKind.FOREIGN, InvalidRequestError),
        (401, FailureKind.UNAUTHORIZED, AuthenticationError),
        (402, FailureKind.UNSETTLED, CaptureError),
        (403, None, PermissionDeniedError),
        (404, FailureKind.FOREIGN, ApiError),
        (405, FailureKind.REFUSED, ApiError),
        (408, FailureKind.UNKNOWN, ApiError),
        (409, FailureKind.CONFLICT, ApiError),
        (413, FailureKind.REFUSED, ApiError),
        (422, FailureKind.FOREIGN, InvalidRequestError),
        (423, FailureKind.LOCKED, OrderLockedError),
        (425, FailureKind.LOCKED, ApiError),
        (429, FailureKind.THROTTLED, RateLimitedError),
        (500, FailureKind.UNKNOWN, ServerError),
        (502, FailureKind.UNKNOWN, ServerError),
        (503, FailureKind.UNKNOWN, ServerError),
        (504, FailureKind.UNKNOWN, ServerError),
        (599, FailureKind.UNKNOWN, ServerError),
        (199, FailureKind.FOREIGN, ApiError),
    ],
)
@each_row("body", [b"", b"<html><body>Sorry</body></html>", b'[{"errorGroup":"Pay'])
def test_a_status_without_a_readable_body(
    status: int, failure: FailureKind | None, error: type[ApiError], body: bytes
) -> None:
    """Without Vipps' own words the status decides, and a 4xx of a stranger is no proof of anything.

    With 403 a page, and no other body, is a filter's, which may have looked at Vipps' answer.
    """
    if failure is None:
        failure = FailureKind.FOREIGN if body.startswith(b"<html>") else FailureKind.REFUSED
    refusal = read(status, body)
    assert failure is refusal.failure
    assert error is type(refusal.error)
    assert refusal.error.errors == ()
    shown = str(refusal.error)
    assert "no readable error text" in shown or "refused by something between here and Vipps" in shown
    assert refusal.error.effect is (Effect.POSSIBLE if failure.doubtful else Effect.NONE)


def test_a_conflict_that_explains_itself_is_a_refusal() -> None:
    """A 409 with a known code says what stands in the way; any other 409 may be our own earlier attempt."""
    assert read(409, [item("Merchant", "34")], "initiate").failure is FailureKind.REFUSED
    assert read(409, [item("Merchant", "7777")]).failure is FailureKind.CONFLICT


@each_row(
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
        (
            {"title": "Bad", "status": 400, "errors": {"amount": ["x", "y"], "msn": "z"}},
            [("", "400", "Bad", None), ("", "amount", "x y", None), ("", "msn", "z", None)],
        ),
        ({"errors": {"amount": ["x"]}}, [("", "amount", "x", None)]),
        (
            {"errors": [{"errorGroup": "Payment", "errorCode": "61", "errorMessage": "t"}]},
            [("Payment", "61", "t", None)],
        ),
        ({"errorInfo": item("Payment", "61", contextId="c")}, [("Payment", "61", "Some text.", "c")]),
        ({"errorInfo": [item("Payment", "61")]}, [("Payment", "61", "Some text.", None)]),
        ({"orderId": "a", "errorInfo": "text", "message": "alone"}, [("", "", "alone", None)]),
        ({"error": item("Payment", "61")}, [("Payment", "61", "Some text.", None)]),
        ({"error": {"code": "BadThing", "message": "Very bad"}}, [("", "BadThing", "Very bad", None)]),
        ({"message": "alone"}, [("", "", "alone", None)]),
        ({"Message": "alone"}, [("", "", "alone", None)]),
        ({"StatusCode": 404, "Message": "Not found"}, [("", "404", "Not found", None)]),
        (
            {"ResponseInfo": {"ResponseCode": "5", "ResponseMessage": "Broken"}, "Result": {"Message": "m"}},
            [("", "5", "m", None)],
        ),
        ([{"ErrorGroup": "Payment", "ErrorCode": "61", "ErrorMessage": "t"}], [("Payment", "61", "t", None)]),
        ([item("Payment", "61"), "noise", None, item("User", "81")], [("Payment", "61"), ("User", "81")]),
        ({}, []),
        ([], []),
        ("text", []),
        (7, []),
        (None, []),
        ({"error": {"code": 5}}, [("", "5", "", None)]),
        ({"error": {}}, []),
        ({"responseInfo": "x", "errors": "y"}, []),
    ],
)
def test_every_shape(body: object, expected: list[tuple[str, ...]]) -> None:
    """Each shape of an error body is read, with its code, text and context id, whatever types they come in."""
    found = read_error_body(orjson.dumps(body), read_error).errors
    assert [ErrorInfo(*(parts if len(parts) > 2 else (*parts, "Some text."))) for parts in expected] == list(found)


def test_several_errors_are_all_kept() -> None:
    """All errors of an answer are kept in their order; the first one that is known decides."""
    error = read(400, [item("Payment", "7777"), item("Merchant", "34"), item("User", "81")]).error
    assert type(error) is DuplicateOrderError
    assert [info.code for info in error.errors] == ["7777", "34", "81"]
    assert all(code in str(error) for code in ("7777", "34", "81"))


def test_a_huge_answer_is_cut() -> None:
    """Only so many errors of an answer are kept, and only so much text of each."""
    many = read(400, [item("Payment", "61", "x" * 5000)] * 1000).error
    assert len(many.errors) == 20
    assert all(len(info.message) <= 500 for info in many.errors)
    nested = read_error_body(orjson.dumps([{"title": "t", "extraDetails": [{"name": "n"}] * 50}] * 30), read_error)
    assert len(nested.errors) == 20
    fields = read_error_body(
        orjson.dumps({"errors": {f"field-{number}": ["x"] * 50 for number in range(50)}}), read_error
    )
    assert len(fields.errors) == 20
    assert len(many.body) == 2000


def test_the_text_is_one_line() -> None:
    """However the answer breaks its lines, the error is one line."""
    error = read(400, [item("Payment", "6\n1", "a\r\nb\x0bc\u2028d\x85e", contextId="f\ng")]).error
    assert len(str(error).splitlines()) == 1
    assert len(repr(error).splitlines()) == 1


def test_confidential_values_are_taken_out() -> None:
    """What the call declares confidential stands nowhere in the error, even if the answer repeats it everywhere."""
    canary = "48059990"
    body = [item(canary, canary, f"number {canary} is bad", contextId=f"ctx {canary}")]
    error = read_refusal(answer(400, body), BY_NAME["initiate"], FakeClock(), (canary,)).error
    assert canary not in f"{error!s} {error!r} {error.errors!r} {error.args!r}"


@each_row("secret", ["3", "9", "M", "P", "Pay", "Payme", "Payment", "Merchant", "VippsError"])
def test_what_is_decided_is_decided_on_what_was_received(secret: str) -> None:
    """A key that happens to stand in a code or a group turns no unknown order, and no doubt, into something else."""
    unknown = read_refusal(answer(404, [item("Merchant", "35")]), BY_NAME["details"], FakeClock(), (secret,)).error
    assert has_code(unknown.errors, UNKNOWN_ORDER)
    assert type(unknown) is OrderNotFoundError
    for group, code in (("VippsError", "99"), ("Payment", "63")):
        doubt = read_refusal(answer(400, [item(group, code)]), BY_NAME["capture"], FakeClock(), (secret,))
        assert doubt.failure is FailureKind.UNSETTLED
        assert doubt.error.errors[0].code == code


@pytest.mark.parametrize(
    "mark_and_encoding",
    [
        ("utf-8-sig", ""),
        ("utf-16-le", "\ufeff"),
        ("utf-16-be", "\ufeff"),
        ("utf-32-le", "\ufeff"),
        ("utf-32-be", "\ufeff"),
    ],
)
def test_a_refusal_behind_a_byte_order_mark(mark_and_encoding: tuple[str, str]) -> None:
    """In whichever Unicode form a refusal comes, it is read."""
    encoding, mark = mark_and_encoding
    text = mark + orjson.dumps([item("Payment", "61", "For mye på én gang")]).decode()
    refusal = read(400, text.encode(encoding))
    assert type(refusal.error) is CaptureError
    assert refusal.failure is FailureKind.REFUSED
    assert refusal.error.errors[0].message == "For mye på én gang"
    assert refusal.error.body.startswith('[{"errorGroup":"Payment"')
    broken = read(400, text.encode(encoding)[:-3])
    assert broken.error.errors == ()


NAMES = "Kari Nordmann, 48 05 95 28, kari@example.com"


@each_row(
    ("body", "kind"),
    [
        (f"<?xml version='1.0'?><fault><name>{NAMES}</name></fault>", "XML of 93 bytes"),
        ("name=Kari+Nordmann&phone=48059528", "a form of 33 bytes"),
        (NAMES, "text of 44 bytes"),
        (f'"{NAMES}"', "text of 46 bytes"),
        (f'{{"name": "{NAMES}', "JSON that is cut short, broken or endless, of 54 bytes"),
        (f"<!DOCTYPE html><html><head><title>\n Access\tDenied &amp; more</title></head>{NAMES}", "titled"),
        (f"<html><body>{NAMES}</body></html>", "an HTML page of 70 bytes"),
        (f"\x00\x01{NAMES}", "46 bytes that are no text"),
        ("Blåbærsyltetøy til Kari".encode("latin-1"), "text of 23 bytes"),
        (" \n", "an empty body"),
        (b"\xef\xbb\xbf", "an empty body"),
    ],
)
def test_what_is_no_json_is_told_by_its_kind(body: str | bytes, kind: str) -> None:
    """Names stand in XML, forms and free text where no key tells what they are: nothing of them is quoted."""
    raw = body if isinstance(body, bytes) else body.encode()
    error = read(400, raw).error
    assert kind in str(error)
    assert kind in shown_body(raw, ECOM, ())
    assert error.body == ""
    everything = f"{error!s} {error!r} {error.errors!r} {shown_body(raw, ECOM, ())}"
    assert not [word for word in ("Kari", "Nordmann", "example.com", "95 28", "48059528") if word in everything]


def test_a_page_tells_its_title_redacted() -> None:
    """Of an HTML page the title is quoted, on one line, cut, and without secrets."""
    page = f"<html><head><title> Hello\n canary-key &amp; kari@example.com {'x' * 400}</title></head></html>"
    error = read_refusal(answer(502, page.encode()), BY_NAME["capture"], FakeClock(), ("canary-key",)).error
    assert 'titled "Hello [redacted] & [redacted] xxx' in str(error)
    assert len(str(error)) < 600


def test_a_page_of_a_firewall() -> None:
    """A 403 with a page comes from a filter, perhaps of Vipps' answer: it settles nothing; keys are not the reason."""
    refusal = read(403, b"<html><body>No</body></html>")
    assert refusal.failure is FailureKind.FOREIGN
    assert refusal.error.effect is Effect.POSSIBLE
    error = read(403, b"<html><head><title>Request Rejected</title></head><body>Support ID 1</body></html>").error
    assert 'refused by something between here and Vipps (an HTML page of 82 bytes, titled "Request Rejected")' in str(
        error
    )
    assert "firewall" in error.advice
    assert "firewall" not in read(403, [item("Merchant", "51")]).error.advice


def test_the_body_is_kept_redacted() -> None:
    """The error has the answer's JSON, without the values that were declared confidential and without personal data."""
    body = {"errorCode": "61", "errorMessage": "x", "customer": {"email": "kari@example.com"}, "echo": "canary-key"}
    error = read_refusal(answer(400, body), BY_NAME["capture"], FakeClock(), ("canary-key",)).error
    assert error.body == ('{"errorCode":"61","errorMessage":"x","customer":{"email":[redacted]},"echo":"[redacted]"}')


@each_row(
    "header",
    [
        "-5",
        "9" * 5000,
        "1e999",
        "inf",
        "nan",
        "",
        ",",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "-",
        "Mon, 99 Foo 20x6",
        "1" * 70 + "." + "1" * 20,
        "\x00",
    ],
)
def test_absurd_waits_are_survived(header: str) -> None:
    """Whatever `Retry-After` says, it is seconds between nothing and a year, or nothing at all."""
    wait = read(429, **{"retry-after": header}).error.retry_after
    assert wait is None or 0.0 <= wait <= 365 * 86_400.0


def test_retry_after_is_kept() -> None:
    """The error carries the seconds that Vipps asked to wait."""
    assert read(429, **{"retry-after": "12"}).error.retry_after == 12.0
    assert read(503, **{"retry-after": "soon"}).error.retry_after is None


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
def test_keys_that_the_token_endpoint_does_not_take(status: int, code: str) -> None:
    """A wrong client id is refused with 400 and no field is named: it is the keys that have to be looked at."""
    error = read_refusal(
        answer(status, {"error": code, "error_description": "AADSTS700016"}), BY_NAME["token"], FakeClock(), ()
    ).error
    assert type(error) is AuthenticationError
    assert "check the keys" in str(error)


def test_the_class_of_an_operation() -> None:
    """An error that belongs to an operation has that operation's class."""
    assert [CaptureError, RefundError, CancelError, ApiError] == [
        BY_NAME[name].error for name in ("capture", "refund", "cancel", "details")
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
                    "errorInfo",
                    "ResponseInfo",
                    "Message",
                    "code",
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


@given(st.binary(max_size=200) | json_values.map(orjson.dumps), st.integers(100, 999), st.sampled_from(sorted(BY_NAME)))
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
    assert len(refusal.error.body) <= 2000
    assert len(str(refusal.error).splitlines()) == 1


def test_every_api_error_is_reachable_or_made_elsewhere() -> None:
    """No class of the tree is left without an answer that leads to it, but the two that the pipeline itself raises."""
    reached = {each for each in CODES.values() if each} | {AuthenticationError, InvalidRequestError}
    of_epayment = (
        EPAYMENT.rule_for(ErrorInfo(group="ErrorCode", code=f"{code}", message="")) for code in range(3000, 9999)
    )
    reached |= {rule.error for rule in of_epayment if rule is not None and rule.error is not None}
    classes = {
        each
        for name in errors.__all__
        if isinstance(each := getattr(errors, name), type) and issubclass(each, ApiError)
    }
    assert classes - reached == {ApiError, errors.PaymentUrlLostError}

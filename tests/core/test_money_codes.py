"""Which of Vipps' codes settle nothing, speak for an effect, or refuse for ever: written down a second time."""

from __future__ import annotations

from tests.core.fake_clock import FakeClock
from tests.core.samples import vipps_error
from tests.support.rows import each_row
from vipps_async.core.dialect import FailureKind
from vipps_async.core.refusal import read_refusal
from vipps_async.ecom import errors as error_codes
from vipps_async.ecom.operations import OPERATIONS
from vipps_async.errors import Effect, ErrorInfo
from vipps_async.testing import answer

#: From the vendor's words on each code: the payment may have changed, or may yet.
UNSETTLED = {("Payment", "52"), ("Payment", "63"), ("Payment", "74"), ("VippsError", "92"), ("", "1000")}
#: "Processed before", and "the key with another payload".
SUGGESTS_EFFECT = {("Payment", "93"), ("VippsError", "92"), ("VippsError", "93")}
#: Time does not run backwards, and a cancelled order stays so; a key keeps its payload, an order id its payment.
PERMANENT = {
    ("Payment", "73"),
    ("Payment", "93"),
    ("Payment", "95"),
    ("Payment", "96"),
    ("Payment", "98"),
    ("Merchant", "34"),
}
GROUPS = {"payment": "Payment", "vippserror": "VippsError", "user": "User", "merchant": "Merchant", "": ""}
ALL = [(GROUPS[group], code) for group, codes in error_codes._CODES.items() for code in codes]


@each_row(("group", "code"), ALL)
def test_each_code(group: str, code: str) -> None:
    """Each flag of each code."""
    rule = error_codes.rule_for(ErrorInfo(group, code, ""))
    assert rule is not None
    assert rule.unsettled == ((group, code) in UNSETTLED)
    assert rule.suggests_effect == ((group, code) in SUGGESTS_EFFECT)
    assert rule.permanent == ((group, code) in PERMANENT)


@each_row("group", ["Payment", "VippsError", "User", "Merchant", ""])
@each_row("status", [400, 402, 403, 409, 422, 500])
def test_an_internal_error_settles_nothing(group: str, status: int) -> None:
    """99 of any group, whatever the status."""
    refusal = read_refusal(vipps_error(status, group, "99"), OPERATIONS["capture"], FakeClock(), ())
    assert refusal.failure is FailureKind.UNSETTLED
    assert refusal.error.effect is Effect.POSSIBLE


@each_row(
    ("status", "group", "code", "failure"),
    [
        (400, "Payment", "63", FailureKind.UNSETTLED),
        # A 402 settles nothing, whatever stands in it.
        (402, "Payment", "61", FailureKind.UNSETTLED),
        # A code that Vipps has added later.
        (400, "Payment", "4711", FailureKind.UNSETTLED),
        (400, "VippsError", "4711", FailureKind.UNSETTLED),
        (400, "Merchant", "4711", FailureKind.REFUSED),
        (400, "Payment", "61", FailureKind.REFUSED),
        (409, "Payment", "61", FailureKind.REFUSED),
        (409, "Merchant", "4711", FailureKind.CONFLICT),
        (500, "Payment", "61", FailureKind.UNKNOWN),
        (408, "Payment", "61", FailureKind.UNKNOWN),
    ],
)
def test_what_an_answer_decides(status: int, group: str, code: str, failure: FailureKind) -> None:
    """The codes first, then the status."""
    assert read_refusal(vipps_error(status, group, code), OPERATIONS["capture"], FakeClock(), ()).failure is failure


@each_row(
    ("status", "failure"),
    [
        (400, FailureKind.FOREIGN),
        (404, FailureKind.FOREIGN),
        (422, FailureKind.FOREIGN),
        (403, FailureKind.REFUSED),
        (408, FailureKind.UNKNOWN),
        (500, FailureKind.UNKNOWN),
        (402, FailureKind.UNSETTLED),
        (409, FailureKind.CONFLICT),
    ],
)
def test_what_is_not_in_vipps_words(status: int, failure: FailureKind) -> None:
    """A refusal by somebody else is none, unless its status says that nothing was processed."""
    assert read_refusal(answer(status, b"<p>no"), OPERATIONS["capture"], FakeClock(), ()).failure is failure


def test_processed_before_speaks_for_an_effect() -> None:
    """92 says that it may be done."""
    refusal = read_refusal(vipps_error(400, "VippsError", "92"), OPERATIONS["capture"], FakeClock(), ())
    assert refusal.suggests_effect
    assert refusal.error.effect is Effect.PROBABLE

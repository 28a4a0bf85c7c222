"""The mutants of the ePayment API: what events, sums and codes prove, and what is kept of a call."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import of

__all__ = ["EPAYMENT_MUTANTS"]

_LOST = "tests/epayment/test_lost_answers.py"

EPAYMENT_MUTANTS: Final = (
    *of(
        "epayment/reconcile.py",
        ("tests/epayment/test_reconcile.py",),
        ("event for event in with_key if event.name in operation.in_history", "event for event in with_key"),
        ("        if event.success:\n            moved", "        if True:\n            moved"),
        ("event.idempotency_key == idempotency_key", "True"),
        ("if not events:", "if False:"),
        ("event.success and not event.name.known for", "False for"),
        ("and not event.idempotency_key and", "and False and"),
        ("and event.amount == amount\n", "\n"),
        ("failed=len(found)", "failed=0"),
        ("if payment.is_cancelled and not left:", "if payment.is_cancelled:"),
        ("if not state.known:", "if False:"),
        ("is_accepted and cancel_transaction_only,", "is_accepted,"),
        ("is_accepted and payment.captured_in_full", "payment.aggregate.captured_amount"),
        ("if payment.amount != amount:", "if payment.amount.value != amount.value:"),
        ("if payment.state == PaymentState.CREATED else None", "if True else None"),
        ("and has_code(error.errors, UNKNOWN_REFERENCE)", ""),
        ("isinstance(error, OrderNotFoundError) and", ""),
        ("sums.authorized_amount.value > 0 and ", ""),
        ("and not left_to_capture(sums) and", "and"),
        (" and not operation.left(sums)", ""),
    ),
    *of(
        "epayment/operations.py",
        ("tests/epayment/test_misfit.py", _LOST),
        ("asked.amount <= in_all.value", "True"),
        ("asked.currency == result.amount.currency == in_all.currency", "True"),
        ("EventName.CAPTURED, left_to_capture)", "EventName.AUTHORIZED, left_to_capture)"),
        ("EventName.REFUNDED, left_to_refund)", "EventName.CAPTURED, left_to_refund)"),
        ("if result.remaining_to_capture:", "if False:"),
        ("not result.is_cancelled:", "False:"),
        ("amount=Money(asked.amount, asked.currency)", "amount=told"),
        ("    repeat=Repeat.KEYED,\n    adjusts=False", "    repeat=Repeat.ONCE,\n    adjusts=False"),
        ("    adjusts=False,\n", ""),
        ("        repeat=Repeat.KEYED,\n        error=error", "        repeat=Repeat.ONCE,\n        error=error"),
        ("if body.user_flow is UserFlow.PUSH_MESSAGE:", "if False:"),
    ),
    *of(
        "epayment/calls.py",
        ("tests/epayment/test_rebuilt_calls.py", "tests/epayment/test_api.py", _LOST),
        ("evolve(CREATE, repeat=Repeat.ONCE)", "CREATE"),
        ("keep_body=False", "keep_body=True"),
        ("keep_answer=False", "keep_answer=True"),
        ("keep_answer=False, origin=KeyOrigin.GIVEN", "keep_answer=False, origin=KeyOrigin.MADE"),
        ("longest=EPAYMENT.longest_key", "longest=40"),
        ('= has_flag(intent.body, "cancelTransactionOnly")', "= False"),
    ),
    *of(
        "core/payment_calls.py",
        ("tests/epayment/test_rebuilt_calls.py", "tests/epayment/test_api.py", "tests/ecom/test_api.py"),
        ("KeyOrigin.GIVEN if row_reference is None", "KeyOrigin.MADE if row_reference is None"),
        ("request.get(name) is True", "bool(request.get(name))"),
        ("longest=longest", "longest=60"),
    ),
    *of(
        "epayment/responses.py",
        ("tests/epayment/test_responses.py",),
        ("max(0, left)", "left"),
        (" - sums.cancelled_amount.value", ""),
        ("max(0, sums.captured_amount.value - sums.refunded_amount.value)", "sums.captured_amount.value"),
        ("event.success and event.amount.currency == currency:", "event.success:"),
        ("event.success and event.amount.currency == currency:", "event.amount.currency == currency:"),
        ('EventName.TERMINATED: "cancelled_amount",\n', ""),
    ),
    *of(
        "epayment/operations.py",
        ("tests/epayment/test_parts.py", "tests/epayment/test_misfit.py"),
        ("(asked.amount == in_all.value and not left(result.aggregate))", "not left(result.aggregate)"),
        ("(asked.amount == in_all.value and not left(result.aggregate))", "asked.amount == in_all.value"),
        ("unproven=partial(_unproven, event, left)", "unproven=None"),
        ("EventName.CAPTURED, left_to_capture)", "EventName.CAPTURED, left_to_refund)"),
        ("EventName.REFUNDED, left_to_refund)", "EventName.REFUNDED, left_to_capture)"),
    ),
    *of(
        "epayment/errors.py",
        ("tests/epayment/test_errors.py",),
        ("return info.group == CODE\n\n\ndef error_class", "return False\n\n\ndef error_class"),
        ('if not info.group and info.code == "1000":', "if False:"),
        ("unsettled=True, suggests_effect=True)", "suggests_effect=True)"),
        ("if rule is _TAKEN:", "if False:"),
        ("name.casefold() == CODE.casefold()", "name == CODE"),
    ),
    *of(
        "epayment/dialect.py",
        ("tests/epayment/test_responses.py",),
        ('("" if found else None)', "None"),
    ),
    *of(
        "epayment/client.py",
        ("tests/epayment/test_api.py", _LOST),
        ("if created.settled_by is not SettledBy.JOURNAL:", "if True:"),
        ("None if payment.has_outcome else payment.redirect_url", "payment.redirect_url"),
    ),
    *of(
        "core/payment_api.py",
        ("tests/epayment/test_batch.py",),
        ("if state.currency != self.currency:", "if False:"),
        (" - planned", ""),
        ("(entry.verb, entry.key) == (verb, key)", "entry.verb == verb"),
    ),
    *of(
        "epayment/payment_api.py",
        ("tests/epayment/test_batch.py",),
        ("payment.is_cancelled and not payment.remaining_to_capture", "payment.is_cancelled"),
    ),
    *of(
        "core/open_entry.py",
        (_LOST, "tests/core/test_recovery.py", "tests/core/test_recovery_beside.py"),
        ("misfit is not None and misfit(call, evidence.result)", "True"),
        ("misfit is not None and misfit(call, evidence.result)", "False"),
    ),
    *of(
        "core/answer_reader.py",
        ("tests/epayment/test_parts.py",),
        ("(operation.unproven, FailureKind.UNPROVEN,", "(None, FailureKind.UNPROVEN,"),
        ("result if operation.complete is None else operation.complete(call, result)", "result"),
    ),
)

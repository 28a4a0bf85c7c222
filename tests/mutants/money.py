"""The mutants: each breaks a rule that keeps money from moving twice, from being lost, or from being told untruly."""

from __future__ import annotations

from tests.mutants.epayment import EPAYMENT_MUTANTS
from tests.mutants.mutant import Mutant, of

__all__ = ["MUTANTS"]

_VERDICT = of(
    "core/verdict.py",
    ("tests/core/test_verdict.py",),
    ("if isinstance(facts.evidence, Applied):", "if isinstance(facts.evidence, Applied) and facts.in_doubt:"),
    ("Verdict.REFUSED if facts.refused_for_good else", "Verdict.REFUSED if not facts.refused_for_good else"),
    ("Verdict.REFUSED if facts.refused_for_good else", "Verdict.REFUSED if True else"),
    ("facts.in_doubt <= 0", "facts.in_doubt < 0"),
    ("facts.in_doubt <= 0", "facts.in_doubt <= 1"),
    ("not isinstance(facts.evidence, NotApplied) or", ""),
    ("isinstance(facts.evidence, NotApplied) and facts.evidence.excluded", "False"),
    ("isinstance(facts.evidence, NotApplied) and facts.evidence.excluded", "isinstance(facts.evidence, NotApplied)"),
    ("facts.last_attempt_at + settle_after", "facts.last_attempt_at + settle_after / 2"),
    ("facts.last_attempt_at + settle_after", "facts.last_attempt_at + 2 * settle_after"),
    ("first < horizon or", "first <= horizon or"),
    ("first < horizon or", ""),
    ("now < first + LOOKS_APART", "now <= first + LOOKS_APART"),
    ("now < first + LOOKS_APART", "now < first"),
    ("timedelta(minutes=1)", "timedelta(seconds=59)"),
    ("timedelta(minutes=1)", "timedelta(minutes=2)"),
    ("{Verdict.REFUSED, Verdict.NOT_APPLIED}", "{Verdict.REFUSED, Verdict.NOT_APPLIED, Verdict.OPEN}"),
    ("if probable or verdict is Verdict.APPLIED", "if probable"),
    ("if probable or verdict is Verdict.APPLIED", "if verdict is Verdict.APPLIED"),
)
_ATTEMPTS = of(
    "core/attempts.py",
    ("tests/core/test_attempts.py",),
    ("self.earlier_in_doubt + self.begun - self.ended", "self.begun - self.ended"),
    ("self.earlier_in_doubt + self.begun - self.ended", "self.earlier_in_doubt + self.begun"),
    ("self.earlier_in_doubt + self.begun - self.ended", "self.earlier_in_doubt - self.ended"),
    ("self.earlier_in_doubt + self.begun - self.ended", "self.earlier_in_doubt + self.begun - self.ended - 1"),
    ("failure is FailureKind.REFUSED and self.in_doubt > 0", "False"),
    ("failure is FailureKind.REFUSED and self.in_doubt > 0", "failure is FailureKind.REFUSED"),
    ("self.begun += 1", "self.begun += 0"),
    ("self.ended += 1", "self.ended += 2"),
    ("if not failure.doubtful:", "if failure.doubtful:"),
    ("error if was_sent and isinstance(error, ApiError)", "error if isinstance(error, ApiError)"),
    ("is_done_before = failure is FailureKind.UNSETTLED and not error.retryable", "is_done_before = False"),
    ("(suggests_effect and failure.doubtful)", "suggests_effect"),
    ("(suggests_effect and failure.doubtful)", "False"),
    (
        "FailureKind.UNREADABLE, FailureKind.MISFIT, FailureKind.UNPROVEN}",
        "FailureKind.UNREADABLE, FailureKind.UNPROVEN}",
    ),
    ("FailureKind.UNREADABLE, FailureKind.MISFIT, FailureKind.UNPROVEN}", "FailureKind.MISFIT, FailureKind.UNPROVEN}"),
    (
        "FailureKind.UNREADABLE, FailureKind.MISFIT, FailureKind.UNPROVEN}",
        "FailureKind.UNREADABLE, FailureKind.MISFIT}",
    ),
)
_DIALECT = of(
    "core/dialect.py",
    (
        "tests/core/test_retry_table.py",
        "tests/core/test_attempts.py",
        "tests/core/test_stored_error.py",
        "tests/core/test_other_api.py",
    ),
    (
        "may_tell_of_money: Callable[[ErrorInfo], bool] = lambda _info: True",
        "may_tell_of_money: Callable[[ErrorInfo], bool] = lambda _info: False",
    ),
    ("        FailureKind.UNKNOWN,\n", ""),
    ("        FailureKind.CONFLICT,\n", ""),
    ("        FailureKind.UNSETTLED,\n", ""),
    ("        FailureKind.FOREIGN,\n", ""),
    ("        FailureKind.UNREADABLE,\n", ""),
    ("        FailureKind.MISFIT,\n", ""),
    ("        FailureKind.UNKNOWN,\n", "        FailureKind.UNKNOWN, FailureKind.REFUSED,\n"),
    ("        FailureKind.UNKNOWN,\n", "        FailureKind.UNKNOWN, FailureKind.NOT_SENT,\n"),
    ("return not error.retryable and any(", "return any("),
    ("rule is not None and rule.permanent for", "rule is not None for"),
)
_DECISION = of(
    "core/retry.py",
    ("tests/core/test_retry_table.py", "tests/core/test_attempts.py"),
    (
        "FailureKind.THROTTLED: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK)",
        "FailureKind.THROTTLED: (_Reaction.RETRY,) * 4",
    ),
    (
        "FailureKind.LOCKED: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK)",
        "FailureKind.LOCKED: (_Reaction.RETRY,) * 4",
    ),
    (
        "FailureKind.UNKNOWN: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK, _Reaction.ASK)",
        "FailureKind.UNKNOWN: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK)",
    ),
    (
        "FailureKind.UNKNOWN: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK, _Reaction.ASK)",
        "FailureKind.UNKNOWN: (_Reaction.RETRY, _Reaction.RETRY, _Reaction.ASK, _Reaction.RETRY)",
    ),
    (
        "FailureKind.CONFLICT: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.ASK)",
        "FailureKind.CONFLICT: (_Reaction.RETRY, _Reaction.RAISE, _Reaction.ASK, _Reaction.ASK)",
    ),
    (
        "FailureKind.UNSETTLED: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.ASK)",
        "FailureKind.UNSETTLED: (_Reaction.RETRY, _Reaction.RAISE, _Reaction.ASK, _Reaction.ASK)",
    ),
    (
        "FailureKind.UNREADABLE: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.LOOK)",
        "FailureKind.UNREADABLE: (_Reaction.RETRY, _Reaction.ASK, _Reaction.ASK, _Reaction.ASK)",
    ),
    (
        "FailureKind.MISFIT: (_Reaction.RETRY, _Reaction.LOOK, _Reaction.LOOK, _Reaction.RAISE)",
        "FailureKind.MISFIT: (_Reaction.RETRY, _Reaction.ASK, _Reaction.LOOK, _Reaction.RAISE)",
    ),
    (
        "FailureKind.MISFIT: (_Reaction.RETRY, _Reaction.LOOK, _Reaction.LOOK, _Reaction.RAISE)",
        "FailureKind.MISFIT: (_Reaction.RETRY, _Reaction.RAISE, _Reaction.LOOK, _Reaction.RAISE)",
    ),
    (
        "FailureKind.FOREIGN: (_Reaction.RAISE, _Reaction.RAISE,",
        "FailureKind.FOREIGN: (_Reaction.RAISE, _Reaction.RETRY,",
    ),
    (
        "FailureKind.REFUSED: (_Reaction.RAISE, _Reaction.RAISE,",
        "FailureKind.REFUSED: (_Reaction.RAISE, _Reaction.RETRY,",
    ),
)
_CODES = of(
    "ecom/errors.py",
    ("tests/core/test_money_codes.py", "tests/core/test_stored_error.py"),
    ('ask details, {_THEN_SAME_KEY}", retryable=True, unsettled=True)\n\n_PAYMENT', 'x", retryable=True)\n\n_PAYMENT'),
    ('then try to cancel again", retryable=True, unsettled=True', 'then try to cancel again", retryable=True'),
    (
        'what is captured, {_THEN_SAME_KEY}",\n        retryable=True,\n        unsettled=True,',
        'what is captured, {_THEN_SAME_KEY}",\n        retryable=True,',
    ),
    (
        'f"{_THEN_SAME_KEY}",\n        retryable=True,\n        unsettled=True,',
        'f"{_THEN_SAME_KEY}",\n        retryable=True,',
    ),
    ("        unsettled=True,\n        suggests_effect=True,", "        suggests_effect=True,"),
    ("        unsettled=True,\n        suggests_effect=True,", "        unsettled=True,"),
    (
        'gateway before Vipps failed: ask details, {_THEN_SAME_KEY}", retryable=True, unsettled=True',
        'gateway before Vipps failed: ask details, {_THEN_SAME_KEY}", retryable=True',
    ),
    ('"93": ErrorRule(IdempotencyMismatchError, suggests_effect=True),', '"93": ErrorRule(IdempotencyMismatchError),'),
    (
        '"93": ErrorRule(IdempotencyMismatchError, suggests_effect=True, permanent=True)',
        '"93": ErrorRule(IdempotencyMismatchError, permanent=True)',
    ),
    (
        '"93": ErrorRule(IdempotencyMismatchError, suggests_effect=True, permanent=True)',
        '"93": ErrorRule(IdempotencyMismatchError, suggests_effect=True)',
    ),
    ('nothing to refund", permanent=True)', 'nothing to refund")'),
    ("Vipps' consent\", permanent=True\n", "Vipps' consent\"\n"),
    ('after the reservation", permanent=True)', 'after the reservation")'),
    ('"34": ErrorRule(DuplicateOrderError, permanent=True)', '"34": ErrorRule(DuplicateOrderError)'),
    ('what is left to capture")', 'what is left to capture", permanent=True)'),
    ('see in details why not")', 'see in details why not", permanent=True)'),
    ('what is left to refund")', 'what is left to refund", permanent=True)'),
    ('cancel the payment instead")', 'cancel the payment instead", permanent=True)'),
    ("the order's state does not allow it: ask details; it may be cancelled\")", 'x", permanent=True)'),
    ('frozenset({"payment", "vippserror"})', 'frozenset({"payment"})'),
    ('frozenset({"payment", "vippserror"})', 'frozenset({"vippserror"})'),
)
_REFUSAL = of(
    "core/refusal.py",
    ("tests/core/test_money_codes.py",),
    (
        "(status == 402 or any(rule.unsettled for rule in rules), FailureKind.UNSETTLED)",
        "(status == 402, FailureKind.UNSETTLED)",
    ),
    ("(status == 402 or any(", "(any("),
    (
        "is None for info in body.errors),\n            FailureKind.UNSETTLED",
        "is None for info in body.errors),\n            FailureKind.REFUSED",
    ),
    ("(status == 409 and not rules, FailureKind.CONFLICT)", "(status == 409 and not rules, FailureKind.REFUSED)"),
    ("status == 408 or status >= 500", "status > 500"),
    ("status == 408 or status >= 500", "status >= 500"),
    ("return FailureKind.FOREIGN", "return FailureKind.REFUSED"),
    ("suggests_effect = any(rule.suggests_effect for rule in rules)", "suggests_effect = False"),
    ("if not failure.doubtful:\n        return Effect.NONE", "if True:\n        return Effect.NONE"),
    ("frozenset({401, 403, 405,", "frozenset({400, 401, 403, 405,"),
)
_RECORDED = of(
    "core/stored_error.py",
    ("tests/core/test_stored_error.py",),
    ("not is_about_token(error) and dialect.is_permanent(error)", "dialect.is_permanent(error)"),
)
_ENDING = of(
    "core/ending.py",
    ("tests/core/test_ending.py", "tests/core/test_given_up.py"),
    ("if self.verdict is not Verdict.OPEN:", "if self.failure is FailureKind.REFUSED:"),
    ("error.effect = effect_of(self.verdict)", "error.effect = Effect.POSSIBLE"),
    ("effect_of(self.verdict, probable=self.record.probable)", "effect_of(self.verdict)"),
    ("effect=effect_of(self.verdict, probable=self.record.probable)", "effect=Effect.NONE"),
    ("    if doubtful:\n", "    if not doubtful:\n"),
    ("        effect=Effect.PROBABLE,\n", "        effect=Effect.NONE,\n"),
)
_ANSWER_READER = of(
    "core/answer_reader.py",
    (
        "tests/core/test_given_up.py",
        "tests/core/test_pipeline.py",
        "tests/core/test_recorder.py",
        "tests/core/test_recorder_earlier_calls.py",
        "tests/ecom/test_cancel_again.py",
    ),
    ("if 300 <= response.status < 400:", "if False:"),
    ("if call.payment is not None and call.operation", "if False and call.operation"),
    ("            if why is not None:\n", "            if False:\n"),
    ("(operation.misfit, FailureKind.MISFIT,", "(None, FailureKind.MISFIT,"),
)
_PIPELINE = of(
    "core/pipeline.py",
    (
        "tests/core/test_given_up.py",
        "tests/core/test_pipeline.py",
        "tests/core/test_recorder.py",
        "tests/core/test_recorder_earlier_calls.py",
        "tests/ecom/test_cancel_again.py",
    ),
    ("if isinstance(error, RequestNotSent) else FailureKind.UNKNOWN", "if True else FailureKind.UNKNOWN"),
    ("FailureKind.NOT_SENT if isinstance(error, RequestNotSent)", "FailureKind.NOT_SENT if False"),
    ("                await record.count()\n", "                pass\n"),
    ("                record.uncounted += 1\n", ""),
    ("key=_key_of(call)", "key=None"),
    ("self._attempt_again(call, body, state),", "self._attempt_again(call, render(call), state),"),
)
_FAILED_CALL = of(
    "core/failed_call.py",
    (
        "tests/core/test_given_up.py",
        "tests/core/test_pipeline.py",
        "tests/core/test_recorder.py",
        "tests/core/test_recorder_earlier_calls.py",
        "tests/ecom/test_cancel_again.py",
    ),
    ("            if record.in_doubt:\n", "            if record.in_doubt > 1:\n"),
    ("failed.token is not None and _may_be_done_before(call, failed)\n", "False\n"),
    ("if isinstance(evidence, Applied) and evidence.misfit:", "if False:"),
    ("        if evidence.misfit:\n            record.moved", "        if False:\n            record.moved"),
    ("            record.moved_otherwise = evidence.result\n", ""),
    ("call.operation.repeat is Repeat.CONFIRM or (", "False or ("),
    ("call.audit.origin is not KeyOrigin.MADE", "call.audit.origin is KeyOrigin.MADE"),
    ("in_doubt=record.in_doubt,\n", "in_doubt=0,\n"),
    ("call.operation.repeat is Repeat.ONCE or (isinstance", "(isinstance"),
    ("call.operation.repeat is Repeat.ONCE or (isinstance", "True or (isinstance"),
    ("isinstance(evidence, NotApplied) and evidence.excluded", "False"),
    ("in_doubt=record.in_doubt,\n", "in_doubt=record.begun - record.ended,\n"),
    ("Verdict.OPEN if record.in_doubt else Verdict.REFUSED", "Verdict.REFUSED"),
    (
        'step = state.after_looking(evidence, now()) if step.then_send else Stop("")',
        "step = state.after_looking(evidence, now())",
    ),
)
_HEADERS = of(
    "core/headers.py",
    ("tests/core/test_headers.py", "tests/core/test_given_up.py"),
    ("headers[key[0]] = key[1]", 'headers["Request-Id"] = key[1]'),
    ("if key is not None:", "if False:"),
)
_REPETITION = of(
    "core/retry.py",
    ("tests/core/test_retry.py", "tests/core/test_given_up.py", "tests/core/test_pipeline.py"),
    (
        "return self._send_again(now) if isinstance(evidence, NotApplied) else Stop",
        "return self._send_again(now) if True else Stop",
    ),
    ('return Stop("") if is_excluded else self._send_again(now)', "return self._send_again(now)"),
    ("self.record.begun >= self._most", "self.record.begun > self._most"),
    ("Ask(then_send=reaction is _Reaction.ASK)", "Ask(then_send=True)"),
    ("now + pause + SHORTEST_ATTEMPT > self.deadline", "now > self.deadline"),
    ("math.inf, 5\n", "5, 5\n"),
    ("_MOST_LOOKS_OF_ROW if is_row else _MOST_LOOKS", "_MOST_LOOKS"),
    ("min(_LONGEST_LOOK_PAUSE, _FIRST", "max(0.0, _FIRST"),
    ("return pause if is_free or self._budget.spend(throttled=False) else None", "return pause"),
    ("is_free = looks == 0 or self._is_unproven", "is_free = looks == 0"),
)
_RULES = of(
    "journals/rules.py",
    ("tests/journals/test_rules.py",),
    (
        "begun=entry.attempts.begun + 1, ended=entry.attempts.ended, last_at=command.intent.created_at",
        "begun=entry.attempts.begun, ended=entry.attempts.ended, last_at=command.intent.created_at",
    ),
    (
        "ended=entry.attempts.ended, last_at=command.intent.created_at",
        "ended=entry.attempts.ended, last_at=entry.attempts.last_at",
    ),
    (
        "begun=entry.attempts.begun + 1, ended=entry.attempts.ended, last_at=command.at",
        "begun=entry.attempts.begun, ended=entry.attempts.ended, last_at=command.at",
    ),
    ("ended=entry.attempts.ended, last_at=command.at", "ended=entry.attempts.ended, last_at=entry.attempts.last_at"),
    (
        "    if entry.owner != command.owner:\n        return AcquireResult.HELD, entry",
        "    if False:\n        return AcquireResult.HELD, entry",
    ),
    ("acquired is AcquireResult.SETTLED and not _is_final(entry)", "acquired is AcquireResult.SETTLED"),
    ("acquired is AcquireResult.SETTLED and not _is_final(entry)", "False"),
    ('entry.owner not in {"", command.owner} and entry.lease_until > now', "False"),
    ("entry.lease_until > now", "entry.lease_until < now"),
    ("if entry.settlement is None or not _is_final(entry):\n        return True", "if True:\n        return True"),
    ("settlement.outcome is Outcome.DONE and entry.settlement.outcome is Outcome.REFUSED", "False"),
    ("for entry in open_entries if intent.adjusts else ():", "for entry in open_entries:"),
    ("if not other.adjusts or entry.settlement is not None:", "if entry.settlement is not None:"),
    ("if not other.adjusts or entry.settlement is not None:", "if not other.adjusts:"),
    ("if other.api != intent.api or (adopt and", "if True or (adopt and"),
    ("if other.api != intent.api or (adopt and", "if (adopt and"),
    ("or (adopt and is_equal and other.key != intent.key):", ":"),
    ("if other.name != intent.name:", "if False:"),
    (
        "settlement.outcome is Outcome.DONE and entry.settlement.outcome is Outcome.REFUSED",
        "settlement.outcome is Outcome.REFUSED",
    ),
    ("other.origin is not KeyOrigin.MADE or entry", "entry"),
    (" or entry.settlement is not None or other.key", " or other.key"),
    (" or other.key == intent.key:", ":"),
    ("if other.digest == intent.digest:", "if other.amount == intent.amount:"),
    ("other.amount == intent.amount and similar is None", "False"),
    ("evolve(attempts, ended=attempts.begun)", "attempts"),
    ("max(known.begun, command.attempts.begun)", "command.attempts.begun"),
    ("known.begun > command.attempts.begun)", "True)"),
    ("(command.attempts is None or known.begun > command.attempts.begun)", "command.attempts is not None"),
    ("min(attempts.ended + 1, attempts.begun)", "attempts.ended + 1"),
    ("command.settlement.outcome is Outcome.NOT_DONE and command.owner not in {None, entry.owner}", "False"),
    ("frozenset({Outcome.DONE, Outcome.REFUSED})", "frozenset({Outcome.DONE})"),
    ("entry.attempts if is_done else _all_ended", "_all_ended"),
    ("AcquireResult.SETTLED if _is_overruled(entry, settled) else None", "None"),
    ("now is not was and now.outcome is Outcome.DONE", "now is not was"),
    ("now is not was and now.outcome is Outcome.DONE", "now.outcome is Outcome.DONE"),
    ('owner=(command.owner or "") if overrules else entry.owner', "owner=entry.owner"),
    ("overrules = is_done and entry.settlement is not None", "overrules = is_done"),
)
_VERIFICATION = of(
    "ecom/reconcile.py",
    ("tests/ecom/test_reconcile.py",),
    ("(entry for entry in found if entry.operation_success)", "(entry for entry in found)"),
    ("[entry for entry in with_key if entry.operation in operations]", "with_key"),
    ("entry.operation_success and not entry.operation.known for entry in with_key", "False for entry in with_key"),
    ("and amount in {None, entry.amount}", "and amount is None"),
    ("failed=len(found))", "failed=1)"),
    ("if amount is not None and moved != amount:", "if False:"),
    ("if details.is_captured and not should_release_remaining_funds:", "if False:"),
    ("entry.operation_success and entry.operation in CANCEL.in", "entry.operation in CANCEL.in"),
    ("has_code(error.errors, UNKNOWN_ORDER)", "True"),
    ("if not details.transaction_log_history:", "if False:"),
    ('release the rest", excluded=True)', 'release the rest")'),
    ('no successful cancel")', 'no successful cancel", excluded=True)'),
    ("None if sums is not None and sums.remaining_amount_to_capture > 0 else sums", "sums"),
)
_HISTORY_WORDS = of(
    "ecom/enums.py",
    ("tests/ecom/test_reconcile.py", "tests/ecom/test_details.py"),
    ("frozenset({OperationName.CAPTURE, OperationName.SALE})", "frozenset({OperationName.CAPTURE})"),
    ("frozenset({OperationName.CANCEL, OperationName.VOID})", "frozenset({OperationName.CANCEL})"),
    ("frozenset({OperationName.RESERVE, OperationName.SALE})", "frozenset({OperationName.RESERVE})"),
)
_OPERATIONS = of(
    "ecom/operations.py",
    ("tests/ecom/test_misfit.py", "tests/ecom/test_reconcile.py"),
    ("if asked is not None and transaction.amount != asked:", "if False:"),
    ("transaction.amount != asked", "transaction.amount < asked"),
    ("transaction.amount != asked", "transaction.amount > asked"),
    ("if status in _WORDS and status not in wanted:", "if False:"),
    ("if status in _WORDS and status not in wanted:", "if status not in wanted:"),
    ('return None if sums is not None else "it has no transaction"', "return None"),
    ("if moved is None and sums is not None and sums.remaining_amount_to_capture > 0:", "if False:"),
    ("sums is not None and sums.remaining_amount_to_capture > 0:", "sums is not None and sums.captured_amount > 0:"),
    ("None if payment.url else", "None if True else"),
    ("misfit=_misfit(_REFUNDED, lambda", "misfit=_misfit(_CAPTURED, lambda"),
    ("misfit=_misfit(_CANCELLED, None)", "misfit=_misfit(_CANCELLED, lambda sums: sums.captured_amount)"),
    ("0 < transaction.amount <= moved", "0 <= transaction.amount <= moved"),
    ("<= moved(sums):", "<= 10**9:"),
    ('{"failed", "failure",', '{"failure",'),
    ("        if status not in _WORDS:\n", "        if status in _WORDS:\n"),
    ("        if status not in _WORDS:\n", "        if False:\n"),
)
_RESPONSES = of(
    "ecom/responses.py",
    ("tests/ecom/test_responses.py",),
    (
        'TransactionInfo = field(metadata=json_name("transactionInfo", "transaction"))',
        'TransactionInfo = field(default=None, metadata=json_name("transactionInfo", "transaction"))',
    ),
    (
        'TransactionInfo = field(metadata=json_name("transaction", "transactionInfo"))',
        'TransactionInfo = field(default=None, metadata=json_name("transaction", "transactionInfo"))',
    ),
)
_JOURNALLING = of(
    "core/recorder.py",
    (
        "tests/core/test_journalled_money.py",
        "tests/core/test_recorder.py",
        "tests/core/test_recorder_earlier_calls.py",
        "tests/faults/test_failing_journal.py",
        "tests/core/test_recovery.py",
        "tests/core/test_recovery_beside.py",
    ),
    ("_LEASE = 2.5", "_LEASE = 1.0"),
    ("_LEASE = 2.5", "_LEASE = 1.5"),
    ("elif not await self._is_ours(call, intent, owner):", "elif False:"),
    ("intent.identity and entry.owner == owner for", "intent.identity for"),
    ("_RECOVERY_LEASES = 3", "_RECOVERY_LEASES = 1"),
    ("call.audit.origin is KeyOrigin.MADE and call.operation", "call.operation"),
    ("            record.counted += 1\n", ""),
    ("attempts=known, unsent=True))\n            raise", "attempts=known))\n            raise"),
    ("attempts=known, unsent=True))\n            return", "attempts=known))\n            return"),
    ("self.release(intent, note, owner=owner, unsent=True)", "self.release(intent, note, owner=owner)"),
    ("self.release(entry.intent, note, owner=owner, unsent=True)", "self.release(entry.intent, note, owner=owner)"),
    (
        "            if error.effect is not Effect.NONE and not isinstance(error, DamagedEntryError):\n",
        "            if False:\n",
    ),
    ("earlier_in_doubt=attempts.in_doubt - 1)", "earlier_in_doubt=0)"),
    ("earlier_in_doubt=attempts.in_doubt, one_look=True", "earlier_in_doubt=0, one_look=True"),
    ("Verdict.OPEN if record.in_doubt else Verdict.NOT_APPLIED", "Verdict.NOT_APPLIED"),
    ("if not (noted and await self._quietly(call, self.journal.flush())):", "if not noted:"),
    ("error.effect, error.advice = Effect.POSSIBLE, _NOT_NOTED", "pass"),
    ("not left.\n                record.begun = record.ended = 1", "not left.\n                pass"),
    ('before it was sent"\n                record.begun = record.ended = 1', 'before it was sent"'),
    (
        "            if acquired is not AcquireResult.ACQUIRED:\n                raise",
        "            if False:\n                raise",
    ),
)
_STORED_OUTCOME = of(
    "core/stored_outcome.py",
    (
        "tests/core/test_journalled_money.py",
        "tests/core/test_recorder.py",
        "tests/core/test_recorder_earlier_calls.py",
        "tests/faults/test_failing_journal.py",
        "tests/core/test_recovery.py",
        "tests/core/test_recovery_beside.py",
    ),
    ("record.ended - record.uncounted", "record.ended"),
    ("ended=attempts.ended + record.ended", "ended=attempts.ended + record.begun"),
    ("Verdict.NOT_APPLIED: Outcome.NOT_DONE", "Verdict.NOT_APPLIED: Outcome.REFUSED"),
)
_OPEN_ENTRY = of(
    "core/open_entry.py",
    ("tests/core/test_recovery.py", "tests/core/test_recovery_beside.py", "tests/ecom/test_rebuilt_calls.py"),
    ('        if attempts.refusal:\n            return "its last', '        if False:\n            return "its last'),
    ("if evidence.failed >= attempts.begun:", "if evidence.failed > attempts.begun:"),
    ("if evidence.failed >= attempts.begun:", "if evidence.failed:"),
    ("if mine.origin is KeyOrigin.MADE and any(", "if any("),
    (
        "call.operation.repeat is Repeat.CONFIRM and any(one.adjusts and one.name != mine.name for one in later)",
        "False",
    ),
    ("in_doubt=max(attempts.in_doubt, 1)", "in_doubt=attempts.in_doubt - 1"),
    ("if evidence.excluded or call.operation.repeat is Repeat.ONCE:", "if evidence.excluded:"),
    ("if evidence.excluded or call.operation.repeat is Repeat.ONCE:", "if call.operation.repeat is Repeat.ONCE:"),
    ("settle_after = max(settle_after, _PAYMENT_LIVES)", "settle_after = _PAYMENT_LIVES"),
    ("elif self.intent.payment in self.lane.blocked:", "elif False:"),
    ("elif isinstance(evidence, Inconclusive):", "elif False:"),
    ("first_look_at=attempts.looked_at,", "first_look_at=now,"),
)
_RECOVERY = of(
    "core/recovery.py",
    (
        "tests/core/test_recovery.py",
        "tests/core/test_recovery_report.py",
        "tests/core/test_recovery_beside.py",
        "tests/ecom/test_rebuilt_calls.py",
    ),
    ("report.damaged += (await self._recorder.damaged())[:MOST_NAMED]", "pass"),
    ("                self._recorder.listening_for_overruled(report.add_overruled),\n", ""),
)
_TRANSPORTS = [
    *of(
        "transports/aiohttp/one_write.py",
        (
            "tests/transports/test_aiohttp_witness.py",
            "tests/transports/test_aiohttp_transport.py",
            "tests/transports/test_aiohttp_one_write.py",
        ),
        ("if self.sent or self.over:", "if self.over:"),
        ("if self.sent or self.over:", "if self.sent:"),
        ("        self.sent = True\n", ""),
    ),
    *of(
        "transports/aiohttp/connection.py",
        ("tests/transports/test_aiohttp_witness.py", "tests/transports/test_aiohttp_transport.py"),
        ("protocol.should_close or _has_pending_data(protocol, wire)", "False"),
    ),
    *of(
        "transports/aiohttp/session_request.py",
        (
            "tests/transports/test_unknown_versions.py",
            "tests/transports/test_aiohttp_witness.py",
            "tests/transports/test_aiohttp_transport.py",
        ),
        ("allow_redirects=False", "allow_redirects=True"),
        ("middlewares=(body.guard,)", "middlewares=()"),
        ("if self.sent or self.over:", "if self.over:"),
        ("if body.framed and not body.sent:", "if False:"),
        ("sent = body.sent if witnessed else not isinstance(cause, NEVER_CONNECTED)", "sent = body.sent"),
    ),
]
_HOLDING = of(
    "batch/holding.py",
    ("tests/batch/test_holding.py",),
    ("entry.intent.key == key and entry.intent.api == api", "entry.intent.key == key"),
    (" or intent.key == key:", ":"),
    ("    if record.damaged:\n", "    if False:\n"),
    ("own is not None and (dropped := send_again(own))", "False"),
    ("    if is_released:\n", "    if False:\n"),
    ("row.reference is None or not intent.reference", "row.reference is None"),
    ("entry.settlement is None or entry.settlement.outcome is Outcome.DONE", "entry.settlement is None"),
    ("return None if row.reference is not None else _corrected_by", "return None if True else _corrected_by"),
    ("intent.operation == operation.value and intent.key not in file_keys", "intent.operation == operation.value"),
    (" or not intent.reference or is_undecided", " or not intent.reference"),
)
_REFUSALS = of(
    "batch/refusals.py",
    ("tests/cli/test_batch_refused.py",),
    ("        return RowCause.KEY_OPEN, text\n", "        return RowCause.KEY_REFUSED, text\n"),
    ('(done := state.has_done(verb, command.key or "")) is not None', "(done := None) is not None"),
)
_SETTLED_FIRST = of(
    "batch/row_store.py",
    ("tests/cli/test_batch_settled.py",),
    ("opened} WHERE NOT EXISTS ({counted})", "opened} WHERE 1 OR EXISTS ({counted})"),
    ("AND rows.outcome IN ('done', 'otherwise', 'found done')", "AND rows.outcome IN ('refused')"),
)
_ROWS_TOLD = of(
    "batch/report_texts.py",
    ("tests/batch/test_plain_words.py",),
    ("cause is None or outcome is RowOutcome.UNKNOWN", "cause is None"),
)
_DRY_RUN = of(
    "batch/report.py",
    ("tests/cli/test_batch_settled.py",),
    (" and row.cause is not RowCause.TAKEN_EFFECT", ""),
)
_READ_AMOUNTS = of(
    "batch/amounts.py",
    ("tests/batch/test_spreadsheets.py",),
    ("(?!(?P=group))[.,](?P<decimals>[0-9]{2})", "[.,](?P<decimals>[0-9]{2})"),
    ("(?!(?P=group))[.,](?P<decimals>[0-9]{2})", "(?!(?P=group))[.,](?P<decimals>[0-9]{1,2})"),
)
_UNDECIDED = [
    *of(
        "core/undecided.py",
        ("tests/cli/test_payment_undecided.py", "tests/cli/test_batch_undecided.py", "tests/batch/test_holding.py"),
        ("if row.payment == payment]", "]"),
        ("for row in (*rows, *named)", "for row in named"),
        ("if entry.settlement is not None or not", "if not"),
    ),
    *of(
        "core/undecided.py",
        ("tests/cli/test_batch_settled.py", "tests/cli/test_batch_settled_cut.py"),
        ("entry.intent.operation in TAKING and", "False and"),
        ("entry.intent.operation in TAKING and", "True and"),
    ),
    *of(
        "reconciliation/report.py",
        ("tests/reconciliation/test_report.py",),
        ("net.add(sign * moved.journal, sign *", "net.add(moved.journal, sign *"),
        ("sign * moved.not_known", "0"),
    ),
    *of(
        "core/batch.py",
        ("tests/reconciliation/test_report.py", "tests/batch/test_holding.py"),
        ("        sign=-1,\n", "        sign=0,\n"),
    ),
    *of(
        "journals/slots.py",
        ("tests/journals/test_damage.py",),
        ("isinstance(command, Begin) and command.adopt)", "isinstance(command, Begin))"),
        ("return any(payment_of(command.intent) == row for command in begins)", "return False"),
    ),
    *of(
        "journals/rules.py",
        ("tests/journals/test_journal_contract.py",),
        ("elif acquired is AcquireResult.ACQUIRED and entry.attempts.is_dropped:", "elif False:"),
    ),
    *of(
        "core/open_entry.py",
        ("tests/core/test_recovery.py",),
        ('reason = reason if reason.startswith(dropped) else f"{dropped}; {reason}"', "pass"),
    ),
]
_ROWS = of(
    "core/batch.py",
    ("tests/batch/test_rows.py", "tests/batch/test_other_api.py", "tests/batch/test_reading.py"),
    ('("batch", operation.value, merchant_serial_number, self.payment)', '("batch", operation.value, self.payment)'),
    ('"file", self.origin.digest, self.origin.number)', '"file", self.origin.digest)'),
    ("not 0 < amount <= _LARGEST_AMOUNT", "amount > _LARGEST_AMOUNT"),
)
_PAYMENT_API = of(
    "core/payment_api.py",
    ("tests/batch/test_other_api.py", "tests/batch/test_reading.py", "tests/cli/test_other_api.py"),
    ("if not self.least <= amount <= self.largest:", "if not amount <= self.largest:"),
)
_BATCH_CLIENT = of(
    "core/batch_client.py",
    ("tests/batch/test_other_api.py", "tests/batch/test_reading.py", "tests/cli/test_other_api.py"),
    ("                    amount = entry.intent.amount\n", "                    pass\n"),
    ('state.has_done(command.operation.value, command.key or "")', "None"),
)
_MANY = of(
    "batch/many.py",
    ("tests/batch/test_other_api.py", "tests/batch/test_many.py", "tests/batch/test_many_sources.py"),
    ("            self._api.check(row, self._operation)\n", ""),
    ("return evolve(result, outcome=RowOutcome.UNKNOWN) if is_cancel else", "return result if is_cancel else"),
)
_PAYMENT_CHECK = of(
    "cli/payment_check.py",
    ("tests/cli/test_payment_earlier.py", "tests/cli/test_payment_undecided.py"),
    ("        if self.is_another:\n", "        if True:\n"),
    ("        if agreed:\n", "        if False:\n"),
    ("            self._check_amount(mine)\n", "            pass\n"),
    ("            await self._check_owner(journal, merchant_serial_number)\n", "            pass\n"),
    ("mine.settlement.outcome is not Outcome.NOT_DONE)", "True)"),
    ("and mine.attempts.is_dropped:", "and False:"),
    ("        if record.damaged:\n", "        if False:\n"),
    ("if entry.intent.api != self.api.name]:", "if False]:"),
    ("if not (self.open or self.damaged or self.is_done):", "if True:"),
    ("if not (self.open or self.damaged or self.is_done):", "if not self.open:"),
    ("and intent.amount == self.amount\n", "\n"),
    ("if row.position not in known]:", "if False]:"),
)
_ASKING = (
    *of(
        "cli/journal_open.py",
        ("tests/cli/test_questions.py",),
        ("and not entry.attempts.refusal", ""),
        (
            "        return await ask(what, settings, yes=yes, keeps_journal=True, declined=_DECLINED)\n",
            "        return None\n",
        ),
        ("return 0 if is_done else", "return"),
    ),
    *of(
        "cli/payment_command.py",
        ("tests/cli/test_payment_earlier.py", "tests/cli/test_payment_undecided.py"),
        ("                status = await self._check(journal, settings, told=told)\n", ""),
        ("is_told = set(self.checked.note.splitlines()) <= set(told.splitlines())", "is_told = True"),
        ("return is_locked or isinstance(error, DamagedEntryError)", "return is_locked"),
        ("error.status == 0 and not error.retryable\n", "error.status == 0\n"),
    ),
)
_OVERRULED = of(
    "core/journal_access.py",
    (
        "tests/core/test_recorder.py",
        "tests/core/test_recorder_earlier_calls.py",
        "tests/core/test_recovery.py",
        "tests/core/test_recovery_beside.py",
    ),
    ("            self._log.refusal_overruled(entry.intent)\n", ""),
    ("self.journal.on_overruled.append(self._tell_overruled)", "pass"),
)
_NEW_FILE = of(
    "journals/sqlite/opening.py",
    ("tests/journals/test_sqlite_failures.py",),
    ("    if not path.stat().st_size:\n", "    if False:\n"),
    ("partial = partial_of(path)", "partial = path"),
)
_VIEW_TESTS = ("tests/test_partner_keys.py", "tests/test_call_options.py")
_VIEWS = (
    *of(
        "session_parts.py",
        _VIEW_TESTS,
        (
            "recorder.view(pipeline, merchant_serial_number=msn,",
            "recorder.view(pipeline, merchant_serial_number='1234',",
        ),
        ("recovery=_recovery(recorder))\n", "recovery=self.recovery)\n"),
    ),
    *of(
        "core/pipeline.py",
        _VIEW_TESTS,
        ("            self._more_headers[MERCHANT_SERIAL_NUMBER] = msn\n", ""),
        ("            self._limiter = self._limiter.of_unit(msn)\n", ""),
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    *_OVERRULED,
    *_PAYMENT_CHECK,
    *_ASKING,
    *_NEW_FILE,
    *_VIEWS,
    *_VERDICT,
    *_ATTEMPTS,
    *_DIALECT,
    *_DECISION,
    *_CODES,
    *_REFUSAL,
    *_RECORDED,
    *_ENDING,
    *_ANSWER_READER,
    *_PIPELINE,
    *_FAILED_CALL,
    *_HEADERS,
    *_REPETITION,
    *_RULES,
    *_VERIFICATION,
    *_HISTORY_WORDS,
    *_OPERATIONS,
    *_RESPONSES,
    *_JOURNALLING,
    *_STORED_OUTCOME,
    *_OPEN_ENTRY,
    *_RECOVERY,
    *_HOLDING,
    *_UNDECIDED,
    *_ROWS,
    *_PAYMENT_API,
    *_BATCH_CLIENT,
    *_MANY,
    *_REFUSALS,
    *_SETTLED_FIRST,
    *_ROWS_TOLD,
    *_DRY_RUN,
    *_READ_AMOUNTS,
    *_TRANSPORTS,
    *EPAYMENT_MUTANTS,
)

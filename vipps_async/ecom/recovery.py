"""Makes the call again that a journal has an intent of, so that it can be asked about and sent again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson

from vipps_async.core.operation import Call, Note, Operation, Verification
from vipps_async.ecom.operations import CANCEL, CAPTURE, INITIATE, REFUND
from vipps_async.ecom.verification import verify_cancel, verify_capture, verify_initiate, verify_refund
from vipps_async.errors import JournalError
from vipps_async.journals.protocol import Intent

__all__ = ["CALLBACK", "CONSENT_REMOVAL", "NOTES", "rebuild_call"]

#: Entries that a journal keeps of what Vipps has called: whoever received it sees to them, not recovery.
CALLBACK: Final = "callback"
CONSENT_REMOVAL: Final = "consent_removal"
NOTES: Final = frozenset({CALLBACK, CONSENT_REMOVAL})

_KEYED: dict[str, tuple[Operation[Any], Callable[..., Verification[Any, Any]]]] = {
    CAPTURE.verb: (CAPTURE, verify_capture),
    REFUND.verb: (REFUND, verify_refund),
}


def rebuild_call(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for; its body is the intent's own bytes, not rendered anew.

    Raises:
        JournalError: the intent is of an operation that this version does not know.
    """
    order_id, key = intent.payment, intent.key
    note = Note(
        amount=intent.amount,
        origin=intent.origin,
        reference=intent.reference,
    )
    if intent.operation in _KEYED:
        operation, verify = _KEYED[intent.operation]
        return Call(
            operation=operation,
            path=operation.path_for(order_id),
            payment=order_id,
            idempotency_key=key,
            make_verification=partial(verify, order_id, idempotency_key=key, amount=intent.amount),
            note=note,
        )
    if intent.operation == CANCEL.verb:
        return Call(
            operation=CANCEL,
            path=CANCEL.path_for(order_id),
            payment=order_id,
            make_verification=partial(
                verify_cancel, order_id, should_release_remaining_funds=_releases_rest(intent.body)
            ),
            note=note,
        )
    if intent.operation == INITIATE.verb:
        return Call(
            operation=INITIATE,
            path=INITIATE.path,
            payment=order_id,
            make_verification=partial(verify_initiate, order_id),
            note=Note(amount=intent.amount, keep_body=False, keep_answer=False),
        )
    raise JournalError(
        f"the journal has an operation {intent.name!r} that this version does not know",
        advice="recover with the version that wrote it, or a newer one",
    )


def _releases_rest(body: bytes | None) -> bool:
    try:
        request = orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        return False
    return isinstance(request, dict) and request.get("shouldReleaseRemainingFunds") is True

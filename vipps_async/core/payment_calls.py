"""What the calls of the payment APIs share: their shape, who chose a key, what is secret, and how an intent is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from vipps_async.core.operation import AuditInfo, Call, Operation, Reconciliation
from vipps_async.errors import InvalidInputError, JournalError
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.input_rules import check_idempotency_key
from vipps_async.journals.entries import Intent, KeyOrigin
from vipps_async.not_given import NOT_GIVEN, NotGiven

R = TypeVar("R")


def adjusting_call(
    operation: Operation[R],
    payment: str,
    make_reconciliation: Callable[[], Reconciliation[R, Any]],
    audit: AuditInfo,
    *,
    key: str | None = None,
    body: object = None,
    is_row: bool = False,
) -> Call[R]:
    """Make the call of an operation that moves money.

    Args:
        operation: which.
        payment: its payment.
        make_reconciliation: makes what is needed to find out afterwards.
        audit: what a journal keeps of it.
        key: the idempotency key; None: the operation is sent without one.
        body: what is sent; None: the bytes that the journal has.
        is_row: whether it is a row of a batch.
    """
    return Call(
        operation=operation,
        path=operation.path_for(payment),
        payment=payment,
        body=body,
        idempotency_key=key,
        make_reconciliation=make_reconciliation,
        audit=audit,
        is_row=is_row,
    )


def choose_key(given: str | None, row_reference: str | None, *, longest: int) -> tuple[str, KeyOrigin]:
    """Return a call's idempotency key, and who chose it.

    Args:
        given: the key; None: a new one is made.
        row_reference: what the batch's row calls itself; None: the call is no row's.
        longest: how many characters the API takes.

    Raises:
        InvalidInputError: the key breaks its rule.
    """
    if given is None:
        return new_idempotency_key(), KeyOrigin.MADE
    origin = KeyOrigin.GIVEN if row_reference is None else KeyOrigin.ROW
    return check_idempotency_key(given, longest=longest), origin


def key_if_given(given: str | NotGiven) -> str | None:
    """Return the idempotency key that a caller gave; None: it was left out, so a new one is made.

    Raises:
        InvalidInputError: it is None: a key that got lost must not silently become a new one, with which the operation
            would be another one each time.
    """
    if given is None:
        raise InvalidInputError(
            "idempotency_key", "a key, or left out: then a new one is made for this call", value=None
        )
    return None if given is NOT_GIVEN else given


def given_secrets(*values: str | None) -> tuple[str, ...]:
    """Return a call's secrets: those of the values that were given."""
    return tuple(value for value in values if value is not None)


def has_flag(body: bytes | None, name: str) -> bool:
    """Tell whether a request's body, as the journal has it, is an object with a field that is true."""
    try:
        request = orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        return False
    return isinstance(request, dict) and request.get(name) is True


def unknown_operation(intent: Intent, of_what: str = "") -> JournalError:
    """Make the error of an intent for which no call can be made."""
    return JournalError(
        f"the journal has an operation {intent.name!r}{of_what} that this version does not know",
        advice="recover with the version that wrote it, or a newer one",
    )

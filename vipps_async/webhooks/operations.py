"""The operations of the Webhooks API as values: its dialect, its paths, and what is known after a lost answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from vipps_async.core.dialect import Dialect, ErrorRule
from vipps_async.core.error_body import error_reference, error_text
from vipps_async.core.operation import (
    Applied,
    Call,
    Evidence,
    Inconclusive,
    NoContent,
    NotApplied,
    Operation,
    R,
    Reconciliation,
    Repeat,
)
from vipps_async.errors import ApiError, ErrorInfo
from vipps_async.webhooks.events import WebhookEvent
from vipps_async.webhooks.models import Webhook, same_url

#: What a journal keeps of deliveries is noted under this name: the receiver sees to it, not recovery.
RECEIVED: Final = "event"
#: A status of a problem stands in place of a code, for the problem's type is no more than a trace id.
_RULES: Final = {
    "404": ErrorRule(ApiError, "there is no such registration in this sales unit: list() tells which there are"),
}


def _read_error(item: Mapping[str, Any]) -> list[ErrorInfo]:
    """Read a problem (RFC 7807); `extraDetails` name the fields. The keys are casefolded."""
    if not item.keys() & {"title", "detail", "extradetails"}:
        return []
    text = ": ".join(filter(None, (error_text(item.get("title")), error_text(item.get("detail")))))
    errors = [ErrorInfo("", error_text(item.get("status")), text, error_reference(item))]
    details = item.get("extradetails")
    for detail in details[:20] if isinstance(details, list) else ():
        if isinstance(detail, dict):
            named = {key.casefold(): value for key, value in detail.items()}
            errors.append(ErrorInfo("", error_text(named.get("name")), error_text(named.get("reason"))))
    return errors


WEBHOOKS: Final = Dialect(
    name="webhooks",
    read_error=_read_error,
    rule_for=lambda info: _RULES.get(info.code),
    # No operation of this API moves money.
    may_tell_of_money=lambda _info: False,
    personal_keys=("secret",),
)


@frozen(kw_only=True)
class _Registered:
    """The answer of register."""

    id: str
    secret: str = field(repr=False)


@frozen(kw_only=True)
class _List:
    webhooks: tuple[Webhook, ...] = field()


@frozen(kw_only=True)
class _RegisterRequest:
    url: str = field(repr=False)
    events: tuple[WebhookEvent, ...]


_WEBHOOKS = "/webhooks/v1/webhooks"

#: Takes no key: each one that arrives makes a registration of its own.
REGISTER: Final = Operation(
    dialect=WEBHOOKS, verb="register", method="POST", path=_WEBHOOKS, result=_Registered, repeat=Repeat.ONCE
)
#: A read.
LIST: Final = Operation(dialect=WEBHOOKS, verb="list", method="GET", path=_WEBHOOKS, result=_List, repeat=Repeat.SAFE)
#: Takes no key; the list tells whether it took effect.
DELETE: Final = Operation(
    dialect=WEBHOOKS,
    verb="delete",
    method="DELETE",
    path=_WEBHOOKS + "/{}",
    result=NoContent,
    repeat=Repeat.CONFIRM,
)
#: Reads all registrations.
LOOKUP: Final = Call(operation=LIST, path=_WEBHOOKS)


def register_call(url: str, events: tuple[WebhookEvent, ...]) -> Call[_Registered]:
    """Return the call that registers. After a lost answer it is sent again only if nothing of its kind is listed."""

    def interpret(found: _List) -> Evidence[_Registered]:
        if any(same_url(hook.url, url) and set(hook.events) == set(events) for hook in found.webhooks):
            return Inconclusive("Vipps lists such a registration, and its secret cannot be read again")
        return NotApplied("Vipps lists no such registration")

    return _asking_list(REGISTER, _WEBHOOKS, interpret, body=_RegisterRequest(url=url, events=events))


def delete_call(webhook_id: str) -> Call[NoContent]:
    """Return the call that deletes a registration, whose UUID is given in small letters."""

    def interpret(found: _List) -> Evidence[NoContent]:
        if any(hook.id.casefold() == webhook_id for hook in found.webhooks):
            return NotApplied("Vipps lists the registration")
        return Applied(NoContent())

    return _asking_list(DELETE, DELETE.path_for(webhook_id), interpret)


def _asking_list(operation: Operation[R], path: str, interpret: Any, body: object = None) -> Call[R]:
    reconciliation: Reconciliation[R, _List] = Reconciliation(
        lookup=LOOKUP,
        interpret=interpret,
        interpret_refusal=lambda error: Inconclusive(f"the list was refused with HTTP status {error.status}"),
    )
    return Call(operation=operation, path=path, body=body, make_reconciliation=lambda: reconciliation)

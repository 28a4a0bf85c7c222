"""`vipps-async webhooks`: lists, registers and deletes the URLs that Vipps tells of events. It moves no money."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from vipps_async.cli.commands import Command, Group, Options, Run
from vipps_async.cli.exit_status import ExitStatus, exit_statuses
from vipps_async.cli.options import add_allow_host, check_allowed_host
from vipps_async.cli.output import emit_lines, plain, say
from vipps_async.config import Settings
from vipps_async.errors import (
    ConfigurationError,
    InvalidInputError,
    OutcomeUnknown,
    UnexpectedResponseError,
    VippsError,
)
from vipps_async.session import VippsSession
from vipps_async.webhooks.events import PAYMENT_EVENTS
from vipps_async.webhooks.models import Webhook

_EXIT_STATUS = f"{exit_statuses('webhooks')} No money moves in any case."
#: Carries a command out, and returns what to print: a text, and facts for JSON.
Do = Callable[[VippsSession], Awaitable[tuple[str, Any]]]


def command() -> Group:
    """Make `webhooks list`, `register` and `delete`."""
    listing = _command("list", "show all registrations: id, URL and events, not the secrets", _list)
    register = _command(
        "register",
        "register a URL, and print the id and, this once, the secret to standard output",
        _register,
        "webhooks register https://example.com/vipps/webhooks epayments.payment.captured.v1",
    )
    register.argument("url", metavar="URL", help="https, public, on port 80, 443 or 8080")
    register.argument(
        "event",
        nargs=-1,
        metavar="[EVENT]...",
        default=PAYMENT_EVENTS,
        help="such as epayments.payment.captured.v1 (default: all eight of ePayment)",
    )
    delete = _command(
        "delete", "delete a registration", _delete, "webhooks delete 497f6eca-6276-4993-bfeb-53cbbbba6f08"
    )
    delete.argument("id", metavar="ID", help="its id, a UUID")
    return Group(
        "webhooks",
        "list, register or delete webhooks",
        "Lists the webhooks of the sales unit of the VIPPS_ variables, or changes them.",
        actions=(listing, register, delete),
        examples=("webhooks register https://example.com/vipps/webhooks", "webhooks list"),
    )


def _command(name: str, purpose: str, run: Run, *examples: str) -> Command:
    description = f"{purpose[0].upper()}{purpose[1:]}. {_EXIT_STATUS}"
    made = Command(name, run, purpose, description, examples=(*examples, f"webhooks {name} --json")[:1])
    made.flag("--json", "one JSON object")
    add_allow_host(made)
    return made


async def _list(options: Options) -> int:
    async def do(vipps: VippsSession) -> tuple[str, Any]:
        hooks = await vipps.webhooks.list()
        lines = [_line(hook) for hook in hooks]
        return "\n".join(lines) or "no webhooks", {"webhooks": [_facts(hook) for hook in hooks]}

    return await _carried_out(options, do)


async def _register(options: Options) -> int:
    async def do(vipps: VippsSession) -> tuple[str, Any]:
        hook = await vipps.webhooks.register(options.url, list(options.event))
        return f"id {hook.id}\nsecret {hook.secret}", _facts(hook) | {"secret": hook.secret}

    unprinted = "the secret could not be printed and is lost: delete the registration, and register again"
    return await _carried_out(options, do, changes="register", unprinted=unprinted)


async def _delete(options: Options) -> int:
    async def do(vipps: VippsSession) -> tuple[str, Any]:
        await vipps.webhooks.delete(options.id)
        return f"deleted {options.id}", {"deleted": options.id}

    return await _carried_out(options, do, changes="delete", unprinted="it is deleted")


async def _carried_out(options: Options, do: Do, *, changes: str = "", unprinted: str = "") -> int:
    try:
        check_allowed_host(Settings.from_env(os.environ), options.allow_host)
        async with VippsSession.from_env() as vipps:
            text, facts = await do(vipps)
    except VippsError as error:
        say(f"vipps-async: {plain(error)}")
        return _status_of(error, changes)
    except asyncio.CancelledError:
        if changes:
            say(f"\nCut off: it may have been done all the same ({changes}). To find out: vipps-async webhooks list")
        raise
    # Not to standard error if it cannot be printed: that goes to logs, and a secret must not.
    if emit_lines((orjson.dumps(facts).decode() if options.json else text, "\n")):
        return ExitStatus.DONE
    if unprinted:
        say(f"vipps-async: {unprinted}")
    return ExitStatus.UNPRINTED


def _status_of(error: VippsError, changes: str) -> int:
    if isinstance(error, ConfigurationError | InvalidInputError):
        return ExitStatus.USAGE
    return (
        ExitStatus.UNKNOWN
        if changes and isinstance(error, OutcomeUnknown | UnexpectedResponseError)
        else ExitStatus.REFUSED
    )


def _line(hook: Webhook) -> str:
    return f"{hook.id}  {plain(hook.url)}\n" + "\n".join(f"    {plain(event)}" for event in hook.events)


def _facts(hook: Webhook) -> dict[str, Any]:
    return {"id": hook.id, "url": hook.url, "events": list(hook.events)}

"""`vipps-async journal send` and `drop`: decides what recovery does with one open operation."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from vipps_async.cli.confirmation import Agreement, add_yes, ask
from vipps_async.cli.hosts import add_allow_host, check_host
from vipps_async.cli.journal_store import StoredJournal, add_store, guarded, opened
from vipps_async.cli.journal_text import about, recovery_text
from vipps_async.cli.output import plain, say, tell
from vipps_async.cli.statuses import BUSY, DECISIONS, DONE, REFUSED, UNKNOWN, USAGE, untold
from vipps_async.config import Settings
from vipps_async.ecom.dialect import NOTES
from vipps_async.errors import ConfigurationError, VippsError
from vipps_async.journals.protocol import Entry, Intent, Journal, Outcome
from vipps_async.session import VippsSession
from vipps_async.webhooks.operations import RECEIVED

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

__all__ = ["add_decisions"]

#: Entries of any age: more than any journal has.
_ALL = 2**62


def add_decisions(actions: Actions) -> None:
    """Add the two actions to `journal`."""
    send = _add(actions, "send", "send one open operation again, with its recorded key and bytes")
    send.description = (
        "Sends one open operation again though a later one overtook it, its last attempt was refused, or it was "
        "dropped. Details are asked first; what is open of the same order before it is settled before it. "
        f"{DECISIONS}"
    )
    send.set_defaults(run=guarded(_send))
    drop = _add(actions, "drop", "decide that one open operation is never sent again")
    drop.description = (
        "Decides that one open operation is never sent again by recovery. What was sent before may still take effect, "
        f"so it stays open until the horizon, and recovery then settles it by what details show. {DECISIONS}"
    )
    drop.set_defaults(run=guarded(_drop))


def _add(actions: Actions, name: str, purpose: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=purpose, allow_abbrev=False)
    add_store(parser)
    add_yes(parser)
    add_allow_host(parser)
    parser.add_argument("key", metavar="KEY", help="its idempotency key, as `journal list` shows it (-- before -KEY)")
    parser.add_argument("--order", metavar="ORDER_ID", help="its order, where several have operations with this key")
    return parser


async def _send(options: argparse.Namespace) -> int:
    settings = _settings(options)
    async with opened(options, thorough=True) as journal:
        entry = await _find(journal, options, settings)
        if _is_leased(entry):
            return _busy(entry)
        if (status := await _agreed(f"Send again: {about(entry.intent)}", options, settings)) is not None:
            return status
        # Only what is of this order, and nothing that was begun after it: nobody has asked for more.
        journal_of_order = cast("Journal", _UntilEntry(journal, entry.intent))
        async with VippsSession.from_env(journal=journal_of_order) as vipps:
            try:
                report = await vipps.recover(concurrency=1, send=[entry.intent.key])
                after = await _entry_after(journal, entry.intent)
            except VippsError as error:
                say(f"vipps-async: {plain(error)}")
                say(f"Money may have moved: see `vipps-async payment details {entry.intent.payment}`.")
                return UNKNOWN
    is_otherwise = any(left.intent.identity == entry.intent.identity for left in report.moved_otherwise)
    if after.settlement is None and _is_leased(after):
        return _busy(after)
    status = _status_of(after, is_otherwise=is_otherwise)
    is_told = tell(f"{recovery_text(report)}\n{_told(after)}")
    return status if is_told else untold(status)


async def _drop(options: argparse.Namespace) -> int:
    settings = _settings(options)
    async with opened(options, thorough=True) as journal:
        entry = await _find(journal, options, settings)
        if (status := await _agreed(f"Never send again: {about(entry.intent)}", options, settings)) is not None:
            return status
        async with VippsSession.from_env(journal=journal) as vipps:
            is_dropped = await vipps.drop(entry.intent.payment, entry.intent.key)
        if not is_dropped:
            return _busy(await _entry_after(journal, entry.intent))
    text = f"dropped: {about(entry.intent)}: it is not sent again. It stays open until it can be decided, by recovery."
    return DONE if tell(text) else untold(DONE)


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings.from_env(os.environ)
    check_host(settings, options.allow_host)
    return settings


async def _agreed(what: str, options: argparse.Namespace, settings: Settings) -> int | None:
    async def question() -> str:
        return what

    agreement = await ask(question, settings, yes=options.yes)
    if agreement is Agreement.GIVEN:
        return None
    return USAGE if agreement is Agreement.MISSING else REFUSED


async def _find(journal: StoredJournal, options: argparse.Namespace, settings: Settings) -> Entry:
    """Find the open operation that is meant.

    Raises:
        ConfigurationError: there is none with this key, it is settled, it is never sent again, or several have the key.
    """
    key, msn = options.key, settings.credentials.merchant_serial_number

    def is_meant(intent: Intent) -> bool:
        is_of_order = options.order is None or intent.payment == options.order
        return intent.key == key and is_of_order and intent.operation not in {*NOTES, RECEIVED}

    found = [entry async for entry in journal.open_entries(merchant_serial_number=msn) if is_meant(entry.intent)]
    if not found:
        async for entry in journal.recent_entries(limit=_ALL):
            if is_meant(entry.intent) and entry.intent.merchant_serial_number == msn and entry.settlement is not None:
                raise ConfigurationError(f"it is settled, {_told(entry)}", advice="nothing is to be decided")
        text = f"no operation of sales unit {msn} has the key {key}"
        raise ConfigurationError(text, advice="see `vipps-async journal list --open`")
    if len(found) > 1:
        named = "; ".join(about(entry.intent) for entry in found)
        text = f"several open operations have this key ({named})"
        raise ConfigurationError(
            text, advice="say which one with --order; of one order, leave them to `journal recover`"
        )
    if found[0].intent.body is None:
        text = f"the journal keeps no body of it, and so it is never sent again: {about(found[0].intent)}"
        raise ConfigurationError(text, advice="`vipps-async journal recover` settles it by what details show")
    return found[0]


async def _entry_after(journal: StoredJournal, intent: Intent) -> Entry:
    found = await journal.find(payment=intent.payment, merchant_serial_number=intent.merchant_serial_number)
    return next(entry for entry in found if entry.intent.identity == intent.identity)


def _is_leased(entry: Entry) -> bool:
    return bool(entry.owner) and entry.lease_until > datetime.now(UTC)


def _busy(entry: Entry) -> int:
    until = f"until {entry.lease_until:%Y-%m-%d %H:%M:%S} UTC at the latest" if entry.owner else "a moment ago"
    say(
        f"vipps-async: another process has it in hand, {until}: {about(entry.intent)}\n"
        "Nothing was sent by this command."
    )
    return BUSY


def _told(entry: Entry) -> str:
    settlement = entry.settlement
    if settlement is None:
        return f"open: {about(entry.intent)}: {plain(entry.note)}"
    word = {Outcome.DONE: "done", Outcome.REFUSED: "refused", Outcome.NOT_DONE: "not done"}[settlement.outcome]
    return f"{word} since {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC: {about(entry.intent)}"


def _status_of(entry: Entry, *, is_otherwise: bool) -> int:
    if entry.settlement is None or is_otherwise:
        return UNKNOWN
    return DONE if entry.settlement.outcome is Outcome.DONE else REFUSED


@frozen
class _UntilEntry:
    """A journal of whose open entries only those of one order are seen, up to one of them."""

    journal: StoredJournal
    intent: Intent

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """See `Journal.open_entries`."""
        async for entry in self.journal.open_entries(merchant_serial_number=merchant_serial_number):
            if entry.intent.payment == self.intent.payment:
                yield entry
            if entry.intent.identity == self.intent.identity:
                return

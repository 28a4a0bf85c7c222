"""`vipps-async journal send`, `drop` and `rebind`: what a person decides, about one open operation or the journal."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

from attrs import frozen

from vipps_async.apis import APIS, passed_over, session_api
from vipps_async.cli.commands import Command, Options, Run
from vipps_async.cli.confirmation import add_yes, ask_anywhere, nobody_to_ask, telling_if_cut_off
from vipps_async.cli.exit_status import ExitStatus, exit_statuses, unprinted
from vipps_async.cli.journal_open import ask_about_open, find_open, look_up, name_open, refuse_other_vipps
from vipps_async.cli.journal_place import StoredJournal, add_journal, guarded, opened
from vipps_async.cli.journal_text import CUT_OFF, about, is_leased, moved_amount, recovery_text
from vipps_async.cli.options import add_allow_host, add_sales_unit, check_allowed_host, positive, sales_unit_option
from vipps_async.cli.output import emit, finish, plain, say
from vipps_async.config import Settings
from vipps_async.core.batch import BatchOperation
from vipps_async.core.undecided import damaged_text
from vipps_async.errors import ConfigurationError, OrderNotFoundError, VippsError
from vipps_async.journals.entries import DamagedEntry, Entry, Intent, Outcome
from vipps_async.journals.protocol import Journal
from vipps_async.session import VippsSession

#: The statuses of `journal send` and `journal drop` for people.
_STATUSES = exit_statuses("journal send")
#: Entries of any age: more than any journal has.
_ALL = 2**62
#: Entries that cannot be read and are named; `journal check` has all of them.
_MOST_UNREAD = 5
#: Operations whose key stands in the payment's history, at every API.
_KEYED = frozenset(operation.value for operation in BatchOperation if operation.has_amount)


def decisions() -> list[Command]:
    """Make these actions of `journal`."""
    send = _decision(
        "send",
        _send,
        "send one open operation again, with its recorded key and bytes",
        "Sends one open operation again though a later one overtook it, its last attempt was refused, or it was "
        "dropped. The payment's history is asked first; what is open of the same payment before it is settled before "
        f"it. {_STATUSES}",
    )
    drop = _decision(
        "drop",
        _drop,
        "decide that one open operation is never sent again",
        "Decides that one open operation is never sent again, but by `journal send`. What was sent before may still "
        "take effect, so it stays open until the horizon, and recovery then settles it by what details show. "
        f"{_STATUSES}",
    )
    for made in (send, drop):
        made.argument("key", metavar="KEY", help="its idempotency key, as `journal list` shows it (-- before -KEY)")
        made.option("--payment", metavar="ID", help="its payment, where several have operations with this key")
    rebind = _decision(
        "rebind",
        _rebind,
        "bind the journal to the Vipps of the VIPPS_ variables, such as one that is reached by another name now",
        "A journal belongs to one environment and host, and is refused anywhere else. This binds it to the "
        "Vipps of the VIPPS_ variables, after a payment's history has shown that an operation that is done in the "
        f"journal is done there, too. {exit_statuses('journal rebind')}",
    )
    discard = Command(
        "discard",
        guarded(_discard),
        "delete one entry that cannot be read, once its payment has been compared with the books",
        "An entry that cannot be read keeps others of its payment from being sent unawares. This deletes it, once the "
        "payment's history at Vipps (`payment show`) has been compared with the books: from then on the journal has "
        f"nothing against the same capture or refund. {exit_statuses('journal discard')}",
        examples=["journal discard 7"],
    )
    add_journal(discard)
    add_yes(discard)
    discard.argument("position", type=positive, metavar="ENTRY", help="its number, as `journal check` shows it")
    return [send, drop, rebind, discard]


def _decision(name: str, run: Run, purpose: str, description: str) -> Command:
    key = "" if name == "rebind" else " 0f8fad5b-d9cb-469f-a165-70867728950e"
    made = Command(name, guarded(run), purpose, description, examples=[f"journal {name}{key}"])
    add_journal(made)
    add_sales_unit(made)
    add_yes(made)
    add_allow_host(made)
    return made


async def _send(options: Options) -> int:
    settings = _settings(options)
    if (status := nobody_to_ask(settings, yes=options.yes)) is not None:
        return status
    async with opened(options, thorough=True) as journal:
        await refuse_other_vipps(journal)
        entry = await _find(journal, options, settings)
        if is_leased(entry, datetime.now(UTC)):
            return _busy(entry)
        # Only what is of this payment, and nothing that was begun after it: nobody has asked for more.
        journal_of_payment = cast("Journal", _UntilEntry(journal, entry.intent))
        before = await find_open(journal_of_payment, settings.merchant_serial_number, besides=entry.intent)
        if before.to_send:
            say(f"Open of the same payment, settled before it and perhaps sent again, too:\n{before.lines()}")
        for line in await _done_later(journal, entry.intent):
            say(f"Look out: {line}")
        if (status := await _agreed("Send again", entry.intent, options, settings)) is not None:
            return status
        async with VippsSession.from_env(journal=journal_of_payment) as vipps:
            try:
                with telling_if_cut_off(CUT_OFF):
                    report = await vipps.recover(concurrency=1, send=[entry.intent.key])
                after = await _entry_after(journal, entry.intent)
            except VippsError as error:
                say(f"vipps-async: {plain(error)}")
                show = f"vipps-async payment show {entry.intent.payment} --api {entry.intent.api}"
                show += sales_unit_option(options)
                say(f"Money may have moved: see `{show}`.")
                return ExitStatus.UNKNOWN
    is_otherwise = any(left.intent.identity == entry.intent.identity for left in report.moved_otherwise)
    if is_leased(after, datetime.now(UTC)):
        return _busy(after)
    status = _status_of(after, is_otherwise=is_otherwise)
    is_printed = emit(f"{recovery_text(report)}\n{_outcome_text(after)}")
    return status if is_printed else unprinted(status)


async def _drop(options: Options) -> int:
    settings = _settings(options)
    if (status := nobody_to_ask(settings, yes=options.yes)) is not None:
        return status
    async with opened(options, thorough=True) as journal:
        await refuse_other_vipps(journal)
        entry = await _find(journal, options, settings)
        if (status := await _agreed("Never send again", entry.intent, options, settings)) is not None:
            return status
        async with VippsSession.from_env(journal=journal) as vipps:
            is_dropped = await vipps.drop(entry.intent.payment, entry.intent.key)
        if not is_dropped:
            return _busy(await _entry_after(journal, entry.intent))
    text = f"dropped: {about(entry.intent)}: it is not sent again. It stays open until it can be decided, by recovery."
    return finish(ExitStatus.DONE, text)


def _settings(options: Options) -> Settings:
    settings = Settings.from_env(os.environ)
    check_allowed_host(settings, options.allow_host)
    return settings


async def _agreed(what: str, intent: Intent, options: Options, settings: Settings) -> int | None:
    async def question() -> str:
        return f"{what}: {name_open(intent, await look_up([intent]))}"

    return await ask_about_open(question, settings, yes=options.yes)


async def _find(journal: StoredJournal, options: Options, settings: Settings) -> Entry:
    """Find the open operation that is meant.

    Raises:
        ConfigurationError: there is none with this key, it is settled, it is never sent again, or several have the key.
    """
    key, msn = options.key, settings.merchant_serial_number

    def is_meant(intent: Intent) -> bool:
        is_of_payment = options.payment is None or intent.payment == options.payment
        return intent.key == key and is_of_payment and intent.operation not in passed_over()

    found = [entry async for entry in journal.open_entries(merchant_serial_number=msn) if is_meant(entry.intent)]
    if not found:
        async for entry in journal.recent_entries(limit=_ALL):
            if is_meant(entry.intent) and entry.intent.merchant_serial_number == msn and entry.settlement is not None:
                raise ConfigurationError(f"it is settled, {_outcome_text(entry)}", advice="nothing is to be decided")
        await _check_unread(journal, key)
        text = f"no operation of sales unit {msn} has the key {key}"
        raise ConfigurationError(text, advice="see `vipps-async journal list --open`")
    if len(found) > 1:
        named = "; ".join(about(entry.intent) for entry in found)
        text = f"several open operations have this key ({named})"
        raise ConfigurationError(
            text, advice="say which one with --payment; of one payment, leave them to `journal recover`"
        )
    if found[0].intent.body is None:
        text = f"the journal keeps no body of it, and so it is never sent again: {about(found[0].intent)}"
        raise ConfigurationError(text, advice="`vipps-async journal recover` settles it by what details show")
    return found[0]


async def _done_later(journal: StoredJournal, intent: Intent) -> list[str]:
    """Name what may have done since what an open operation was to do: it would be done a second time, on top.

    Recovery leaves it open for such a one only where neither was given a key; here a person decides.
    """
    told = []
    rows = await journal.rows_of(payment=intent.payment, merchant_serial_number=intent.merchant_serial_number)
    for row in rows:
        if isinstance(row, DamagedEntry):
            told.append(f"{damaged_text(row)} cannot be read, and may have done the same already.")
        elif _is_same_later(row, intent):
            named = about(row.intent, moved=moved_amount(row))
            told.append(f"a later {plain(intent.operation)} was carried out: {named}. This one may move it once more.")
    return told


def _is_same_later(entry: Entry, intent: Intent) -> bool:
    other, settlement = entry.intent, entry.settlement
    is_done = settlement is not None and settlement.outcome is Outcome.DONE
    # Over whatever API. One that took all that was left may have been any amount.
    is_same = other.operation == intent.operation and (
        other.amount == intent.amount or None in {other.amount, intent.amount}
    )
    return is_done and is_same and other.operation in _KEYED and other.created_at > intent.created_at


async def _check_unread(journal: StoredJournal, key: str) -> None:
    """Raise ConfigurationError if an entry cannot be read: it may have a key that no other one has."""
    if not (damaged := await journal.damaged()):
        return
    what, it = ("an entry", "it") if len(damaged) == 1 else (f"{len(damaged)} entries", "one of them")
    named = ", ".join(f"entry {row.position} (payment {row.payment})" for row in damaged[:_MOST_UNREAD])
    more = ", ..." if len(damaged) > _MOST_UNREAD else ""
    raise ConfigurationError(
        f"{what} of the journal cannot be read, and {it} may have the key {key}: {named}{more}",
        advice="what cannot be read is never sent: see `vipps-async journal check`",
    )


async def _entry_after(journal: StoredJournal, intent: Intent) -> Entry:
    found = await journal.find(payment=intent.payment, merchant_serial_number=intent.merchant_serial_number)
    return next(entry for entry in found if entry.intent.identity == intent.identity)


def _busy(entry: Entry) -> int:
    until = f"until {entry.lease_until:%Y-%m-%d %H:%M:%S} UTC at the latest" if entry.owner else "a moment ago"
    say(
        f"vipps-async: another process has leased it, {until}: {about(entry.intent)}\nNothing was sent by this command."
    )
    return ExitStatus.BUSY


def _outcome_text(entry: Entry) -> str:
    settlement = entry.settlement
    if settlement is None:
        return f"open: {about(entry.intent)}: {plain(entry.note)}"
    word = {Outcome.DONE: "done", Outcome.REFUSED: "refused", Outcome.NOT_DONE: "not done"}[settlement.outcome]
    named = about(entry.intent, moved=moved_amount(entry))
    return f"{word} since {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC: {named}"


def _status_of(entry: Entry, *, is_otherwise: bool) -> int:
    if entry.settlement is None or is_otherwise:
        return ExitStatus.UNKNOWN
    return ExitStatus.DONE if entry.settlement.outcome is Outcome.DONE else ExitStatus.REFUSED


@frozen
class _UntilEntry:
    """A journal of whose open entries only those of one payment are seen, up to one of them."""

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


async def _discard(options: Options) -> int:
    async with opened(options, thorough=True) as journal:
        row = next((each for each in await journal.damaged() if each.position == options.position), None)
        if row is not None:
            say(f"{damaged_text(row)}\nCompare first: vipps-async payment show {row.payment}")
            if (status := await ask_anywhere("Delete it?", yes=options.yes)) is not None:
                return status
        row = await journal.discard(options.position)
    return finish(ExitStatus.DONE, f"deleted: {damaged_text(row)}")


# --- rebind -----------------------------------------------------------------------------------------------------------


async def _rebind(options: Options) -> int:
    _settings(options)
    async with opened(options, thorough=True) as journal, VippsSession.from_env() as vipps:
        bound, world = await journal.world(), await vipps.world()
        count = 0
        async for _ in journal.open_entries():
            count += 1
        say(f"The journal has the facts of {bound or 'no Vipps yet'}.\nThe VIPPS_ variables lead to {world}.")
        say(f"{count:,} operations are open in it; recovery would settle them there.")
        if bound is None or bound == world:
            return finish(ExitStatus.DONE, "Nothing is to be changed: a journal is bound at its first use.")
        if reason := await _reason_against(journal, vipps):
            say(f"vipps-async: {reason}. Nothing was changed: choose the journal of this Vipps by --journal.")
            return ExitStatus.OTHER_SETTINGS
        if (status := await ask_anywhere(f"Bind the journal to {world}?", yes=options.yes)) is not None:
            return status
        await journal.rebind(world)
    return finish(ExitStatus.DONE, f"bound to {world}")


async def _reason_against(journal: StoredJournal, vipps: VippsSession) -> str:
    """Say why it is not shown that a journal's facts are this Vipps'; empty: it is.

    Raises:
        VippsError: the payment could not be read.
    """
    entry, is_empty = await _newest_done(journal, vipps.merchant_serial_number)
    if entry is None:
        unit = vipps.merchant_serial_number
        return (
            ""
            if is_empty
            else f"nothing of sales unit {unit} is done in it, so nothing shows that it is the same Vipps"
        )
    intent = entry.intent
    try:
        api = APIS[intent.api]
        state = await api.read_state(session_api(vipps, api).batch.runner, intent.payment)
    except OrderNotFoundError:
        return f"Vipps does not know the payment of what is done in the journal ({about(intent)})"
    if intent.operation not in _KEYED or state.has_done(intent.operation, intent.key):
        return ""
    return f"the payment's history there lacks what is done in the journal ({about(intent)})"


async def _newest_done(journal: StoredJournal, merchant_serial_number: str) -> tuple[Entry | None, bool]:
    """Return the newest done operation of a sales unit, and whether the journal is empty.

    One whose key stands in the payment's history is rather taken: a payment's id alone may be used in two worlds.
    """
    other: Entry | None = None
    is_empty = True
    async for entry in journal.recent_entries(limit=_ALL):
        is_empty = False
        if not _is_done(entry, merchant_serial_number):
            continue
        if entry.intent.operation in _KEYED:
            return entry, False
        other = other or entry
    return other, is_empty


def _is_done(entry: Entry, merchant_serial_number: str) -> bool:
    intent, settlement = entry.intent, entry.settlement
    is_known = intent.api in APIS and intent.operation not in passed_over()
    is_of_unit = intent.merchant_serial_number == merchant_serial_number
    return is_known and is_of_unit and settlement is not None and settlement.outcome is Outcome.DONE

"""Runs one payment command: prints the key, asks, opens the journal, calls, and tells how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field, frozen

from vipps_async.cli.commands import Options
from vipps_async.cli.confirmation import ask, nobody_to_ask
from vipps_async.cli.exit_status import ExitStatus, exit_statuses, unprinted
from vipps_async.cli.failures import status_of
from vipps_async.cli.journal_open import refuse_other_vipps
from vipps_async.cli.journal_place import JournalPlace, StoredJournal, place_of
from vipps_async.cli.options import api_option, check_allowed_host, sales_unit_option
from vipps_async.cli.output import emit, json_line, plain, say
from vipps_async.cli.payment_check import Checked, JournalCheck
from vipps_async.config import Settings
from vipps_async.core.events import CallListener
from vipps_async.core.operation import Call
from vipps_async.core.payment_api import ActionResult, PaymentApi
from vipps_async.core.token import FETCH_TOKEN
from vipps_async.errors import (
    ApiError,
    Effect,
    OrderLockedError,
    UnexpectedResponseError,
    VippsError,
)
from vipps_async.journals.rows import DamagedEntryError
from vipps_async.journals.sqlite.ownership import JournalInUseError
from vipps_async.session import VippsSession

#: The exit statuses for people.
EXIT_STATUS = exit_statuses("payment")
#: The same of a command that only reads.
EXIT_STATUS_OF_READ = f"It moves no money. {exit_statuses('payment show')}"


@frozen(kw_only=True)
class PaymentRun:
    """What is to be done with one payment."""

    api: PaymentApi
    #: The action's name.
    verb: str
    payment: str
    #: Makes the call, and says what to print.
    call: Callable[[VippsSession], Awaitable[ActionResult]]
    #: The idempotency key; None: the action has none.
    key: str | None = None
    #: Holds it against the journal before anybody is asked; None: it moves no money.
    check: JournalCheck | None = None
    #: What a person is asked in production; None: it moves no money.
    question: Callable[[], Awaitable[str]] | None = None
    #: What may have happened if the outcome is not known; empty: it only reads.
    doubt: str = ""
    is_journalled: bool = True
    #: Whether recovery carries it out if it never arrived, or only tells of it.
    is_recovered: bool = False


async def run_command(options: Options, command: PaymentRun) -> int:
    """Run a command, and say how it ended.

    Args:
        options: `json`, `allow_host`, and where the command has them those of `add_journal`, and `yes`.
            One that moves money has all of them.
        command: what to do.

    Returns:
        The exit status.
    """
    loop = asyncio.get_running_loop()
    # `timeout`, systemd and container runtimes end a command so: it is answered like Ctrl-C.
    loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    try:
        return await _CommandRun(command, options).run()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


class _TokenWatch(CallListener):
    """Watches for the token: before it has come, nothing of the call itself can have left."""

    def __init__(self) -> None:
        self.has_come = False

    def ended(self, call: Call[Any], *, outcome: str, **_: object) -> None:
        """See CallListener."""
        self.has_come = self.has_come or (call.operation is FETCH_TOKEN.operation and outcome == "done")


@define
class _CommandRun:
    command: PaymentRun
    options: Options
    #: Where the journal is; None: none is used.
    journal: JournalPlace | None = field(default=None, init=False)
    #: What the journal has of the payment.
    checked: Checked = field(factory=Checked, init=False)
    #: None until the call has ended.
    status: int | None = field(default=None, init=False)
    has_begun: bool = field(default=False, init=False)

    async def run(self) -> int:
        """Go from the key to the exit status."""
        try:
            return await self._from_key_to_end()
        except JournalInUseError as error:
            say(
                f"vipps-async: {plain(error)}\nNothing was sent by this command. Wait longer with --wait, or try again."
            )
            return ExitStatus.BUSY
        except VippsError as error:
            if self.status is None:
                return self._tell(error)
            # It could not be closed in good order: the journal could not write what is known by now.
            say(f"vipps-async: {plain(error)}\nWhat is said above holds all the same.")
            return self.status
        except asyncio.CancelledError:
            if not self.has_begun:
                say(f"\nCut off. {self.checked.nothing_sent}")
            raise
        except Exception as error:
            # Not a failure that was foreseen: all the more it must not end in the status of "no money moved".
            if not self.has_begun:
                raise
            say(f"vipps-async: {type(error).__name__}: {plain(error)}")
            return self.status or self._tell_of_unknown()

    async def _from_key_to_end(self) -> int:
        # Whatever is wrong with the settings is told before anything else.
        settings = Settings.from_env(os.environ)
        check_allowed_host(settings, self.options.allow_host)
        if self.command.is_journalled:
            self.journal = place_of(self.options)
        async with contextlib.AsyncExitStack() as stack:
            if self.command.question is None:
                journal = await self._opened(stack)
            else:
                journal, status = await self._agreed(self.command.question, stack, settings)
                if status is not None:
                    return status
            await self._call(journal)
        assert self.status is not None  # noqa: S101 - for the type checker; `_call` has set it
        return self.status

    async def _opened(self, stack: contextlib.AsyncExitStack) -> StoredJournal | None:
        if self.journal is None:
            return None
        journal = await self.journal.open()
        stack.push_async_callback(journal.aclose)
        if self.command.check is not None:
            await refuse_other_vipps(journal)
        return journal

    async def _agreed(
        self, question: Callable[[], Awaitable[str]], stack: contextlib.AsyncExitStack, settings: Settings
    ) -> tuple[StoredJournal | None, int | None]:
        """Look into the journal, ask, and look again: until a look finds nothing that was not told at the question.

        Returns:
            The journal, and the exit status if nothing must be sent, once that is said.
        """
        assert self.journal is not None  # noqa: S101 - for the type checker; what moves money is journalled
        yes = self.options.yes
        if (status := nobody_to_ask(settings, yes=yes)) is not None:
            return None, status
        is_there = await self.journal.exists()
        say(self.journal.told(is_there=is_there))
        # Nothing is made for somebody who says no.
        journal = await self._opened(stack) if is_there else None
        status, is_told = await self._check(journal, settings), False
        while status is None and not is_told:
            told = self.checked.note
            is_kept = journal is not None and not self.journal.is_shared
            declined = self.checked.nothing_sent
            status = await ask(question, settings, yes=yes, keeps_journal=is_kept, declined=declined)
            if status is None and not is_kept:
                # Another process may have made it, or written into it, while somebody was asked.
                journal = journal or await self._opened(stack)
                status = await self._check(journal, settings, told=told)
            is_told = set(self.checked.note.splitlines()) <= set(told.splitlines())
        return journal, status

    async def _check(self, journal: StoredJournal | None, settings: Settings, *, told: str | None = None) -> int | None:
        """Hold the command against the journal; returns the exit status if it must not be sent, once that is said.

        `told`: what was told of it at the question; None: it is the first look.
        """
        if self.command.check is None:
            return None
        self.checked = await self.command.check.run(journal, settings.merchant_serial_number, agreed=self.options.yes)
        if self.checked.refusal is not None:
            return self._tell_of_undecided(self.checked.refusal)
        if self.checked.note not in {"", told}:
            changed = "" if told is None else "The journal has changed meanwhile.\n"
            say(f"{changed}{self.checked.note}")
        return None

    # --- the call --------------------------------------------------------------------------------------------------

    async def _call(self, journal: StoredJournal | None) -> None:
        token = _TokenWatch()
        async with VippsSession.from_env(journal=journal) as session:
            with session.listening_to_calls(token):
                self.has_begun = True
                if self.command.key is not None:
                    say(f"key {self.command.key}: repeat with {self._same_key} if this is cut off")
                try:
                    result = await self.command.call(session)
                except VippsError as error:
                    self.status = self._tell(error)
                except asyncio.CancelledError:
                    self.status = ExitStatus.INTERRUPTED
                    self._tell_of_interruption(may_have_left=token.has_come)
                    raise
                else:
                    self.status = ExitStatus.DONE
                    if not emit(json_line({**self._named, **result.facts}) if self.options.json else result.text):
                        self.status = unprinted(ExitStatus.DONE)

    # --- after -----------------------------------------------------------------------------------------------------

    def _tell(self, error: VippsError) -> int:
        status = status_of(error)
        say(f"vipps-async: {plain(error)}")
        if error.effect is Effect.NONE:
            say("No money moved by this command.")
        elif isinstance(error, UnexpectedResponseError) and error.carried_out is not None:
            # It is known what moved: the error says it, and there is nothing to find out, repeat or settle.
            say(f"To see it: {self._show}")
        elif self._is_of_journal(error):
            # It has let nothing out: there is nothing under this command's key to go on with.
            say(f"Nothing was sent by this command.\nTo find out: {self._show}")
            say(f"To settle what is open{self._carrying_out}: {self._recover}")
        else:
            doubt = self.command.doubt
            say(f"It probably took effect. {doubt}" if error.effect is Effect.PROBABLE else doubt)
            self._say_what_to_do()
        if self.options.json and not emit(json_line({"error": self._facts(error)})) and self.has_begun:
            return unprinted(status)
        return status

    def _is_of_journal(self, error: VippsError) -> bool:
        """Whether the journal has refused the call beside something else; a retryable one is this very operation's."""
        is_locked = isinstance(error, OrderLockedError) and error.status == 0 and not error.retryable
        return is_locked or isinstance(error, DamagedEntryError)

    def _tell_of_undecided(self, error: VippsError) -> int:
        """Tell that something of the payment is undecided: nothing was sent, but that may have moved money."""
        say(f"vipps-async: {plain(error)}")
        dropped = [entry for entry in self.checked.open if entry.attempts.is_dropped]
        to_settle = [entry for entry in self.checked.open if not entry.attempts.is_dropped]
        if to_settle:
            say(f"To settle it{self._carrying_out}: {self._recover}")
        mine = next((each.intent.key for each in to_settle if each.intent.api == self.command.api.name), None)
        if self.command.key is not None and mine is not None:
            say(f"To go on with it: its own operation and amount with --idempotency-key={shlex.quote(mine)}")
        for entry in dropped:
            key = entry.intent.key
            end_of_options = "-- " if key.startswith("-") else ""
            say(f"To send again what was dropped: {self._journal('send')} {end_of_options}{shlex.quote(key)}")
        if dropped and not to_settle:
            say(f"To settle it without that, once it can be decided: {self._recover}")
        if self.checked.damaged:
            say(f"To find out: {self._show}")
        if self.options.json:
            theirs = error.idempotency_key or self.command.key
            emit(json_line({"error": {**self._facts(error), "idempotency_key": theirs}}))
        return ExitStatus.UNKNOWN

    def _tell_of_unknown(self) -> int:
        say(self.command.doubt)
        self._say_what_to_do()
        return ExitStatus.UNKNOWN

    def _tell_of_interruption(self, *, may_have_left: bool) -> None:
        if not self.command.doubt:
            say("\nCut off. It was only a question: no money moved.")
        elif may_have_left:
            say(f"\nCut off while it was under way. {self.command.doubt}")
            self._say_what_to_do()
        else:
            say(f"\nCut off. {self.checked.nothing_sent}")
            if self.journal is not None:
                say(f"The journal may have it as open. To settle it{self._carrying_out}: {self._recover}")

    def _say_what_to_do(self) -> None:
        say(f"To find out: {self._show}")
        if self.command.key is not None:
            say(f"To repeat it: the same command with {self._same_key}, never with a new key; it is not done twice.")
        if self.journal is not None:
            say(f"To settle it{self._carrying_out}: {self._recover}")

    @property
    def _same_key(self) -> str:
        # With "=" because a key may begin with "-".
        return f"--idempotency-key={shlex.quote(self.command.key or '')}"

    @property
    def _carrying_out(self) -> str:
        return ", which carries it out if it never arrived" if self.command.is_recovered else ""

    @property
    def _recover(self) -> str:
        return self._journal("recover")

    def _journal(self, action: str) -> str:
        option = "" if self.journal is None else self.journal.option
        return f"vipps-async journal {action}{option}{self._unit}"

    @property
    def _show(self) -> str:
        return f"vipps-async payment show {self.command.payment}{api_option(self.command.api)}{self._unit}"

    @property
    def _unit(self) -> str:
        return sales_unit_option(self.options)

    @property
    def _named(self) -> dict[str, Any]:
        return {"api": self.command.api.name, "operation": self.command.verb, "payment": self.command.payment}

    def _facts(self, error: VippsError) -> dict[str, Any]:
        codes = [f"{info.group} {info.code}".strip() for info in error.errors] if isinstance(error, ApiError) else []
        return {
            **self._named,
            "kind": type(error).__name__,
            "idempotency_key": self.command.key,
            "effect": error.effect.name.lower(),
            "message": error.message,
            "advice": error.advice,
            "codes": codes,
        }

"""How a payment command goes about its call: the key first, then the question, and the truth about the end."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from vipps_async.cli.payment_display import Shown, json_line
from vipps_async.cli.terminal import is_terminal, plain, say, typed_line
from vipps_async.config import Environment
from vipps_async.core.operation import Call
from vipps_async.core.token import FETCH_TOKEN
from vipps_async.errors import ApiError, ConfigurationError, Effect, InvalidInputError, VippsError
from vipps_async.journals.sqlite.journal import SqliteJournal
from vipps_async.session import VippsSession

__all__ = ["EXIT_STATUS", "Plan", "conduct"]

#: Exit statuses: done, nothing moved, wrong use, the outcome is not known, cut off. As those of `batch`.
_DONE, _REFUSED, _USAGE, _UNKNOWN, _INTERRUPTED = 0, 1, 2, 3, 130
#: The same for people.
EXIT_STATUS = (
    "Exit status 0: done; 1: Vipps refused, or was not reached, and no money moved; 2: wrong use or settings, and "
    "nothing was sent; 3: the outcome is not known; 130: cut off by Ctrl-C or SIGTERM, see what it says."
)
_PERHAPS = {
    "capture": "Money may have moved.",
    "refund": "Money may have moved.",
    "cancel": "The reservation may have been released.",
    "initiate": "The payment may exist; no money moves before the customer accepts it.",
    "approve": "The payment may have been accepted.",
}


@frozen(kw_only=True)
class Plan:
    """What a command is going to do."""

    #: The name of the operation.
    operation: str
    order_id: str
    #: Makes the call, and says what to print.
    do: Callable[[VippsSession], Awaitable[Shown]]
    #: What it is sent with; None: the operation has no key.
    key: str | None = None
    #: What a person is asked in production; None: it moves no money.
    question: Callable[[], Awaitable[str]] | None = None


async def conduct(options: argparse.Namespace, plan: Plan) -> int:
    """Carry out a plan, and say how it ended.

    Args:
        options: `json`, and where the command has them `journal` and `yes`.
        plan: what to do.

    Returns:
        The exit status.
    """
    journal: Path | None = getattr(options, "journal", None)
    loop = asyncio.get_running_loop()
    # `timeout`, systemd and container runtimes end a command so: it is answered like Ctrl-C.
    loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    try:
        return await _Conduct(plan, journal, as_json=options.json, agreed=getattr(options, "yes", False)).run()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


class _TokenHeard:
    """Hears whether a token has come: before that, nothing of the call itself can have left."""

    def __init__(self) -> None:
        self.has_come = False

    def attempted(self, *_: object, **__: object) -> None:
        """Attempts do not matter: see CallListener."""

    def ended(self, call: Call[Any], *, outcome: str, **_: object) -> None:
        """See CallListener."""
        self.has_come = self.has_come or (call.operation is FETCH_TOKEN.operation and outcome == "done")


@define
class _Conduct:
    plan: Plan
    journal: Path | None
    as_json: bool = field(kw_only=True)
    agreed: bool = field(kw_only=True)
    #: None until the call has ended.
    status: int | None = field(default=None, init=False)
    has_begun: bool = field(default=False, init=False)

    async def run(self) -> int:
        """Go from the key to the exit status."""
        try:
            journal = None if self.journal is None else SqliteJournal(self.journal)
            session = VippsSession.from_env(journal=journal)
            if self.plan.key is not None:
                _say(f"key {self.plan.key}: repeat with {self._same_key} if this is cut off")
            declined = await self._confirm(session)
            if declined is not None:
                return declined
            await self._call(session)
        except VippsError as error:
            if self.status is None:
                return self._tell(error)
            # The session could not be closed in good order: the journal could not write what is known by now.
            _say(f"vipps-async: {plain(error)}\nWhat is said above holds all the same.")
        except asyncio.CancelledError:
            if not self.has_begun:
                _say("\nCut off. Nothing was sent: no money moved.")
            raise
        assert self.status is not None  # noqa: S101 - for the type checker; `_call` has set it
        return self.status

    # --- before ----------------------------------------------------------------------------------------------------

    async def _confirm(self, session: VippsSession) -> int | None:
        """Return None if it may go on."""
        if self.plan.question is None or self.agreed or session.environment is not Environment.PRODUCTION:
            return None
        if not is_terminal():
            _say("vipps-async: this moves real money: confirm it on a terminal, or give --yes. Nothing was sent.")
            return _USAGE
        question = f"{await self.plan.question()}, sales unit {session.merchant_serial_number}, in PRODUCTION?"
        if await typed_line(f'{question} Type "yes": ') != "yes":
            _say("Nothing was sent: no money moved.")
            return _REFUSED
        return None

    # --- the call --------------------------------------------------------------------------------------------------

    async def _call(self, session: VippsSession) -> None:
        token = _TokenHeard()
        async with session:
            with session.listening_to_calls(token):
                self.has_begun = True
                try:
                    shown = await self.plan.do(session)
                except VippsError as error:
                    self.status = self._tell(error)
                except asyncio.CancelledError:
                    self.status = _INTERRUPTED
                    self._tell_of_interruption(may_have_left=token.has_come)
                    raise
                else:
                    self.status = _DONE
                    say(json_line(shown.facts) if self.as_json else shown.text)

    # --- after -----------------------------------------------------------------------------------------------------

    def _tell(self, error: VippsError) -> int:
        status = _status_of(error)
        _say(f"vipps-async: {plain(error)}")
        perhaps = _PERHAPS.get(self.plan.operation, "")
        if error.effect is Effect.NONE:
            _say("No money moved by this command.")
        else:
            _say(f"It probably took effect. {perhaps}" if error.effect is Effect.PROBABLE else perhaps)
            self._say_what_to_do()
        if self.as_json:
            say(json_line({"error": self._facts(error)}))
        return status

    def _tell_of_interruption(self, *, may_have_left: bool) -> None:
        perhaps = _PERHAPS.get(self.plan.operation)
        if perhaps is None:
            _say("\nCut off. It was only a question: no money moved.")
        elif may_have_left:
            _say(f"\nCut off while it was under way. {perhaps}")
            self._say_what_to_do()
        else:
            _say("\nCut off. Nothing was sent: no money moved.")
            if self.journal is not None:
                _say(f"The journal may have it as open. To settle it{self._carrying_out}: {self._recover}")

    def _say_what_to_do(self) -> None:
        _say(f"To find out: vipps-async payment details {self.plan.order_id}")
        if self.plan.key is not None:
            _say(f"To repeat it: the same command with {self._same_key}, never with a new key; it is not done twice.")
        if self.journal is not None:
            _say(f"To settle it{self._carrying_out}: {self._recover}")

    @property
    def _same_key(self) -> str:
        # With "=" because a key may begin with "-".
        return f"--idempotency-key={shlex.quote(self.plan.key or '')}"

    @property
    def _carrying_out(self) -> str:
        # The journal keeps no body of an initiate, for it may hold a phone number: recovery only tells of it.
        return "" if self.plan.operation == "initiate" else ", which carries it out if it never arrived"

    @property
    def _recover(self) -> str:
        return f"vipps-async journal recover --journal {shlex.quote(str(self.journal))}"

    def _facts(self, error: VippsError) -> dict[str, Any]:
        codes = [f"{info.group} {info.code}".strip() for info in error.errors] if isinstance(error, ApiError) else []
        return {
            "kind": type(error).__name__,
            "operation": self.plan.operation,
            "order_id": self.plan.order_id,
            "idempotency_key": self.plan.key,
            "effect": error.effect.name.lower(),
            "message": error.message,
            "advice": error.advice,
            "codes": codes,
        }


def _status_of(error: VippsError) -> int:
    if error.effect is not Effect.NONE:
        return _UNKNOWN
    return _USAGE if isinstance(error, ConfigurationError | InvalidInputError) else _REFUSED


def _say(text: str) -> None:
    say(text, file=sys.stderr)

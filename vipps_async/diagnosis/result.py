"""What one check of the diagnosis found, and what is to be done about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import field, frozen

from vipps_async.errors import VippsError


class CheckState(enum.Enum):
    """How a check ended."""

    OK = "ok"
    #: Payments work all the same, but somebody should look at it.
    WARNING = "warning"
    #: Payments do not work, or not all of them.
    FAILED = "failed"
    #: It could not be looked at, because something before it failed.
    NOT_CHECKED = "not checked"


def _on_one_line(text: str) -> str:
    # Servers and files have a say in it: they must not forge a line, nor steer a terminal.
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


@frozen(kw_only=True)
class CheckResult:
    """What one check found. It holds names and rules of settings, never a secret value."""

    #: The name of the check.
    check: str
    state: CheckState
    #: What was found, on one line.
    text: str = field(converter=_on_one_line)
    #: What to do about it, on one line; empty if there is nothing to do.
    advice: str = field(default="", converter=_on_one_line)
    #: The same for machines: plain values by name.
    facts: Mapping[str, object] = field(factory=dict)

    @classmethod
    def of_error(
        cls, check: str, error: VippsError, *, text: str = "", state: CheckState = CheckState.FAILED
    ) -> CheckResult:
        """Make a result of an error.

        Args:
            check: the name of the check.
            error: what it was stopped by.
            text: what stands before the error's own message.
            state: how bad it is.
        """
        facts = {"error": type(error).__name__}
        return cls(check=check, state=state, text=f"{text}{error.message}", advice=error.advice, facts=facts)

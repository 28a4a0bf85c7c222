"""The page that controls faults and clock: its content and its forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.wire.fault import Fault

N = TypeVar("N", int, float)

CONTROLS_PATH = "/sandbox/controls"

#: Unit → seconds.
CLOCK_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
#: Label of a button that advances the clock → seconds: each just beyond a limit of the APIs.
CLOCK_STEPS = {
    "1 minute": 60,
    "5 minutes (a link runs out)": 300,
    "1 hour (a token expires)": 3600,
    "1 day": 86_400,
    "8 days (personal data go)": 8 * 86_400,
    "181 days (captures end)": 181 * 86_400,
    "366 days (refunds end)": 366 * 86_400,
}
#: Times that one form scripts a fault.
_MAX_TIMES = 1_000


def controls(faults: Faults) -> dict[str, Any]:
    """Return the values of the template."""
    return {
        "faults": faults,
        "chance": faults.randomness,
        "counts": sorted(faults.counts.items(), key=lambda pair: (-pair[1], pair[0].value)),
        "operations": list(faults.operations),
        "kinds": [fault.value for fault in Fault],
        "clock_steps": CLOCK_STEPS,
        "clock_units": CLOCK_UNITS,
    }


def apply_form(control: str, values: dict[str, list[str]], faults: Faults, clock: SandboxClock) -> None:
    """Carry a form out.

    Args:
        control: which form: clock, script, randomise or clear.
        values: its fields, by name.
        faults: what it changes.
        clock: the sandbox's clock.

    Raises:
        HTTPNotFound: there is no such form.
        ValueError: one of its fields makes no sense; the text is for the page.
    """
    if control == "clock":
        clock.advance(_number(float, values, "seconds", "The time") * _number(float, values, "count", "How much", "1"))
    elif control == "script":
        times = _number(int, values, "times", "How often")
        if not 1 <= times <= _MAX_TIMES:
            raise ValueError(f"How often must be from 1 to {_MAX_TIMES}.")
        fault = _fault(_first(values, "fault"))
        faults.script(_first(values, "operation"), *[fault] * times, order_id=_first(values, "order").strip() or None)
    elif control == "randomise":
        faults.randomise(
            rate=_number(float, values, "rate", "The part of the requests") / 100,
            seed=_number(int, values, "seed", "The seed"),
            operations=values.get("operations") or None,
            kinds=[_fault(name) for name in values.get("kinds", [])] or None,
        )
    elif control == "clear":
        faults.clear()
    else:
        raise web.HTTPNotFound(reason="There is no such control.")


def _first(values: dict[str, list[str]], name: str, default: str = "") -> str:
    return values.get(name, [default])[0]


def _number(kind: Callable[[str], N], values: dict[str, list[str]], name: str, label: str, default: str = "") -> N:
    try:
        return kind(_first(values, name, default))
    except ValueError:
        raise ValueError(f"{label} must be a number that fits.") from None


def _fault(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        raise ValueError("There is no such fault.") from None

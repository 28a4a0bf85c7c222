"""The page that controls faults and clock: its content and its forms."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.wire.fault import Fault

CONTROLS_PATH = "/sandbox/switches"

#: Unit → seconds.
CLOCK_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
#: What a button does: its label → seconds. The limits of the APIs, each a little exceeded.
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
    """Return what the page shows."""
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
    """Do what a form says.

    Args:
        control: which form: clock, script, randomise or clear.
        values: its fields, by name.
        faults: what it changes.
        clock: the sandbox's clock.

    Raises:
        HTTPNotFound: there is no such form.
        ValueError: what it says makes no sense.
    """
    form = _Form(values)
    if control == "clock":
        clock.advance(_seconds(form))
    elif control == "script":
        times = int(form.number("times", "How often", whole=True))
        if not 1 <= times <= _MAX_TIMES:
            raise ValueError(f"How often must be from 1 to {_MAX_TIMES}.")
        faults.script(
            form.get("operation"), *[_fault(form.get("fault"))] * times, order_id=form.get("order").strip() or None
        )
    elif control == "randomise":
        faults.randomise(
            rate=form.number("rate", "The part of the requests") / 100,
            seed=int(form.number("seed", "The seed", whole=True)),
            operations=values.get("operations") or None,
            kinds=[_fault(name) for name in values.get("kinds", [])] or None,
        )
    elif control == "clear":
        faults.clear()
    else:
        raise web.HTTPNotFound(reason="There is no such switch.")


def _seconds(form: _Form) -> float:
    step, unit = form.get("step"), form.get("unit")
    if step:
        if step not in CLOCK_STEPS:
            raise ValueError("There is no such step.")
        return CLOCK_STEPS[step]
    if unit not in CLOCK_UNITS:
        raise ValueError("There is no such unit.")
    return form.number("count", "The time to advance by") * CLOCK_UNITS[unit]


class _Form:
    """What a form sent: name → values."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def get(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def number(self, name: str, label: str, *, whole: bool = False) -> float:
        try:
            return int(self.get(name)) if whole else float(self.get(name))
        except ValueError:
            raise ValueError(f"{label} must be a {'whole ' if whole else ''}number.") from None


def _fault(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        raise ValueError("There is no such fault.") from None

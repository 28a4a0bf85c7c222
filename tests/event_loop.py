"""Which event loop the tests run in: asyncio's own, or uvloop if ``VIPPS_TEST_LOOP=uvloop`` says so."""

from __future__ import annotations

import asyncio
import os

__all__ = ["chosen_loop", "use_chosen_loop"]


def chosen_loop() -> str:
    """Return ``asyncio`` or ``uvloop``.

    Raises:
        ValueError: the variable names another one: better no run than one that tried something else.
    """
    name = os.environ.get("VIPPS_TEST_LOOP") or "asyncio"
    if name not in {"asyncio", "uvloop"}:
        raise ValueError(f"VIPPS_TEST_LOOP is {name!r}, not asyncio or uvloop")
    return name


def use_chosen_loop() -> None:
    """Make each event loop of this process the chosen one. Programs that tests start call it themselves."""
    if chosen_loop() == "uvloop":
        import uvloop  # noqa: PLC0415 - not on every machine

        # By policy, since it reaches `asyncio.run` and `asyncio.Runner` wherever they stand, too.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

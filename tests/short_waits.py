"""Shortens what the package waits for in real time, here and in commands: ``python -m tests.short_waits payment …``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any

__all__ = ["shorten_looks", "shorten_waits"]

#: Sets what stands under a name of a module, as `setattr` does.
Set = Callable[[Any, str, Any], None]
#: Module → its pauses, in seconds as they are here.
_PAUSES = {
    "vipps_async.core.recovery_limit": {
        "_RECOVERY_FIRST_PAUSE": 0.05,
        "_RECOVERY_LONGEST_PAUSE": 0.1,
        "_LONGEST_WAIT": 0.5,
    },
}
#: What only a batch waits for.
_PAUSES_OF_BATCHES = {
    "vipps_async.batch.job": {"_PAUSE": 0.2, "_LIMIT_PASSES": 0.2},
    "vipps_async.batch.distributed.work": {
        "_PAUSE": 0.2,
        "_AFTER_OUTAGE": 1.0,
        "_AFTER_DATABASE": 0.2,
        "_LIMIT_PASSES": 0.2,
    },
    "vipps_async.batch.distributed.worker": {"_LOOK_EVERY": 0.05, "_POLL_EVERY": 0.1},
}
#: A pause between two attempts is this many times shorter.
_FACTOR = 20.0


def shorten_looks(set_name: Set) -> None:
    """Let nobody wait for details that lag, nor look for them until a deadline."""
    repetition = import_module("vipps_async.core.retry")
    for name, value in {"_FIRST_LOOK_PAUSE": 0.01, "_MOST_LOOKS": 5}.items():
        set_name(repetition, name, value)


def shorten_waits(set_name: Set, *, batches: bool = True) -> None:
    """Let a process that is ours wait only a little for Vipps: what it decides stays, what it takes is less."""
    shorten_looks(set_name)
    repetition = import_module("vipps_async.core.retry")
    pause_before = repetition.pause_before

    def shorter(retry: int, policy: Any, random: Random, *, throttled: bool) -> float:
        return float(pause_before(retry, policy, random, throttled=throttled)) / _FACTOR

    set_name(repetition, "pause_before", shorter)
    for name, pauses in (_PAUSES | (_PAUSES_OF_BATCHES if batches else {})).items():
        for pause, seconds in pauses.items():
            set_name(import_module(name), pause, seconds)


if __name__ == "__main__":
    # Loaded only for what calls Vipps: the other commands are measured by what they load.
    if {"payment", "batch", "journal"} & set(sys.argv[1:2]):
        shorten_waits(setattr, batches=sys.argv[1] == "batch")
    sys.exit(import_module("vipps_async.__main__").main())

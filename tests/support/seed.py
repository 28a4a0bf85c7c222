"""The seed of a run: a new one each time, shown at the head of the run; `VIPPS_TEST_SEED` repeats it."""

from __future__ import annotations

import os
from random import SystemRandom

import pytest

__all__ = ["SEED_VARIABLE"]

SEED_VARIABLE = "VIPPS_TEST_SEED"


def pytest_configure() -> None:
    """Draw it, before the processes are started that share it."""
    os.environ.setdefault(SEED_VARIABLE, str(SystemRandom().randrange(1_000_000)))


def pytest_report_header() -> str:
    """Say which it is."""
    return f"seed of storms: {os.environ[SEED_VARIABLE]} ({SEED_VARIABLE} repeats it)"


@pytest.fixture(scope="session")
def seed() -> int:
    """What long runs draw their chances from: any seed must do."""
    return int(os.environ[SEED_VARIABLE])

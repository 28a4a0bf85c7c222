"""What a machine may lack: its tests are skipped by name, unless the run was told that it must be there."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["MUST_VARIABLE", "skip_without"]

#: Names what must not be missing, separated by commas: ``chromium``, ``clients``, ``npm``, ``postgres``, ``openapi``.
#: `CI` says nothing of it: somebody else's build server has no more than any other machine.
MUST_VARIABLE = "VIPPS_TEST_MUST"


def skip_without(what: str, reason: str) -> NoReturn:
    """Skip the test for a reason, or fail it where ``VIPPS_TEST_MUST`` names what is missing."""
    if what in os.environ.get(MUST_VARIABLE, "").split(","):
        pytest.fail(f"{reason}; {MUST_VARIABLE} says that there is {what}")
    pytest.skip(reason)

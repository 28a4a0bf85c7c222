"""An eCom API on a scripted runner."""

from __future__ import annotations

import pytest

from tests.ecom.scripted_runner import ScriptedRunner
from vipps_async import EcomApi
from vipps_async.config import Environment


@pytest.fixture
def runner() -> ScriptedRunner:
    """Return a runner that keeps the calls it is given."""
    return ScriptedRunner()


@pytest.fixture
def ecom(runner: ScriptedRunner) -> EcomApi:
    """Return the API of sales unit 123456 in the test environment."""
    return EcomApi(runner, merchant_serial_number="123456", environment=Environment.TEST)

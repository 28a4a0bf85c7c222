"""An ePayment API on a scripted runner, and sessions over a service in memory."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.ecom.scripted_runner import ScriptedRunner
from tests.epayment.service import EpaymentService
from vipps_async import EpaymentApi
from vipps_async.config import Environment

# A slow machine is no defect of the code: these tests measure no real time.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")


@pytest.fixture
def runner() -> ScriptedRunner:
    """Return a runner that keeps the calls it is given."""
    return ScriptedRunner()


@pytest.fixture
def epayment(runner: ScriptedRunner) -> EpaymentApi:
    """Return the API of sales unit 123456 in the test environment."""
    return EpaymentApi(runner, merchant_serial_number="123456", environment=Environment.TEST)


@pytest.fixture
def service() -> EpaymentService:
    """Return a Vipps without payments."""
    return EpaymentService()

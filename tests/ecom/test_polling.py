"""Waiting for the customer."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import define, field

from tests.ecom.payments import details, entry
from tests.ecom.scripted_runner import ScriptedRunner
from vipps_async.ecom import EcomApi, PaymentDetails
from vipps_async.ecom.polling import wait_for_customer
from vipps_async.errors import ApiError, InvalidInputError, OrderNotFoundError, OutcomeUnknown, RateLimitedError

INITIATED = details(entry("INITIATE"))
RESERVED = details(entry("RESERVE"), entry("INITIATE"))
CANCELLED = details(entry("CANCEL"), entry("INITIATE"))


@define
class World:
    """A clock that only pauses move, and answers from a script whose last one repeats."""

    script: list[Any]
    now: float = 1000.0
    asked_at: list[float] = field(factory=list)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    async def ask(self) -> PaymentDetails:
        """Give the next answer."""
        self.asked_at.append(self.now - 1000.0)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, PaymentDetails)
        return answer

    async def wait(self, timeout: float = 600) -> PaymentDetails:  # noqa: ASYNC109 - the name under test
        """Wait for the customer."""
        return await wait_for_customer(self.ask, timeout=timeout, sleep=self.sleep, clock=lambda: self.now)


async def test_the_pace() -> None:
    """Vipps is asked after 5 seconds and then every 2."""
    world = World([INITIATED, INITIATED, RESERVED])
    assert await world.wait() is RESERVED
    assert world.asked_at == [5, 7, 9]


async def test_a_cancelled_payment_ends_the_wait() -> None:
    """A customer who declines is not waited for."""
    assert await World([INITIATED, CANCELLED]).wait() is CANCELLED


async def test_time_runs_out() -> None:
    """The last question is asked when time is up, and then it is over."""
    world = World([INITIATED])
    with pytest.raises(TimeoutError, match="within 10 seconds"):
        await world.wait(10)
    assert world.asked_at == [5, 7, 9, 10]


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), RateLimitedError("slowly", status=429, retryable=True)])
async def test_a_passing_failure_is_sat_out(error: Exception) -> None:
    """A short outage does not lose the customer; one that lasts is what is raised at the end."""
    assert await World([error, error, RESERVED]).wait() is RESERVED
    with pytest.raises(type(error)):
        await World([error]).wait(10)
    with pytest.raises(TimeoutError):
        await World([error, INITIATED]).wait(10)


@pytest.mark.parametrize("error", [OrderNotFoundError("no", status=404), ApiError("no", status=400)])
async def test_a_lasting_failure_ends_the_wait(error: Exception) -> None:
    """What cannot get better is raised at once."""
    world = World([error])
    with pytest.raises(type(error)):
        await world.wait()
    assert world.asked_at == [5]


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, True, "5"])
async def test_how_long_has_to_be_said(timeout: Any) -> None:  # noqa: ASYNC109 - the name under test
    """Only a positive, finite time can be waited for."""
    world = World([INITIATED])
    with pytest.raises(InvalidInputError, match="timeout"):
        await world.wait(timeout)
    assert not world.asked_at


async def test_the_api_waits(ecom: EcomApi, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's own wait asks details of the order."""
    monkeypatch.setattr("vipps_async.ecom.polling.FIRST_PAUSE", 0.0)
    runner.results.append(RESERVED)
    assert await ecom.wait_for("acme-1") is RESERVED
    assert runner.only.path == "/ecomm/v2/payments/acme-1/details"

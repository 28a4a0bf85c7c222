"""Runs the checks with keys that must not turn up in what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from vipps_async.core.clock import SystemClock
from vipps_async.diagnosis import CheckResult, run_checks
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.sandbox import SandboxCredentials

__all__ = ["ACCEPTED", "CHECKS", "KEYS", "found"]

#: In their order, without the journal.
CHECKS = ["settings", "environment", "host", "clock", "token", "sales unit", "versions"]
KEYS = {
    "VIPPS_CLIENT_ID": "canary-client-id",
    "VIPPS_CLIENT_SECRET": "canary-client-secret",
    "VIPPS_SUBSCRIPTION_KEY": "canary-subscription-key",
    "VIPPS_MERCHANT_SERIAL_NUMBER": "123456",
}
ACCEPTED = SandboxCredentials(
    client_id="canary-client-id", client_secret="canary-client-secret", subscription_key="canary-subscription-key"
)


class OtherClock(SystemClock):
    """A clock that is ahead of the machine's, or behind it."""

    def __init__(self, ahead: float) -> None:
        self._ahead = timedelta(seconds=ahead)

    def now(self) -> datetime:
        """See Clock."""
        return super().now() + self._ahead


async def found(
    url: str,
    further: Mapping[str, str] | None = None,
    *,
    ahead: float = 0,
    journal: Path | None = None,
    allowed_hosts: Sequence[str] = (),
) -> dict[str, CheckResult]:
    """Run them, and return the results by the name of their check; none of them shows a key."""
    env = {**KEYS, "VIPPS_BASE_URL": url, **(further or {})}
    checks = run_checks(env, api=ECOM_API, journal=journal, allowed_hosts=allowed_hosts, clock=OtherClock(ahead))
    results = [result async for result in checks]
    everything = "".join(f"{result.text}{result.advice}{result.facts}" for result in results)
    assert "canary" not in everything
    by_check = {result.check: result for result in results}
    assert len(by_check) == len(results)
    return by_check

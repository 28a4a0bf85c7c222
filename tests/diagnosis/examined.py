"""Runs an examination with keys that must not turn up in what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from vipps_async.core.clock import SystemClock
from vipps_async.diagnosis import Finding, examine
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
    url: str, further: Mapping[str, str] | None = None, *, ahead: float = 0, journal: Path | None = None
) -> dict[str, Finding]:
    """Examine, and return the findings by the name of their check; none of them shows a key."""
    env = {**KEYS, "VIPPS_BASE_URL": url, **(further or {})}
    findings = [finding async for finding in examine(env, journal=journal, clock=OtherClock(ahead))]
    everything = "".join(f"{finding.text}{finding.advice}{finding.facts}" for finding in findings)
    assert "canary" not in everything
    by_check = {finding.check: finding for finding in findings}
    assert len(by_check) == len(findings)
    return by_check

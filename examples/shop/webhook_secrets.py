"""The secrets of webhooks, which Vipps shows once: a file that only the shop may read. Keep yours where secrets are."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from vipps_async import RegisteredWebhook

__all__ = ["WebhookSecrets"]


class WebhookSecrets:
    """The secrets by the id of their registration."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: Read anew for each delivery.
        self.by_id: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    async def save(self, hook: RegisteredWebhook) -> None:
        """Keep a new secret, for good before the old registration goes."""
        # The old ones stay: what they signed may still be on its way.
        self.by_id[hook.id] = hook.secret
        await asyncio.to_thread(self._write, json.dumps(self.by_id))

    def _write(self, text: str) -> None:
        new = self._path.with_suffix(".new")
        new.touch(mode=0o600)
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

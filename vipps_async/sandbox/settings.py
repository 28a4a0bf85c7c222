"""What this sandbox is told to be, at its start or while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Settings", "SettingsError"]


class SettingsError(ValueError):
    """A setting that makes no sense. The text names it."""


@dataclass(slots=True, kw_only=True)
class Settings:
    """The settings of one sandbox."""

    #: Whether a capture or refund without `X-Request-Id` is refused, as the vendor's description has it. Its own older
    #: example, and clients made after that, send none; without a key each of them moves money anew.
    request_id_required: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the settings by the names that `change` takes."""
        return {"requestIdRequired": self.request_id_required}

    def change(self, wanted: object) -> None:
        """Take over settings by their names in JSON; all of them or none.

        Raises:
            SettingsError: one is unknown, or its value makes no sense.
        """
        if not isinstance(wanted, dict):
            raise SettingsError("settings are a JSON object")
        unknown = sorted(set(wanted) - {"requestIdRequired"})
        if unknown:
            raise SettingsError(f"there is no setting {unknown[0]!r}; there is requestIdRequired")
        required = wanted.get("requestIdRequired", self.request_id_required)
        if not isinstance(required, bool):
            raise SettingsError("requestIdRequired is true or false")
        self.request_id_required = required

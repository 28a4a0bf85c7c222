"""The error of settings that do not belong to a batch: another sales unit, environment or host."""

from __future__ import annotations

from vipps_async.errors import ConfigurationError

__all__ = ["OtherSettingsError"]


class OtherSettingsError(ConfigurationError):
    """A batch or a schema is of another sales unit, environment or host than this process; nothing was sent."""

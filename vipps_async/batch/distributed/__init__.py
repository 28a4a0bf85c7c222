"""Batches on many machines, on PostgreSQL and Procrastinate; here the errors that a command has statuses for."""

from __future__ import annotations

from vipps_async.errors import ConfigurationError, JournalError

__all__ = ["OtherSettingsError", "SubmissionUnknownError"]


class OtherSettingsError(ConfigurationError):
    """A batch or a schema is of another sales unit, environment or host than this process; nothing was sent."""


class SubmissionUnknownError(JournalError):
    """It is not known whether a batch is there. Submitting the same file again finds it, or puts it there."""

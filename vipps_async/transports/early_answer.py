"""What a transport raises inside itself when a connection has something to say before it was asked."""

from __future__ import annotations

__all__ = ["AnsweredTooEarly"]


class AnsweredTooEarly(Exception):  # noqa: N818 - the name states the fact
    """Bytes came over a connection before the request was written to it: they answer something else."""

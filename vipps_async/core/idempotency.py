"""Idempotency keys: made once for a capture or refund, and kept over every attempt of it."""

from __future__ import annotations

import os
import time
import uuid

__all__ = ["new_idempotency_key"]


def new_idempotency_key() -> str:
    """Make a new idempotency key: a UUID of version 7 (RFC 9562), 36 characters.

    It begins with the time in milliseconds, so that keys made one after the other lie side by side in a journal's
    index, and ends with 74 random bits from the operating system.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    # The layout of RFC 9562, section 5.7: 48 bits of time, version 7, 12 random bits, variant 2, 62 random bits.
    value = (milliseconds & (2**48 - 1)) << 80
    value |= 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    value |= 0x2 << 62 | random & (2**62 - 1)
    return str(uuid.UUID(int=value))

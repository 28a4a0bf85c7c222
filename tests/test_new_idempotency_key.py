"""Idempotency keys made here."""

from __future__ import annotations

import time
import uuid

from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.input_rules import check_idempotency_key


def test_keys_keep_vipps_rule() -> None:
    """A new key fits the header: at most 40 characters."""
    assert len(check_idempotency_key(new_idempotency_key())) <= 40


def test_keys_are_distinct() -> None:
    """No two keys are the same."""
    assert len({new_idempotency_key() for _ in range(10_000)}) == 10_000


def test_keys_are_uuids_of_version_7() -> None:
    """A key is a UUID whose first 48 bits are the time in milliseconds."""
    before = time.time_ns() // 1_000_000
    key = uuid.UUID(new_idempotency_key())
    after = time.time_ns() // 1_000_000
    assert key.version == 7
    assert key.variant == uuid.RFC_4122
    assert before <= key.int >> 80 <= after


def test_keys_sort_by_time() -> None:
    """A key made a millisecond later sorts after an earlier one."""
    first = new_idempotency_key()
    moment = time.time_ns()
    while time.time_ns() // 1_000_000 == moment // 1_000_000:
        pass
    assert first < new_idempotency_key()

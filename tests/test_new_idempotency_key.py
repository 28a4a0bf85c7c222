"""Idempotency keys made here."""

from __future__ import annotations

import subprocess
import sys
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


def test_forked_processes_share_no_keys() -> None:
    """Parent and child of a fork do not go on with the same random bits."""
    code = (
        "import os, sys\n"
        "from vipps_async.idempotency_keys import new_idempotency_key as key\n"
        "key()\n"
        "child = os.fork()\n"
        "child and os.waitpid(child, 0)\n"
        "os.write(1, ''.join(key()[15:] + ' ' for _ in range(50)).encode())\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(printed) == 100
    assert len(set(printed)) == 100

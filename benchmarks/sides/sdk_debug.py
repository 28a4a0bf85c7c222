"""`VippsSession` whose events are all logged, rendered and written to a file that keeps nothing."""

from __future__ import annotations

import logging
import os

from benchmarks.sides.sdk import Sdk

__all__ = ["open_side"]


def open_side(url: str, limit: int | None) -> Sdk:
    """Make the side, and log everything from now on."""
    handler = logging.FileHandler(os.devnull)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("vipps_async")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return Sdk(url, limit)

"""Captures one order and tells when it was done, as Unix time: `python -m benchmarks.first_answer SIDE URL`."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.sides import open_side

__all__: list[str] = []


async def _capture(name: str, url: str) -> float:
    side = open_side(name, url, None)
    await side.capture("acme-shop-1")
    answered = time.time()
    await side.aclose()
    return answered


if __name__ == "__main__":
    print(asyncio.run(_capture(sys.argv[1], sys.argv[2])))

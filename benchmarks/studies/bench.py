"""What every study is told: how much to measure, and against which server."""

from __future__ import annotations

from attrs import frozen

from benchmarks.servers import Server

__all__ = ["Bench"]


@frozen(kw_only=True)
class Bench:
    """How one run measures."""

    server: Server
    #: Pairs for each comparison in which a few per cent matter.
    pairs: int = 9
    #: Pairs for those that lie far apart.
    few_pairs: int = 3
    #: How long a slice of one side should take, in seconds.
    slice_seconds: float = 0.35
    #: How many calls at a time.
    concurrencies: tuple[int, ...] = (1, 64, 1000)
    loops: tuple[str, ...] = ("asyncio", "uvloop")
    #: Calls in flight whose memory is weighed.
    in_flight: int = 1000
    #: Tasks of the stampede.
    stampede: int = 1000
    #: Captures in one measurement of the client's own share.
    share_calls: int = 10_000

"""The workers, seen from the process that leads them: each is started, asked to measure, and ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, TextIO

from attrs import define, field, frozen

from benchmarks import machine
from benchmarks.fixed_server import ROOT

__all__ = ["Slice", "Worker", "WorkerError", "working"]

#: The calls made to find out how fast a side is; enough for a few milliseconds at least.
_PROBE = 60
#: Calls before each slice: they open the connections that idled away meanwhile, and warm what went cold.
_WARM_UP = 200


class WorkerError(Exception):
    """A side could not be measured; the message names it, with the last line that it left."""


@frozen(kw_only=True)
class Slice:
    """A stretch of one side's work."""

    calls: int
    seconds: float
    cpu_seconds: float
    #: The server's processor time, and the whole time that it belongs to, in seconds.
    server_cpu: float | None = None
    server_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds

    @property
    def cpu_per_call(self) -> float:
        """The processor's time for one call, in µs."""
        return self.cpu_seconds / self.calls * 1e6


@define
class Worker:
    """A side in its own process."""

    _name: str
    _process: subprocess.Popen[str]
    _errors: TextIO
    #: The server's process, to watch how busy it is; None: it is not watched.
    _server_pid: int | None
    _calls: dict[tuple[str, int], int] = field(factory=dict)
    _is_ready: bool = False

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def send(self, task: dict[str, Any]) -> None:
        """Ask for something; `answer` brings what came of it.

        Raises:
            WorkerError: the process did not start.
        """
        if not self._is_ready:
            # Not waited for at the start, so that several can start at a time.
            self.answer()
            self._is_ready = True
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            WorkerError: the process ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            left = self._errors.read().strip().splitlines()
            # An exception group's last line says nothing; the deepest exception stands above it.
            told = [text.strip(" |+-") for text in left if text.strip(" |+-")]
            raise WorkerError(f"{self._name}: {told[-1] if told else self._process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, operation: str, calls: int, concurrent: int, *, warm_up: int = _WARM_UP) -> Slice:
        """Make so many calls, and measure them."""
        before, started = self._server_cpu(), time.perf_counter()
        self.send({"operation": operation, "calls": calls, "concurrent": concurrent, "warm_up": warm_up})
        answer = self.answer()
        after, ended = self._server_cpu(), time.perf_counter()
        return Slice(
            calls=calls,
            seconds=answer["seconds"],
            cpu_seconds=answer["cpu_seconds"],
            server_cpu=None if before is None or after is None else after - before,
            server_seconds=ended - started,
        )

    def slice(self, operation: str, concurrent: int, seconds: float) -> Slice:
        """Make as many calls as take about so long, but all of the concurrent ones once."""
        key = (operation, concurrent)
        if key not in self._calls:
            probe = self.run(operation, _PROBE, min(concurrent, _PROBE), warm_up=_PROBE)
            self._calls[key] = max(int(probe.rate * seconds), concurrent, _PROBE)
        calls = self._calls[key]
        return self.run(operation, calls, concurrent, warm_up=min(_WARM_UP, calls // 2))

    def _server_cpu(self) -> float | None:
        return None if self._server_pid is None else machine.cpu_seconds(self._server_pid)


@contextlib.contextmanager
def working(
    side: str, url: str, *, loop: str = "asyncio", limit: int | None = None, server_pid: int | None = None
) -> Iterator[Worker]:
    """Start a side in its own process, and end it.

    Args:
        side: one of the sides.
        url: the server to call.
        loop: asyncio or uvloop.
        limit: the most connections; None: the side's default.
        server_pid: the server's process, to watch how busy it is.
    """
    command = [sys.executable, "-m", "benchmarks.worker", side, "--url", url, "--loop", loop]
    if limit is not None:
        command += ["--limit", str(limit)]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
        ) as process,
    ):
        try:
            yield Worker(side, process, errors, server_pid)
        finally:
            # The end of its input is what it ends by; killed if it has something else in hand.
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()

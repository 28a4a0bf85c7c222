"""The one thread that writes: it takes what waits, commits it as one group, and tells everybody at once."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import define, field

from vipps_async.errors import JournalError
from vipps_async.journals.backlog import own_copy
from vipps_async.journals.rules import Work
from vipps_async.journals.sqlite.store import SqliteStore

__all__ = ["GROUP", "Job", "Report", "Writer"]

#: The most works in one commit, unless a single chunk is larger: beyond it, commits get longer and no cheaper each.
GROUP = 1000

#: How long outcomes wait after a commit that failed, if nothing else comes that could carry them, in seconds.
_RETRY_AFTER = 1.0


@define(eq=False)
class Job:
    """One thing for the thread to do: works to commit, something to read, or (neither) a commit to wait for."""

    works: Sequence[Work] = ()
    read: Callable[[SqliteStore], Any] | None = None
    #: Who waits for the result; None: an outcome, for which nobody waits and which is tried again if a commit fails.
    future: asyncio.Future[Any] | None = None

    @property
    def given_up(self) -> bool:
        """Whether whoever waited for it was cancelled."""
        return self.future is not None and self.future.cancelled()


@define(eq=False)
class Report:
    """What a round of the thread brought: handed to the loop in one go."""

    #: Who gets what.
    results: list[tuple[asyncio.Future[Any], Any]] = field(factory=list)
    #: Whether there was anything to commit.
    wrote: bool = False
    #: How many outcomes became durable.
    durable: int = 0
    #: Why the commit failed, if it did.
    failure: JournalError | None = None


class Writer:
    """A thread with a journal file.

    It is a daemon thread: after a crash of the main thread nothing waits for it. What it had not committed by then
    was not acknowledged either.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        check: bool,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[Report], None],
        opened: asyncio.Future[None],
        closed: asyncio.Future[int],
    ) -> None:
        self._path = path
        self._clock = clock
        self._check = check
        self._loop = loop
        self._report = report
        self._opened = opened
        self._closed = closed
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._taken: list[Job] = []
        self._retained: list[Job] = []
        self._thread = threading.Thread(target=self._run, name=f"vipps-journal {path.name}", daemon=True)

    def start(self) -> None:
        """Start the thread; `opened` then tells whether it could open the file."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Add a job; never waits."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Ask the thread to finish what waits and to end; `closed` then tells how many outcomes it could not write."""
        self._jobs.put(None)

    def join(self) -> None:
        """Wait for the end of the thread, which is at most some instructions away once `closed` is done."""
        self._thread.join()

    def _run(self) -> None:
        try:
            with SqliteStore.opened(self._path, clock=self._clock, check=self._check) as store:
                self._tell(_resolve, self._opened, None)
                self._serve(store)
        except JournalError as error:
            self._tell(_resolve, self._opened, error)
        finally:
            # Also if something unforeseen ended the thread: nobody may wait for it for ever.
            self._tell(self._wind_up)

    def _serve(self, store: SqliteStore) -> None:
        stopping = False
        while not stopping:
            self._taken, stopping = self._take()
            if self._taken or self._retained:
                self._tell(self._report, self._round(store, self._taken))
            self._taken = []

    def _take(self) -> tuple[list[Job], bool]:
        jobs: list[Job] = []
        works = 0
        try:
            job = self._jobs.get(timeout=_RETRY_AFTER if self._retained else None)
            while job is not None:
                jobs.append(job)
                works += len(job.works)
                if works >= GROUP:
                    return jobs, False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, False
        return jobs, True

    def _round(self, store: SqliteStore, jobs: Sequence[Job]) -> Report:
        report = Report()
        waiting = [job for job in jobs if not job.given_up]
        writing = [*self._retained, *(job for job in waiting if job.works)]
        if writing:
            report.wrote = True
            try:
                answers = store.commit([job.works for job in writing])
            except JournalError as error:
                report.failure = error
                self._retained = [job for job in writing if job.future is None]
                report.results.extend((job.future, own_copy(error)) for job in writing if job.future is not None)
            else:
                self._retained = []
                report.durable = sum(1 for job in writing if job.future is None)
                results = zip(writing, answers, strict=True)
                report.results.extend((job.future, found) for job, found in results if job.future is not None)
        for job in waiting:
            if not job.works and job.future is not None:
                report.results.append((job.future, self._reading(store, job, report.failure)))
        return report

    def _reading(self, store: SqliteStore, job: Job, failure: JournalError | None) -> Any:
        # Reading on past outcomes that could not be written would show as open what is known to be settled.
        if failure is not None and self._retained:
            return own_copy(failure)
        try:
            return job.read(store) if job.read is not None else None
        except JournalError as error:
            return error

    def _wind_up(self) -> None:
        # On the loop, where the jobs come from: what comes after this sees `closed`, and is not put here any more.
        report = Report(wrote=True, failure=JournalError(f"the journal {self._path} is closed"))
        left = [*self._retained, *self._taken]
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    left.append(job)
        for job in left:
            if job.future is not None:
                report.results.append((job.future, JournalError(f"the journal {self._path} is closed")))
        lost = sum(1 for job in left if job.future is None)
        self._report(report)
        _resolve(self._opened, JournalError(f"the thread of the journal {self._path} ended"))
        _resolve(self._closed, lost)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        # The loop may be closed already, if the journal never was: then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _resolve(future: asyncio.Future[Any], result: object) -> None:
    if future.done():
        return
    if isinstance(result, JournalError):
        future.set_exception(result)
    else:
        future.set_result(result)

"""The task that writes: it takes what waits, commits it as one group, and tells everybody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from attrs import define

from vipps_async.errors import JournalError
from vipps_async.journals.backlog import Backlog, own_copy
from vipps_async.journals.checksum import UnfitError
from vipps_async.journals.postgres.guard import Guard
from vipps_async.journals.rules import Answer, Work

__all__ = ["GROUP", "Job", "Writer"]

#: The most works in one commit, unless a single chunk is larger: beyond it, commits get longer and no cheaper each.
GROUP = 1000

#: How long outcomes wait after a commit that failed, if nothing else comes that could carry them, in seconds.
_RETRY_AFTER = 1.0


class Committing(Protocol):
    """What the writer needs of a store."""

    async def commit(
        self, groups: Sequence[Sequence[Work]], guards: Sequence[Guard | None] = ()
    ) -> list[list[Answer] | None]:
        """Do all works in their order, in one transaction; None for those whose guard does not hold."""
        ...


@define(eq=False)
class Job:
    """Works to commit, or (none) a commit to wait for."""

    works: Sequence[Work] = ()
    #: Who waits for the result; None: an outcome, for which nobody waits and which is tried again if a commit fails.
    future: asyncio.Future[Any] | None = None
    #: What must hold for it to be written; outcomes are dropped if it does not.
    guard: Guard | None = None


class Writer:
    """Commits jobs in their order, in groups. One writer for a journal: a begin must see the settle before it."""

    def __init__(self, store: Committing, backlog: Backlog) -> None:
        self._store = store
        self._backlog = backlog
        self._jobs: deque[Job] = deque()
        self._come = asyncio.Event()
        self._stopping = False
        self._taken: list[Job] = []
        self._retained: list[Job] = []
        #: How many outcomes no commit will ever carry.
        self._lost = 0

    def put(self, job: Job) -> None:
        """Add a job; never waits."""
        self._jobs.append(job)
        self._come.set()

    def stop(self) -> None:
        """Ask it to finish what waits and to end."""
        self._stopping = True
        self._come.set()

    async def run(self) -> int:
        """Work until stopped.

        Returns:
            How many outcomes could not be written.
        """
        try:
            while not self._stopping or self._jobs:
                await self._wait()
                self._taken = self._take()
                await self._round(self._taken)
                self._taken = []
            return len(self._retained) + self._lost
        finally:
            # Also if something unforeseen ended it: nobody may wait for it for ever.
            self._refuse()

    async def _wait(self) -> None:
        if self._jobs or self._stopping:
            return
        self._come.clear()
        try:
            async with asyncio.timeout(_RETRY_AFTER if self._retained else None):
                await self._come.wait()
        except TimeoutError:
            return

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        works = 0
        while self._jobs and works < GROUP:
            job = self._jobs.popleft()
            if job.future is None or not job.future.done():
                jobs.append(job)
                works += len(job.works)
        return jobs

    async def _round(self, jobs: Sequence[Job]) -> None:
        writing = [*self._retained, *(job for job in jobs if job.works)]
        self._retained = []
        failure = await self._commit(writing) if writing else None
        for job in jobs:
            if not job.works:
                # To wait for a commit is only in vain if outcomes are still without one.
                _tell(job, failure if self._retained else None)

    async def _commit(self, jobs: Sequence[Job]) -> JournalError | None:
        """Commit all jobs together; one that does not fit fails alone. Returns the store's failure, if it failed."""
        waiting = [jobs]
        failure: JournalError | None = None
        while waiting:
            group = waiting.pop()
            try:
                if failure is not None:
                    # The store fails: what comes later must not get there before what came earlier.
                    raise own_copy(failure)
                answers = await self._committed(group)
            except UnfitError as error:
                if len(group) > 1:
                    middle = len(group) // 2
                    waiting += (group[middle:], group[:middle])
                    continue
                # Trying again would not help. What an outcome belongs to stays as it is in the database.
                self._lost += _outcomes(group)
                self._backlog.left(_outcomes(group), None)
                _tell(group[0], error)
            except JournalError as error:
                failure = error
                self._retained += [job for job in group if job.future is None]
                self._backlog.left(0, error)
                for job in group:
                    _tell(job, error)
            else:
                self._backlog.left(_outcomes(group), None)
                for job, found in zip(group, answers, strict=True):
                    barred = job.guard if found is None else None
                    _tell(job, found if barred is None else JournalError(barred.refusal))
        return failure

    async def _committed(self, jobs: Sequence[Job]) -> list[list[Answer] | None]:
        groups, guards = [job.works for job in jobs], [job.guard for job in jobs]
        return await (self._store.commit(groups, guards) if any(guards) else self._store.commit(groups))

    def _refuse(self) -> None:
        closed = JournalError("the journal is closed")
        for job in [*self._taken, *self._jobs]:
            if job.future is not None and not job.future.done():
                job.future.set_exception(own_copy(closed))
        self._jobs.clear()
        self._backlog.left(0, closed)


def _outcomes(jobs: Sequence[Job]) -> int:
    return sum(1 for job in jobs if job.future is None)


def _tell(job: Job, result: object) -> None:
    if job.future is None or job.future.done():
        return
    if isinstance(result, JournalError):
        job.future.set_exception(own_copy(result))
    else:
        job.future.set_result(result)

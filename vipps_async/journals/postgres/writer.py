"""The task that writes: it takes what waits, commits it as one group, and tells everybody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from attrs import define

from vipps_async.errors import JournalError
from vipps_async.journals.backlog import Backlog, own_copy
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
            return len(self._retained)
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
        failure: JournalError | None = None
        answers: list[list[Answer] | None] = []
        if writing:
            groups, guards = [job.works for job in writing], [job.guard for job in writing]
            try:
                answers = await (self._store.commit(groups, guards) if any(guards) else self._store.commit(groups))
            except JournalError as error:
                failure = error
        self._retained = [job for job in writing if job.future is None] if failure is not None else []
        if writing:
            durable = 0 if failure is not None else sum(1 for job in writing if job.future is None)
            self._backlog.left(durable, failure)
        results: dict[int, list[Answer] | None] = {}
        if failure is None:
            results = {id(job): found for job, found in zip(writing, answers, strict=True)}
        for job in [*writing, *(job for job in jobs if not job.works)]:
            if job.future is None or job.future.done():
                continue
            # To wait for a commit is only in vain if outcomes are still without one.
            if failure is not None and (job.works or self._retained):
                job.future.set_exception(own_copy(failure))
            elif failure is None and job.guard is not None and job.works and results[id(job)] is None:
                job.future.set_exception(JournalError(job.guard.refusal))
            else:
                job.future.set_result(results.get(id(job)))

    def _refuse(self) -> None:
        closed = JournalError("the journal is closed")
        for job in [*self._taken, *self._jobs]:
            if job.future is not None and not job.future.done():
                job.future.set_exception(own_copy(closed))
        self._jobs.clear()
        self._backlog.left(0, closed)

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
from vipps_async.journals.checksum import UnfitError
from vipps_async.journals.protocol import Entry
from vipps_async.journals.rules import Answer, Work
from vipps_async.journals.sqlite.store import SqliteStore

__all__ = ["GROUP", "Asked", "Item", "Job", "Report", "Writer"]

#: The most works in one commit, unless a single chunk is larger: beyond it, commits get longer and no cheaper each.
GROUP = 1000

#: How long outcomes wait after a commit that failed, if nothing else comes that could carry them, in seconds.
_RETRY_AFTER = 1.0


@define(eq=False)
class Asked:
    """One work, and who waits for its answer."""

    work: Work
    future: asyncio.Future[Answer]


@define(eq=False)
class Job:
    """What is rarer: works to commit together, something to read, or (neither) a commit to wait for."""

    #: Who waits for the result: the answers to the works, or what was read.
    future: asyncio.Future[Any]
    works: Sequence[Work] = ()
    read: Callable[[SqliteStore], Any] | None = None


#: What tasks hand to the thread. A work by itself is an outcome, for which nobody waits, and which is tried again if a
#: commit fails. Every call that moves money has one of the first and one of the last, so there is nothing around them.
Item = Asked | Job | Work


@define(eq=False)
class Report:
    """What a round of the thread brought: handed to the loop in one go."""

    #: Who gets what.
    futures: list[asyncio.Future[Any]] = field(factory=list)
    results: list[Any] = field(factory=list)
    #: Whether there was anything to commit.
    wrote: bool = False
    #: How many outcomes became durable.
    durable: int = 0
    #: Why the commit failed, if it did.
    failure: JournalError | None = None
    #: Entries that became DONE though they were settled as without effect.
    overruled: list[Entry] = field(factory=list)

    def tell(self, future: asyncio.Future[Any], result: Any) -> None:
        """Note that somebody gets a result or an error."""
        self.futures.append(future)
        self.results.append(result)


@define(eq=False)
class _Round:
    """What one round of the thread does, sorted."""

    #: All that is committed, in the order in which it was asked for.
    works: list[Work]
    #: Those of them that are kept if that fails.
    outcomes: list[Work]
    #: Who waits for answers, and where in `works` each of them finds its own.
    asking: list[asyncio.Future[Any]] = field(factory=list)
    places: list[int | slice] = field(factory=list)
    reading: list[Job] = field(factory=list)

    def add(self, item: Item) -> None:
        """Take something in, unless whoever waited for it was cancelled."""
        if not isinstance(item, Asked | Job):
            self.works.append(item)
            self.outcomes.append(item)
        elif item.future.cancelled():
            return
        elif isinstance(item, Asked):
            self._ask(item.future, len(self.works))
            self.works.append(item.work)
        elif item.works:
            self._ask(item.future, slice(len(self.works), len(self.works) + len(item.works)))
            self.works.extend(item.works)
        else:
            self.reading.append(item)

    def _ask(self, future: asyncio.Future[Any], place: int | slice) -> None:
        self.asking.append(future)
        self.places.append(place)


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
        trusted_owner: int | None,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[Report], None],
        opened: asyncio.Future[None],
        closed: asyncio.Future[int],
    ) -> None:
        self._path = path
        self._clock = clock
        self._check = check
        self._trusted_owner = trusted_owner
        self._loop = loop
        self._report = report
        self._opened = opened
        self._closed = closed
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._taken: list[Item] = []
        #: Outcomes that no commit has carried yet.
        self._retained: list[Work] = []
        #: How many outcomes no commit will ever carry.
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name=f"vipps-journal {path.name}", daemon=True)

    def start(self) -> None:
        """Start the thread; `opened` then tells whether it could open the file."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Add something to do; never waits."""
        self._items.put(item)

    def stop(self) -> None:
        """Ask the thread to finish what waits and to end; `closed` then tells how many outcomes it could not write."""
        self._items.put(None)

    def join(self) -> None:
        """Wait for the end of the thread, which is at most some instructions away once `closed` is done."""
        self._thread.join()

    def _run(self) -> None:
        try:
            with SqliteStore.opened(
                self._path, clock=self._clock, check=self._check, trusted_owner=self._trusted_owner
            ) as store:
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

    def _take(self) -> tuple[list[Item], bool]:
        items: list[Item] = []
        works = 0
        try:
            item = self._items.get(timeout=_RETRY_AFTER if self._retained else None)
            while item is not None:
                items.append(item)
                works += len(item.works) if isinstance(item, Job) else 1
                if works >= GROUP:
                    return items, False
                item = self._items.get_nowait()
        except queue.Empty:
            return items, False
        return items, True

    def _round(self, store: SqliteStore, items: Sequence[Item]) -> Report:
        report = Report()
        round_ = _Round([*self._retained], [*self._retained])
        for item in items:
            round_.add(item)
        if round_.works:
            report.wrote = True
            try:
                answers = store.commit(round_.works)
            except UnfitError:
                self._commit_apart(store, [*self._retained, *items], report)
            except JournalError as error:
                report.failure = error
                self._retained = round_.outcomes
                report.results = [own_copy(error) for _ in round_.asking]
                report.futures = round_.asking
            else:
                self._retained = []
                report.durable = len(round_.outcomes)
                report.results = [answers[place] for place in round_.places]
                report.futures = round_.asking
        if store.overruled:
            report.overruled, store.overruled = store.overruled, []
        for job in round_.reading:
            report.tell(job.future, self._reading(store, job, report.failure))
        return report

    def _commit_apart(self, store: SqliteStore, items: Sequence[Item], report: Report) -> None:
        """Halve a group in which one does not fit until that one fails alone, and the others are committed."""
        self._retained = []
        waiting = [[item for item in items if not isinstance(item, Job) or item.works]]
        while waiting:
            group = waiting.pop()
            round_ = _Round([], [])
            for item in group:
                round_.add(item)
            try:
                if report.failure is not None:
                    # The store fails: what comes later must not get there before what came earlier.
                    raise own_copy(report.failure)
                answers = store.commit(round_.works) if round_.works else []
            except UnfitError as error:
                if len(group) > 1:
                    middle = len(group) // 2
                    waiting += (group[middle:], group[:middle])
                    continue
                # Trying again would not help. What the outcome belongs to stays as it is in the file.
                self._lost += len(round_.outcomes)
                report.durable += len(round_.outcomes)
                results: list[Any] = [own_copy(error) for _ in round_.asking]
            except JournalError as error:
                report.failure = error
                self._retained += round_.outcomes
                results = [own_copy(error) for _ in round_.asking]
            else:
                report.durable += len(round_.outcomes)
                results = [answers[place] for place in round_.places]
            report.futures += round_.asking
            report.results += results

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
                item = self._items.get_nowait()
                if item is not None:
                    left.append(item)
        lost = self._lost
        for item in left:
            if isinstance(item, Asked | Job):
                report.tell(item.future, JournalError(f"the journal {self._path} is closed"))
            else:
                lost += 1
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

"""Limits of waits: what `asyncio.timeout` does, with one timer however often a limit is moved."""

# ruff: noqa: PT012 - what is limited is a block

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest
from attrs import evolve, frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core.virtual_time import run_in_virtual_time
from vipps_async.time_limits import TimeLimit

R = TypeVar("R")


def now() -> float:
    """The loop's time in seconds; virtual time begins at 0."""
    return asyncio.get_running_loop().time()


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in virtual time."""

    def run() -> None:
        run_in_virtual_time(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# --- what it promises, one by one ----------------------------------------------------------------------------------


@virtually
async def test_a_wait_that_takes_too_long_is_ended() -> None:
    """At its end, and neither before nor later, the wait is cancelled and TimeoutError is raised."""
    with pytest.raises(TimeoutError) as caught, TimeLimit(5.25) as limit:
        await asyncio.sleep(10)
    assert now() == 5.25
    assert limit.expired
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    await asyncio.sleep(1)  # nothing of the cancellation is left


@virtually
async def test_a_wait_that_ends_in_time_is_left_alone() -> None:
    """What ends within its limit notices nothing of it, then or later."""
    with TimeLimit(5) as limit:
        await asyncio.sleep(4)
    assert not limit.expired
    await asyncio.sleep(4)
    assert now() == 8


@virtually
async def test_leaving_without_waiting_is_fine() -> None:
    """A limit that is entered and left at once does nothing, even one of 0 seconds."""
    for seconds in (5, 0, -1):
        with TimeLimit(seconds):
            pass
    await asyncio.sleep(10)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("seconds", [0, -1, -math.inf])
def test_without_any_time_it_ends_at_the_next_await(seconds: float) -> None:
    """With 0 seconds or less, not even a single turn of the loop is waited."""

    async def main() -> None:
        with pytest.raises(TimeoutError), TimeLimit(seconds):
            await asyncio.sleep(0)
        assert now() == 0

    run_in_virtual_time(main())


@virtually
async def test_a_limit_that_has_passed_is_moved() -> None:
    """Moved to a moment that has passed, it ends at the next await."""
    with pytest.raises(TimeoutError), TimeLimit(60) as limit:
        await asyncio.sleep(5)
        limit.move(3)
        await asyncio.sleep(0)
    assert now() == 5


@pytest.mark.parametrize("error", [asyncio.CancelledError, TimeoutError, ValueError])
def test_other_errors_come_through(error: type[BaseException]) -> None:
    """An error that the limit did not cause stays what it is, a cancellation too."""

    async def main() -> None:
        raised = error()
        with pytest.raises(error) as caught, TimeLimit(5):
            raise raised
        assert caught.value is raised

    run_in_virtual_time(main())


@virtually
async def test_an_error_that_follows_the_end_comes_through() -> None:
    """If the work makes another error of the cancellation, that is what its caller sees, and the task goes on."""
    with pytest.raises(ValueError, match="mine"), TimeLimit(5) as limit:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise ValueError("mine") from None
    assert limit.expired
    await asyncio.sleep(1)


@virtually
async def test_a_cancellation_from_outside_wins() -> None:
    """If somebody cancels the task in the very turn in which the limit ends, it is cancelled and not timed out."""
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(asyncio.CancelledError), TimeLimit(0):
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.sleep(10)
    assert task.uncancel() == 0


@pytest.mark.parametrize(("outer", "inner", "ends_it"), [(5, 9, "outer"), (9, 5, "inner"), (5, 5, "outer")])
def test_of_nested_limits_the_first_counts(outer: float, inner: float, ends_it: str) -> None:
    """The limit that ends first is the one that raises; of two at the same moment it is the outer one."""

    async def main() -> None:
        seen: list[str] = []
        try:
            with TimeLimit(outer):
                try:
                    with TimeLimit(inner):
                        await asyncio.sleep(20)
                except TimeoutError:
                    seen.append("inner")
                    await asyncio.sleep(1)
        except TimeoutError:
            seen.append("outer")
        assert seen == [ends_it]

    run_in_virtual_time(main())


@pytest.mark.parametrize(("seconds", "moved_to", "ended"), [(5, 8, 8), (8, 5, 5), (5, 3, 3), (3, 60, None)])
def test_an_end_can_be_moved(seconds: float, moved_to: float, ended: float | None) -> None:
    """Moved later it ends later, moved earlier it ends earlier, to the moment."""

    async def main() -> None:
        with contextlib.suppress(TimeoutError), TimeLimit(seconds) as limit:
            await asyncio.sleep(2)
            assert limit.now() == 2
            limit.move(moved_to)
            assert limit.ends == moved_to
            await asyncio.sleep(10)
        assert now() == (ended or 12)

    run_in_virtual_time(main())


@virtually
async def test_an_end_that_has_come_cannot_be_moved() -> None:
    """Once it has ended the wait, a limit stays at its end."""
    with pytest.raises(TimeoutError), TimeLimit(5) as limit:
        try:
            await asyncio.sleep(10)
        finally:
            limit.move(50)
    assert limit.ends == 5


@virtually
async def test_an_end_in_the_turn_in_which_the_answer_came() -> None:
    """If the limit ends when the future is done but the task has not yet run, it counts as too late, and once."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(future.set_result, None)
    with pytest.raises(TimeoutError), TimeLimit(0):
        await future
    assert future.done()
    await asyncio.sleep(1)


@virtually
async def test_only_a_task_has_limits() -> None:
    """What runs in no task cannot be cancelled, so it cannot be limited: it is told so."""
    found = asyncio.get_running_loop().create_future()

    def enter() -> None:
        try:
            with TimeLimit(5):
                found.set_result(None)
        except RuntimeError as error:
            found.set_result(str(error))

    asyncio.get_running_loop().call_soon(enter)
    assert await found == "only a task can be given a time limit"


def test_outside_a_loop_there_are_none() -> None:
    """Without a running loop there is no time to measure."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        TimeLimit(5)


async def test_on_a_clock_that_really_runs() -> None:
    """On an ordinary loop it ends when it should, not a moment before."""
    before = now()
    with pytest.raises(TimeoutError), TimeLimit(0.02):
        await asyncio.Event().wait()
    assert 0.0199 <= now() - before < 5


# --- one timer -----------------------------------------------------------------------------------------------------


def _count_timers(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    loop, set_timers = asyncio.get_running_loop(), []
    real = loop.call_at

    def call_at(when: float, *given: Any, **more: Any) -> asyncio.TimerHandle:
        set_timers.append(when)
        return real(when, *given, **more)

    monkeypatch.setattr(loop, "call_at", call_at)
    return set_timers


def test_a_limit_takes_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often its end is moved later, a limit takes one timer at a time, and leaves none behind."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        set_timers = _count_timers(monkeypatch)
        with TimeLimit(5) as limit:
            for _ in range(1000):
                limit.move(limit.now() + 8)
            assert set_timers == [5.0]
            await asyncio.sleep(6)
            assert set_timers == [5.0, 6.0, 8.0], (
                "of the limit, of sleep(), and of the limit again when it fired too early"
            )
        scheduled = loop._scheduled  # type: ignore[attr-defined]  # it has no public word for it
        assert [timer for timer in scheduled if not timer.cancelled()] == []

    run_in_virtual_time(main())


# --- held against asyncio.timeout ----------------------------------------------------------------------------------


@frozen
class Sleep:
    """Wait."""

    seconds: float


@frozen
class Within:
    """Do the steps within a limit; a TimeoutError of it ends them, and nothing else."""

    seconds: float
    steps: tuple[Step, ...]


@frozen
class Move:
    """Move the innermost limit to so many seconds from now."""

    seconds: float


@frozen
class Swallow:
    """Do the steps, and ignore that they were cancelled."""

    steps: tuple[Step, ...]


@frozen
class Fail:
    """Fail."""


Step = Sleep | Within | Move | Swallow | Fail
Mover = Callable[[float], None]
Limiter = Callable[[float], AbstractAsyncContextManager[Mover]]


@contextlib.asynccontextmanager
async def _asyncio(seconds: float) -> AsyncIterator[Mover]:
    async with asyncio.timeout(seconds) as timeout:

        def move(until: float) -> None:
            if not timeout.expired():
                timeout.reschedule(now() + until)

        yield move


@contextlib.asynccontextmanager
async def _ours(seconds: float) -> AsyncIterator[Mover]:
    with TimeLimit(seconds) as limit:
        yield lambda until: limit.move(limit.now() + until)


async def _do(steps: Sequence[Step], limiter: Limiter, move: Mover, seen: list[tuple[str, float]]) -> None:
    for step in steps:
        match step:
            case Sleep():
                await asyncio.sleep(step.seconds)
                seen.append(("slept", now()))
            case Within():
                try:
                    async with limiter(step.seconds) as inner:
                        await _do(step.steps, limiter, inner, seen)
                except TimeoutError:
                    seen.append(("timed out", now()))
            case Move():
                move(step.seconds)
            case Swallow():
                try:
                    await _do(step.steps, limiter, move, seen)
                except asyncio.CancelledError:
                    seen.append(("swallowed", now()))
            case Fail():
                raise ValueError


def _story(steps: Sequence[Step], limiter: Limiter, cancel_at: float | None) -> list[tuple[str, float]]:
    seen: list[tuple[str, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(_do(steps, limiter, lambda _: None, seen))
        if cancel_at is not None:
            loop.call_at(cancel_at, task.cancel)
        await asyncio.wait({task})
        how = "cancelled" if task.cancelled() else type(task.exception()).__name__
        seen.append((f"{how}, asked {task.cancelling()} times", now()))

    run_in_virtual_time(main())
    return seen


def _told_apart(steps: Sequence[Step], taken: list[int]) -> tuple[Step, ...]:
    """Give each limit a fraction of its own: what happens at the very same moment may come in either order."""
    found: list[Step] = []
    for step in steps:
        changes: dict[str, Any] = {}
        if isinstance(step, Within | Move) and step.seconds > 0:
            taken.append(0)
            changes["seconds"] = step.seconds + 2.0 ** -(len(taken) + 1)
        if isinstance(step, Within | Swallow):
            changes["steps"] = _told_apart(step.steps, taken)
        found.append(evolve(step, **changes))
    return tuple(found)


_SECONDS = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 8.0])
_STEPS: st.SearchStrategy[tuple[Step, ...]] = st.deferred(
    lambda: st.lists(
        st.one_of(
            st.builds(Sleep, st.sampled_from([0.0, 0.0, 1.0, 2.0, 4.0, 7.0])),
            st.builds(Within, _SECONDS, _STEPS),
            st.builds(Move, _SECONDS),
            st.builds(Swallow, _STEPS),
            st.just(Fail()),
        ),
        max_size=4,
    ).map(tuple)
)


def _limits_in(steps: Sequence[Step]) -> int:
    within = sum(_limits_in(step.steps) for step in steps if isinstance(step, Within | Swallow))
    return within + sum(isinstance(step, Within | Move) for step in steps)


@settings(deadline=None, max_examples=400)  # a busy machine is no failure
@given(
    _STEPS.filter(lambda steps: 0 < _limits_in(steps) < 12),
    # Behind all fractions of limits, and in front of whole seconds.
    st.none() | st.integers(0, 12).map(lambda seconds: seconds + 2.0**-16),
)
@example((Within(0.0, (Sleep(0.0), Sleep(1.0))),), None)
@example((Within(5.0, (Within(2.0, (Swallow((Sleep(7.0),)), Sleep(7.0))),)),), 3.0 + 2.0**-16)
def test_it_does_what_asyncio_does(steps: tuple[Step, ...], cancel_at: float | None) -> None:
    """Whatever is nested, moved, cancelled or swallowed, the same happens at the same times as with asyncio.timeout."""
    story = _told_apart(steps, [])
    assert _story(story, _ours, cancel_at) == _story(story, _asyncio, cancel_at)

"""The verdict, held against a model of a Vipps with a queue: what is expected comes from there, not from its table."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.core.vipps_with_queue import HELD_BELOW, LAG_AT_MOST, Attempt, Course, Kind, Told, World, let_pass
from tests.support.rows import each_row
from vipps_async.core import verdict as module
from vipps_async.core.operation import Applied, Evidence, Inconclusive, NotApplied
from vipps_async.core.verdict import LOOKS_APART, Facts, Verdict, decide, effect_of
from vipps_async.errors import Effect

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE_AFTER = timedelta(seconds=HELD_BELOW)
NOT_YET = 0.5  # seconds before a bound
WITHOUT_EFFECT = {Verdict.REFUSED, Verdict.NOT_APPLIED}
ENDED = {Told.NEVER_LEFT, Told.REFUSED_NOW, Told.REFUSED_FOR_GOOD}

FATES: list[dict[str, Any]] = [
    {"leaves": False},
    {"held": None},
    *(
        {"held": held, "fails": fails, "answered": answered}
        for held in (0.0, 3600.0, HELD_BELOW - NOT_YET)
        for fails in (False, True)
        for answered in ((True, False) if not held and not fails else (False,))
    ),
]
WORLDS = [
    World(funded_at=funded, rival_at=rival, closes_at=closes, lag=lag)
    for funded in (-1.0, 1800.0)
    for rival, closes in ((None, None), (5.0, None), (None, 5.0))
    for lag in (0.0, LAG_AT_MOST)
]

#: What the sender knows: of which operation, begun when, told what, and what each look at the history showed.
Seen = tuple[Kind, tuple[float, ...], tuple[Told, ...], tuple[tuple[float, bool, int, bool], ...]]


def at(seconds: float) -> datetime:
    """The time so many seconds after the first attempt began."""
    return BEGAN + timedelta(seconds=seconds)


def looks_after(last: float) -> list[tuple[float, ...]]:
    """No look, one, or two, on both sides of the horizon and of the least distance between two."""
    end, apart = last + HELD_BELOW, LOOKS_APART_IN_VENDORS_WORDS
    single = [(last + 1,), (end - 1,), (end,), (end + 3600,)]
    pairs = [
        (last + 1, last + 3600),
        (last + 1, end + apart),
        (end - apart, end),
        (end - 0.25, end - 0.25 + apart),
        (end, end + 1),
        (end, end + apart - 1),
        (end, end + apart),
        (end + 3600, end + 7200),
    ]
    return [(), *single, *pairs]


#: An entry appears within this time, so looks so far apart cannot both miss it.
LOOKS_APART_IN_VENDORS_WORDS = LAG_AT_MOST


@functools.cache
def all_courses() -> dict[Seen, list[tuple[Kind, World, tuple[Attempt, ...], Course]]]:
    """Every schedule, by what its sender sees of it. Who was told of a success has no question."""
    found: dict[Seen, list[tuple[Kind, World, tuple[Attempt, ...], Course]]] = defaultdict(list)
    begun_at = [(0.0,), (0.0, 10.0), (0.0, 7200.0)]
    for kind, world, begun in itertools.product(Kind, WORLDS, begun_at):
        for fates in itertools.product(FATES, repeat=len(begun)):
            attempts = tuple(Attempt(when, **fate) for when, fate in zip(begun, fates, strict=True))
            course = let_pass(kind, world, attempts)
            if Told.SUCCESS in course.told:
                continue
            for looks in looks_after(begun[-1]):
                shown = tuple((when, *course.seen(when)) for when in looks)
                found[kind, begun, course.told, shown].append((kind, world, attempts, course))
    return found


def verdict_on(seen: Seen) -> Verdict:
    """What the sender decides after its last look."""
    _, begun, told, looks = seen
    evidence: Evidence[Any] | None = None
    if looks:
        _, succeeded, failed, is_captured = looks[-1]
        evidence = Applied("result") if succeeded else NotApplied("absent", failed=failed, excluded=is_captured)
    # The earlier look counts, wherever it was: it is the verdict that knows which ones prove something.
    first = looks[0][0] if len(looks) > 1 and not looks[0][1] else None
    now = looks[-1][0] if looks else begun[-1] + 2 * HELD_BELOW
    facts = Facts(
        in_doubt=sum(each not in ENDED for each in told),
        refused_for_good=told[-1] is Told.REFUSED_FOR_GOOD,
        evidence=evidence,
        last_attempt_at=at(begun[-1]),
        first_look_at=None if first is None else at(first),
    )
    return decide(facts, now=at(now), settle_after=SETTLE_AFTER)


def test_no_verdict_without_effect_while_a_schedule_has_one() -> None:
    """What is called refused or not applied has no effect in any schedule that looks the same to its sender."""
    checked = 0
    for seen, courses in all_courses().items():
        if verdict_on(seen) in WITHOUT_EFFECT:
            checked += 1
            assert not [each for each in courses if each[-1].moved_at], seen
    assert checked > 200


def test_refused_means_that_no_further_attempt_would_succeed() -> None:
    """What is called refused for good stays so, however often it were sent again."""
    checked = 0
    for seen, courses in all_courses().items():
        if verdict_on(seen) is Verdict.REFUSED:
            for kind, world, attempts, _ in courses:
                again = (*attempts, Attempt(attempts[-1].at + 3 * HELD_BELOW))
                assert not let_pass(kind, world, again).moved_at, seen
                checked += 1
    assert checked > 100


def test_applied_only_if_money_moved() -> None:
    """What is called applied took effect, by the time of the look, in every schedule that looks the same."""
    checked = 0
    for seen, courses in all_courses().items():
        if verdict_on(seen) is Verdict.APPLIED:
            checked += 1
            now = seen[-1][-1][0]
            assert all(any(when <= now for when in course.moved_at) for *_, course in courses), seen
    assert checked > 200


def test_a_success_that_is_seen_is_applied() -> None:
    """A success in the history ends every doubt, whatever an attempt was told."""
    assert all(verdict_on(seen) is Verdict.APPLIED for seen in all_courses() if seen[-1] and seen[-1][-1][1])


def test_nothing_stays_open_whose_attempts_all_ended() -> None:
    """Where each attempt was refused in its own right or never left, there is nothing to doubt, and no look needed."""
    ended = [seen for seen in all_courses() if set(seen[2]) <= ENDED]
    assert len(ended) > 100
    assert all(verdict_on(seen) is not Verdict.OPEN for seen in ended)


def test_nothing_stays_open_that_is_excluded() -> None:
    """A plain cancel of what is captured ends at once, however many of its attempts are in doubt."""
    excluded = [seen for seen in all_courses() if seen[-1] and seen[-1][-1][3]]
    assert len(excluded) > 100
    assert {seen[0] for seen in excluded} == {Kind.CANCEL}
    assert any(set(seen[2]) == {Told.NOTHING} for seen in excluded)
    assert all(verdict_on(seen) in WITHOUT_EFFECT for seen in excluded)


def test_nothing_stays_open_beyond_the_horizon() -> None:
    """After the horizon, two looks a minute apart decide."""
    late = [
        seen
        for seen in all_courses()
        if len(seen[-1]) == 2
        and seen[-1][0][0] >= seen[1][-1] + HELD_BELOW
        and seen[-1][1][0] - seen[-1][0][0] >= LOOKS_APART_IN_VENDORS_WORDS
    ]
    assert len(late) > 100
    assert all(verdict_on(seen) is not Verdict.OPEN for seen in late)


def test_no_money_moves_twice_under_one_key() -> None:
    """The model itself keeps the vendor's promise of a key, or it would prove nothing."""
    assert all(len(course.moved_at) <= 1 for courses in all_courses().values() for *_, course in courses)


# --- the table, row by row ------------------------------------------------------------

ABSENT, FAILED, UNKNOWN = NotApplied("absent"), NotApplied("failed", failed=3), Inconclusive("503")
HORIZON = BEGAN + SETTLE_AFTER
EARLY, LATE = HORIZON - timedelta(microseconds=1), HORIZON + timedelta(days=1)


def decided(
    evidence: Evidence[Any] | None,
    *,
    in_doubt: int = 1,
    for_good: bool = False,
    began: datetime | None = BEGAN,
    first: datetime | None = None,
    now: datetime = LATE,
) -> Verdict:
    """The verdict on these facts."""
    facts = Facts(
        in_doubt=in_doubt, refused_for_good=for_good, evidence=evidence, last_attempt_at=began, first_look_at=first
    )
    return decide(facts, now=now, settle_after=SETTLE_AFTER)


@each_row("in_doubt", [-1, 0, 1, 9])
@each_row("for_good", [False, True])
@each_row("first", [None, HORIZON])
@each_row("now", [BEGAN, LATE])
def test_success_outranks_everything(in_doubt: int, for_good: bool, first: datetime | None, now: datetime) -> None:  # noqa: FBT001 - a parameter
    """A success in the history is the verdict, whatever else is known."""
    assert decided(Applied("it"), in_doubt=in_doubt, for_good=for_good, first=first, now=now) is Verdict.APPLIED


@each_row("evidence", [None, ABSENT, FAILED, UNKNOWN])
@each_row("in_doubt", [-1, 0])
@each_row("now", [BEGAN, LATE])
def test_without_doubt_nothing_is_waited_for(evidence: Evidence[Any] | None, in_doubt: int, now: datetime) -> None:
    """With no attempt in doubt it is decided at once: for good only by a refusal that can never change."""
    assert decided(evidence, in_doubt=in_doubt, now=now) is Verdict.NOT_APPLIED
    assert decided(evidence, in_doubt=in_doubt, now=now, for_good=True) is Verdict.REFUSED
    assert decided(evidence, in_doubt=in_doubt, now=now, began=None) is Verdict.NOT_APPLIED


@pytest.mark.parametrize("evidence", [None, UNKNOWN])
@pytest.mark.parametrize("for_good", [False, True])
def test_doubt_without_evidence_stays(evidence: Evidence[Any] | None, for_good: bool) -> None:  # noqa: FBT001 - a parameter
    """Not having looked, or having seen nothing, decides nothing, however late."""
    assert decided(evidence, for_good=for_good, first=HORIZON) is Verdict.OPEN


@each_row("evidence", [ABSENT, FAILED])
@each_row("for_good", [False, True])
@each_row(
    ("began", "first", "now"),
    [
        (None, HORIZON, LATE),
        (BEGAN, None, LATE),
        (BEGAN, BEGAN, EARLY),
        (BEGAN, EARLY, LATE),
        (BEGAN, HORIZON, EARLY),
        (BEGAN, HORIZON, HORIZON),
        (BEGAN, HORIZON, HORIZON + timedelta(seconds=59.999)),
        # A clock that was set back between the looks.
        (BEGAN, LATE, HORIZON),
    ],
)
def test_absence_proves_nothing_too_early(
    evidence: Evidence[Any],
    for_good: bool,  # noqa: FBT001 - a parameter
    began: datetime | None,
    first: datetime | None,
    now: datetime,
) -> None:
    """Before the horizon, or with fewer than two looks beyond it a minute apart, absence and failures stay open."""
    assert decided(evidence, for_good=for_good, began=began, first=first, now=now) is Verdict.OPEN


@each_row("evidence", [ABSENT, FAILED])
@each_row("first", [HORIZON, HORIZON + timedelta(hours=1)])
@each_row("in_doubt", [1, 5])
def test_two_looks_beyond_the_horizon_decide(evidence: Evidence[Any], first: datetime, in_doubt: int) -> None:
    """Exactly a minute is enough, however many attempts were in doubt."""
    now = first + timedelta(minutes=1)
    assert decided(evidence, first=first, now=now, in_doubt=in_doubt) is Verdict.NOT_APPLIED
    assert decided(evidence, first=first, now=now, in_doubt=in_doubt, for_good=True) is Verdict.REFUSED


def test_two_looks_lie_a_minute_apart() -> None:
    """No shorter than what an entry takes to appear."""
    assert timedelta(seconds=LAG_AT_MOST) == LOOKS_APART


def test_the_table_in_the_docstring_says_what_the_code_does() -> None:
    """Each row of the docstring's table is read, tried with all that fits it, and held against the code."""
    rows = _rows()
    assert len(rows) == 7
    words: dict[str, list[Any]] = {
        "the operation succeeded": [Applied("it")],
        "it is excluded for good": [NotApplied("captured", excluded=True)],
        "anything else, or none": [None, ABSENT, FAILED, UNKNOWN],
        "inconclusive, or none": [None, UNKNOWN],
        "no success": [ABSENT, FAILED],
    }
    counts = {"any": [0, 1, 3], "none": [0], "some": [1, 3]}
    nows = {"any": [EARLY, LATE], "not passed": [EARLY], "passed": [LATE]}
    looks = {
        "any": [None, EARLY, HORIZON],
        "fewer than two": [None, EARLY, LATE - timedelta(seconds=59)],
        "two, a minute apart or more": [HORIZON, LATE - timedelta(minutes=1)],
    }
    for evidence, in_doubt, horizon, consistent, wanted in rows:
        cells: tuple[Any, ...] = (words[evidence], counts[in_doubt], nows[horizon], looks[consistent])
        for found, count, now, first in itertools.product(*cells):
            for for_good in (False, True):
                last_word = wanted.split()[-1] if not for_good else wanted.split()[0]
                assert decided(found, in_doubt=count, for_good=for_good, first=first, now=now).name == last_word


def _rows() -> list[list[str]]:
    """The table's rows, with the lines that a cell goes on in joined to it."""
    lines = (module.__doc__ or "").splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("====")]
    edges = [len(part) for part in lines[rules[0]].split("  ")]
    starts = list(itertools.accumulate((edge + 2 for edge in edges), initial=0))[:-1]
    rows: list[list[str]] = []
    for line in lines[rules[1] + 1 : rules[2]]:
        cells = [line[start:stop].strip() for start, stop in itertools.zip_longest(starts, starts[1:])]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{before} {more}".strip() for before, more in zip(rows[-1], cells, strict=True)]
    return rows


@each_row(
    ("verdict", "probable", "effect"),
    [
        (Verdict.REFUSED, False, Effect.NONE),
        (Verdict.REFUSED, True, Effect.NONE),
        (Verdict.NOT_APPLIED, False, Effect.NONE),
        (Verdict.NOT_APPLIED, True, Effect.NONE),
        (Verdict.OPEN, False, Effect.POSSIBLE),
        (Verdict.OPEN, True, Effect.PROBABLE),
        (Verdict.APPLIED, False, Effect.PROBABLE),
        (Verdict.APPLIED, True, Effect.PROBABLE),
    ],
)
def test_the_effect_follows_from_the_verdict(verdict: Verdict, probable: bool, effect: Effect) -> None:  # noqa: FBT001 - a parameter
    """*No money moved* is said only of what certainly had no effect."""
    assert effect_of(verdict, probable=probable) is effect

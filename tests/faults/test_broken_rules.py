"""Storm and kills notice when a rule is broken: each test breaks one on purpose, and its twin breaks none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.faults.broken import BROKEN
from tests.faults.kill import run_kills
from tests.faults.phases import Phase
from tests.faults.plan import Ask, Kind, OrderPlan
from tests.faults.storm import run_storm
from vipps_async import MemoryJournal

pytestmark = pytest.mark.heavy

#: Øre.
_AMOUNT = 10_000


def _captures(count: int, *, made_by: str = "ecom", **more: Any) -> list[OrderPlan]:
    """Orders of which a part is captured."""
    step = (Ask(number=1, kind=Kind.CAPTURE, amount=_AMOUNT // 4, **more),)
    return [OrderPlan(number=number, amount=_AMOUNT, steps=(step,), api=made_by) for number in range(count)]


def _refused(count: int) -> list[OrderPlan]:
    """Orders of which more is to be captured than there is."""
    step = (Ask(number=1, kind=Kind.CAPTURE, amount=2 * _AMOUNT),)
    return [OrderPlan(number=number, amount=_AMOUNT, steps=(step,)) for number in range(count)]


@frozen(kw_only=True)
class _Scene:
    """What makes one broken rule show."""

    rule: str
    plans: list[OrderPlan]
    #: What happens to every request of these operations.
    fault: str = "RESET_AFTER_EFFECT"
    operations: tuple[str, ...] = ("capture",)
    journal: bool = True
    #: The figure that must not stay zero.
    shows_in: str = "lost"


_SCENES = [
    _Scene(rule="a new key for each attempt", plans=_captures(2), journal=False, shows_in="moved_twice"),
    _Scene(rule="settle before send", plans=_refused(2)),
    # Its caller gives up when the money has moved and no answer has come: as if the process had died.
    _Scene(rule="intent after send", plans=_captures(2, cancelled_after=0.3), fault="STALL_AFTER_EFFECT"),
    _Scene(
        rule="unknown noted as not done", plans=_captures(2), operations=("capture", "details"), shows_in="told_untruly"
    ),
    _Scene(
        rule="unknown told as not sent",
        plans=_captures(2),
        operations=("capture", "details"),
        journal=False,
        shows_in="told_untruly",
    ),
    _Scene(
        rule="an unreadable answer is a failure",
        plans=_captures(2),
        fault="HTML_200_AFTER",
        operations=("capture", "details"),
        journal=False,
        shows_in="told_untruly",
    ),
    _Scene(
        rule="a failed event is a success",
        plans=_captures(2, made_by="epayment", api="epayment"),
        fault="FAILED_ENTRY_RESET",
    ),
    _Scene(
        rule="done before is a refusal",
        # So many that some are answered with a status that does not make up for it: 402 and 500 do.
        plans=_captures(10, made_by="epayment", api="epayment", made_key=True),
        fault="UNSETTLED_92_AFTER",
        shows_in="told_untruly",
    ),
    _Scene(
        rule="open to both APIs",
        plans=_captures(2, rash=True, anew_api="epayment"),
        operations=("capture", "details", "events"),
        shows_in="moved_twice",
    ),
]


async def _violations(scene: _Scene) -> Any:
    report = await run_storm(
        captures=0,
        seed=1,
        rate=1.0,
        journal=MemoryJournal() if scene.journal else None,
        journal_name="memory" if scene.journal else "none",
        kinds=(scene.fault,),
        operations=scene.operations,
        plans=scene.plans,
        under_fire=1,
    )
    assert report.faults[scene.fault] >= len(scene.plans)
    return report


def test_each_rule_that_can_be_broken_is_tried() -> None:
    """No rule is left out below."""
    assert {scene.rule for scene in _SCENES} == set(BROKEN)


@pytest.mark.parametrize("scene", _SCENES, ids=lambda scene: scene.rule)
async def test_a_storm_notices_a_broken_rule(scene: _Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that breaks the rule makes the storm fail, and in the right figure."""
    BROKEN[scene.rule](monkeypatch.setattr)
    report = await _violations(scene)
    assert report.failed
    assert getattr(report.audit, scene.shows_in) > 0, list(report.lines())


@pytest.mark.parametrize("scene", _SCENES, ids=lambda scene: scene.rule)
async def test_the_same_storm_finds_nothing_where_no_rule_is_broken(scene: _Scene) -> None:
    """It is the broken rule that the storm notices: without it the same storm finds all zeros."""
    report = await _violations(scene)
    assert not report.failed, list(report.lines())


@pytest.mark.parametrize("rule", ["intent after send", "settle before send"])
async def test_kills_notice_a_broken_rule(rule: str, tmp_path: Path) -> None:
    """Workers that note their intents too late, or their outcomes too early, are found out by being killed."""
    report = await run_kills(
        kills=10,
        seed=4,
        rate=0.1,
        place=str(tmp_path / "journal.db"),
        journal_name="sqlite",
        broken=(rule,),
        phases=(Phase.ANSWERED, Phase.SENDING),
    )
    assert report.failed
    assert report.audit.lost > 0, list(report.lines())

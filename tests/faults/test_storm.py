"""A small storm over each journal: what was asked, told, noted and moved agrees to the øre."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.faults.plan import Ask, Kind, OrderPlan, orders
from tests.faults.sandbox_process import ALL_KINDS
from tests.faults.storm import StormReport, run_storm
from vipps_async import Journal, MemoryJournal, PostgresJournal, SqliteJournal

pytestmark = pytest.mark.heavy


def _journal(name: str, request: pytest.FixtureRequest, folder: Path) -> Journal | None:
    if name == "none":
        return None
    if name == "memory":
        return MemoryJournal()
    if name == "sqlite":
        return SqliteJournal(folder / "journal.db")
    return PostgresJournal(request.getfixturevalue("postgres_dsn"), schema=request.getfixturevalue("postgres_schema"))


@pytest.mark.parametrize(
    ("api", "name", "captures"),
    [
        ("ecom", "none", 300),
        ("ecom", "memory", 300),
        ("ecom", "sqlite", 600),
        ("ecom", "postgres", 300),
        ("epayment", "none", 150),
        ("epayment", "sqlite", 300),
        ("both", "sqlite", 300),
    ],
    ids=lambda value: value,
)
async def test_money_moves_once_in_a_storm(
    api: str, name: str, captures: int, *, seed: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Whatever fails, nothing moves twice, is lost, or moves with another amount; and what is unknown is said to be.

    With a journal nothing is open or unknown once it has recovered, whichever API it went over. A payment with
    something open at one API is closed to the other.
    """
    report = await run_storm(
        captures=captures,
        seed=seed,
        rate=0.2,
        journal=_journal(name, request, tmp_path),
        journal_name=name,
        api=api,
    )
    figures = "\n".join(report.lines())
    assert not report.failed, figures
    assert report.audit.asked["capture"] > captures * 0.9, figures
    assert report.captured > report.refunded > 0
    # Some fit few requests each: in the largest storm nearly each kind happens, and in a long one all do.
    assert len(set(ALL_KINDS) - set(report.faults)) <= 5 or captures < 600, figures
    assert (report.audit.closed > 0) == (api == "both"), figures
    assert sum(report.faults.values()) > captures / 3, figures
    assert report.told["unknown"] > 0, figures


async def test_what_is_sent_again_and_refused_after_the_horizon_is_settled_after_the_next() -> None:
    """Its first attempt is still in doubt, and the horizon is counted from the last: both clocks pass that one, too."""
    too_much = (Ask(number=1, kind=Kind.CAPTURE, amount=20_000),)
    report = await run_storm(
        captures=0,
        seed=1,
        rate=1.0,
        journal=MemoryJournal(),
        journal_name="memory",
        kinds=("RESET_BEFORE_EFFECT",),
        operations=("capture",),
        plans=[OrderPlan(number=number, amount=10_000, steps=(too_much,)) for number in range(2)],
        # Nothing is sent again before the horizon.
        under_fire=0,
    )
    assert report.told["unknown"] == 2
    assert report.settled["refused"] == 2
    assert not report.failed, "\n".join(report.lines())


def _steady(plan: OrderPlan) -> OrderPlan:
    """The plan without what depends on the machine's speed, or on keys that are made anew each time."""
    without: dict[str, Any] = {"cancelled_after": None, "by_two": False, "made_key": False}
    steps = tuple(tuple(evolve(ask, **without) for ask in step[:1]) for step in plan.steps)
    return evolve(plan, steps=steps)


@pytest.mark.parametrize("api", ["ecom", "epayment"])
async def test_the_seed_replays_work_and_faults(api: str) -> None:
    """The same seed gives the same requests, faults and sums, as long as nothing depends on the machine's speed."""
    cancel = ("cancel",) if api == "ecom" else ()

    async def storm() -> StormReport:
        return await run_storm(
            captures=0,
            seed=77,
            rate=0.3,
            journal=None,
            journal_name="none",
            kinds=("HTTP_500_BEFORE", "HTTP_502_AFTER", "LOCKED_94", "HTML_200_AFTER", "RESET_AFTER_EFFECT"),
            # A cancel over ePayment has a key that is made anew each time, and chance goes by that.
            operations=("initiate", "create", "capture", "refund", "details", "get", "events", *cancel),
            plans=[_steady(plan) for plan in orders(77, 60, api)],
            api=api,
            patient=True,
        )

    def facts(report: StormReport) -> Any:
        return report.faults, report.attempts, report.told, report.captured, report.refunded, report.audit

    first, second = await storm(), await storm()
    assert facts(first) == facts(second)


def test_plans_follow_from_their_seed() -> None:
    """The same seed plans the same work, another seed other work, and all kinds of work occur."""
    plans = list(orders(1, 300))
    assert plans == list(orders(1, 300))
    assert plans != list(orders(2, 300))
    assert sum(plan.captures for plan in plans) >= 300
    asks = [ask for plan in plans for step in plan.steps for ask in step]
    assert {ask.kind for ask in asks} == set(Kind)
    assert any(ask.by_two for ask in asks)
    assert any(ask.cancelled_after is not None for ask in asks)
    assert any(ask.with_key_of is not None for ask in asks)
    assert {ask.made_key for ask in asks if ask.kind.keyed} == {False, True}
    assert all(ask.repeats == 0 and not ask.by_two and not ask.anew for ask in asks if ask.made_key)
    assert any(len(step) > 1 for plan in plans for step in plan.steps)


def test_plans_cross_the_bridge_one_way() -> None:
    """What eCom made is adjusted over either API, what ePayment made over ePayment alone; a key stays at its API."""
    over = {"ecom": set[str](), "epayment": set[str]()}
    for plan in orders(1, 300, "both"):
        asks = {ask.number: ask for step in plan.steps for ask in step}
        for ask in asks.values():
            over[plan.api] |= {ask.api, ask.anew_api}
            assert ask.with_key_of is None or ask.api == asks[ask.with_key_of].api
    assert over == {"ecom": {"ecom", "epayment"}, "epayment": {"epayment"}}

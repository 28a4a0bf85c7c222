"""The list of mutants fits the package that it changes."""

from __future__ import annotations

from tests.mutants.money import MUTANTS
from tests.mutants.mutant import ROOT, Mutant
from tests.support.rows import each_row


def test_there_are_enough() -> None:
    """At least a hundred rules, none of them twice."""
    assert len({(each.file, each.old, each.new) for each in MUTANTS}) == len(MUTANTS) >= 100


@each_row("mutant", MUTANTS, ids=str)
def test_each_mutant_changes_one_place(mutant: Mutant) -> None:
    """Its old text occurs exactly once, what it makes is a program, and the tests it names exist."""
    text = (ROOT / "vipps_async" / mutant.file).read_text(encoding="utf-8")
    compile(mutant.applied_to(text), mutant.file, "exec")
    assert mutant.tests
    assert all((ROOT / each).is_file() for each in mutant.tests)

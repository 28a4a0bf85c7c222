"""The baseline of instruction counts: what fails, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import baseline, check


@pytest.mark.parametrize(
    ("now", "is_slower"),
    [
        pytest.param(100_000, False, id="the same"),
        pytest.param(110_000, False, id="ten per cent more"),
        pytest.param(110_100, True, id="a little beyond ten per cent"),
        pytest.param(115_000, True, id="fifteen per cent more"),
        pytest.param(50_000, False, id="half"),
    ],
)
def test_more_than_ten_per_cent_is_slower(now: int, *, is_slower: bool) -> None:
    """A count fails beyond ten per cent of growth, and only then."""
    [verdict] = baseline.compare({"capture": now}, {"capture": 100_000})

    assert verdict.is_slower is is_slower
    assert ("FAILED" in str(verdict)) is is_slower


def test_a_much_smaller_count_asks_for_a_new_baseline() -> None:
    """After a gain the old baseline would let as much be lost again; the verdict says so."""
    [verdict] = baseline.compare({"capture": 80_000}, {"capture": 100_000})

    assert "refresh the baseline" in str(verdict)


def test_counts_of_other_interpreters_stay(tmp_path: Path) -> None:
    """Writing replaces the counts of this interpreter and keeps those of others."""
    path = tmp_path / "baseline.json"
    other = {"instructions": {"capture": 7}, "versions": {}}
    path.write_text(json.dumps({"2.7-vax": other, baseline.key(): {"instructions": {"capture": 1, "details": 2}}}))

    baseline.write({"capture": 3}, "valgrind", path)

    assert json.loads(path.read_text())["2.7-vax"] == other
    assert baseline.read(path)[0] == {"capture": 3, "details": 2}


def test_other_versions_of_the_dependencies_are_told(tmp_path: Path) -> None:
    """A package that is not the one of the baseline is named with both versions."""
    path = tmp_path / "baseline.json"
    baseline.write({"capture": 3}, "valgrind", path)
    versions = baseline.read(path)[1]

    assert baseline.differing_versions(versions, "valgrind") == []
    [told] = baseline.differing_versions(versions | {"aiohttp": "0.1"}, "valgrind")
    assert told.startswith("aiohttp 0.1 then, ")
    assert baseline.differing_versions(versions, "perf") == ["counter valgrind then, perf now"]


@pytest.mark.parametrize(("now", "status"), [(100, 0), (109, 0), (115, 1)])
def test_the_check_fails_by_its_exit_status(
    now: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check ends with 0 if every count is within bounds, else with 1."""
    monkeypatch.setattr(baseline, "read", lambda: ({"capture": 100}, {}))
    monkeypatch.setattr(check, "counted", lambda: ({"capture": now}, "valgrind"))

    assert check.check() == status
    assert f"{now} instructions a call" in capsys.readouterr().out


def test_a_path_that_the_baseline_lacks_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not compared is not passed."""
    monkeypatch.setattr(baseline, "read", lambda: ({"capture": 100}, {}))
    monkeypatch.setattr(check, "counted", lambda: ({"capture": 100, "details": 100}, "valgrind"))

    assert check.check() == 1


def test_without_a_counter_the_check_fails_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing can count instructions the check says so and does not pass."""
    monkeypatch.setattr(baseline, "read", lambda: ({"capture": 100}, {}))
    monkeypatch.setattr(check, "find_counter", lambda: None)

    assert check.check() == 1
    assert "no counter of instructions here" in capsys.readouterr().out
    assert check.update() == 1


def test_without_a_baseline_for_this_interpreter_the_check_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Python that nobody has counted on cannot pass; the check says how to write its baseline."""
    monkeypatch.setattr(baseline, "read", lambda: ({}, {}))

    assert check.check() == 1
    assert "--update-baseline" in capsys.readouterr().out

"""What several folders share is shared: one seed for a run, one PostgreSQL for a process."""

from __future__ import annotations

import pytest

from tests.support.postgres import available_dsn
from tests.support.seed import SEED_VARIABLE, pytest_configure, pytest_report_header


def test_a_run_shows_its_seed(seed: int) -> None:
    """What failed by chance can be repeated."""
    assert f"{seed} ({SEED_VARIABLE} repeats it)" in pytest_report_header()


def test_each_run_has_a_seed_of_its_own_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty runs do not draw the same; one that is given stays."""
    drawn: set[str] = set()
    for _ in range(20):
        monkeypatch.delenv(SEED_VARIABLE)
        pytest_configure()
        drawn.add(pytest_report_header())
    assert len(drawn) > 10
    monkeypatch.setenv(SEED_VARIABLE, "77")
    pytest_configure()
    assert "storms: 77 " in pytest_report_header()


def test_one_server_is_started_for_all() -> None:
    """Whoever asks while another has it gets the same."""
    with available_dsn() as one, available_dsn() as other:
        assert one == other

"""Says at the end of a run what was not run and why, and with ``--enough`` fails a run of too few tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest

__all__ = ["ENOUGH", "SHARE", "LeftOut", "left_out", "why_too_few"]

#: A run that is to be enough passes this many tests: one that found none must not look green.
ENOUGH = 3_000
#: The share that such a run passes at least of the tests that it was asked for: what runs on demand only is left out.
SHARE = 0.89
#: Marks whose tests run only where ``-m`` names the mark, and what runs them.
_ON_DEMAND = {"heavy": "heavy: `nox -s heavy` runs it", "long": "long: `nox -s tests -- -m long` runs it"}

#: Why tests were left out → in which folders or files, and how many in each.
LeftOut = dict[str, Counter[str]]


def left_out(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> LeftOut:
    """Count the skipped tests by reason and by folder, a file of the top folder by its own name."""
    found: LeftOut = {}
    for report in reports:
        place = PurePosixPath(report.nodeid.partition("::")[0])
        folder = place if len(place.parts) < 3 else place.parents[len(place.parts) - 3]
        found.setdefault(_reason(report), Counter())[str(folder)] += 1
    return found


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def why_too_few(passed: int, skipped: int) -> str | None:
    """Return what is wrong with a run that passed so few tests, or None if they are enough.

    Args:
        passed: so many tests passed.
        skipped: so many could not be run here; those that run on demand only are not counted.
    """
    if passed < ENOUGH:
        return f"{passed:,} tests passed, and {ENOUGH:,} must"
    if passed < SHARE * (passed + skipped):
        return f"{passed:,} of {passed + skipped:,} tests passed, and {SHARE:.0%} must"
    return None


def _reports(config: pytest.Config, outcome: str) -> list[pytest.TestReport | pytest.CollectReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return list(reporter.stats.get(outcome, ())) if reporter is not None else []


def _verdict(config: pytest.Config) -> str | None:
    # Of several processes, only the one that leads them knows all.
    if not config.getoption("enough") or hasattr(config, "workerinput"):
        return None
    missing = [report for report in _reports(config, "skipped") if _reason(report) not in _ON_DEMAND.values()]
    return why_too_few(len(_reports(config, "passed")), len(missing))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--enough``."""
    parser.addoption("--enough", action="store_true", help=f"fail unless {ENOUGH:,} tests and {SHARE:.0%} of all pass")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, rather than leave uncounted, what runs on demand only."""
    for mark, reason in _ON_DEMAND.items():
        if mark not in config.getoption("markexpr"):
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that passed too few tests, though none failed."""
    if session.exitstatus == pytest.ExitCode.OK and _verdict(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was left out, before pytest's own last line."""
    skipped = left_out(_reports(config, "skipped"))
    if skipped:
        terminalreporter.section(f"{sum(map(Counter.total, skipped.values())):,} tests not run here")
    for reason, places in sorted(skipped.items(), key=lambda item: -item[1].total()):
        terminalreporter.line(f"{places.total():5,}  {reason}")
        terminalreporter.line("       " + ", ".join(f"{place} {number}" for place, number in places.most_common()))
    if verdict := _verdict(config):
        terminalreporter.line(f"too few: {verdict}", red=True)

"""The page on observability names what the code writes and measures, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
#: Where log events are written, and where metrics are made.
LOGGING = ["core/events.py", "receiver/_handler_worker.py", "receiver/_receiver.py"]
METRICS = "contrib/opentelemetry.py"
#: A name in the code that is the logger's, not an event's.
OTHER = {"vipps.inbound"}


def _names(*files: str) -> set[str]:
    code = "\n".join((ROOT / "vipps_async" / file).read_text(encoding="utf-8") for file in files)
    return set(re.findall(r'"(?:event=)?(vipps\.[a-z_.]+)', code))


def test_each_log_event_stands_in_the_table_of_who_wakes_up() -> None:
    """An event that nobody has decided about would wake nobody, or everybody."""
    table = PAGE[PAGE.index("### Who wakes up") : PAGE.index("## What Vipps answered last")]
    events = _names(*LOGGING) - OTHER - {"vipps.inbound_handled"}
    assert len(events) >= 10
    assert {event for event in events if f"`{event}`" not in table} == set()
    assert set(re.findall(r"`(vipps\.[a-z_.]+)`", table)) <= events | _names(METRICS)


def test_each_metric_is_told() -> None:
    """What is measured stands on the page by its name."""
    metrics = {name for name in _names(METRICS) if name.startswith(("vipps.client.", "vipps.journal."))}
    assert len(metrics) == 5
    assert {name for name in metrics if f"`{name}`" not in PAGE} == set()

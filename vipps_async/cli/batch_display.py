"""How a batch shows itself: live on a terminal if rich is there, in plain lines elsewhere, and in sums at its end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from vipps_async.batch.job import Progress
from vipps_async.batch.report import outcome_word
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.stored_rows import Totals
from vipps_async.cli.output import plain, say, silenced
from vipps_async.core.batch import BatchApi, BatchOperation
from vipps_async.money import format_amount

__all__ = ["progress_line", "shown", "summary", "summary_json"]

#: Seconds between two looks at the progress: of a live display, and of plain lines in a log.
_LIVE_EVERY, _LINE_EVERY = 0.25, 5.0


@asynccontextmanager
async def shown(
    progress: Progress, api: BatchApi, operation: BatchOperation, *, quiet: bool, preview: bool
) -> AsyncIterator[None]:
    """Show the progress on stderr for as long as this lasts; `quiet` shows nothing."""
    if quiet:
        yield
        return
    with _screen(progress, api, operation, preview=preview) as (update, every):
        ticker = asyncio.create_task(_tick(update, every), name="vipps batch display")
        try:
            yield
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})
            update()


async def _tick(update: Callable[[], None], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        update()


@contextmanager
def _screen(
    progress: Progress, api: BatchApi, operation: BatchOperation, *, preview: bool
) -> Iterator[tuple[Callable[[], None], float]]:
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            from rich.console import Console  # noqa: PLC0415 - an extra
            from rich.live import Live  # noqa: PLC0415 - as above
            from rich.text import Text  # noqa: PLC0415 - as above
        except ImportError:
            pass
        else:
            live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

            def draw() -> None:
                # Text, not markup: a refusal's code comes from outside.
                _unless_closed(
                    lambda: live.update(
                        Text("\n".join(_panel(progress, api, operation, preview=preview))), refresh=True
                    )
                )

            _unless_closed(live.start)
            draw()
            try:
                yield draw, _LIVE_EVERY
            finally:
                _unless_closed(live.stop)
            return

    def line() -> None:
        say(progress_line(progress, api, operation, preview=preview))

    yield line, _LINE_EVERY


def _unless_closed(draw: Callable[[], object]) -> None:
    # A terminal may go away in the middle of it: what is shown must not end what is done.
    try:
        draw()
    except (OSError, ValueError):
        silenced(sys.stderr)


def progress_line(progress: Progress, api: BatchApi, operation: BatchOperation, *, preview: bool) -> str:
    """Say on one line how far it has come."""
    parts = [f"{progress.ended:,} of {progress.rows:,}", f"{progress.rate:,.0f} a second", _left(progress)]
    if not preview:
        parts.append(f"{format_amount(progress.moved, api.currency)} {operation.done}")
    parts += [
        f"{outcome_word(outcome, operation, preview=preview)} {count:,}"
        for outcome, count in progress.outcomes.items()
        if outcome not in {RowOutcome.DONE, RowOutcome.NOT_BEGUN} and count
    ]
    return ", ".join(part for part in parts if part)


def _left(progress: Progress) -> str:
    seconds = progress.seconds_left
    if seconds is None or progress.ended >= progress.rows:
        return ""
    return f"{time.strftime('%H:%M:%S', time.gmtime(min(seconds, 86_399)))} left"


def _panel(progress: Progress, api: BatchApi, operation: BatchOperation, *, preview: bool) -> list[str]:
    width = 40
    full = width if not progress.rows else width * progress.ended // progress.rows
    lines = [f"{'█' * full}{'░' * (width - full)}", progress_line(progress, api, operation, preview=preview)]
    lines += [f"  refused, {plain(code) or 'no code'}: {count:,}" for code, count in progress.refusals.most_common(8)]
    return lines


def summary(totals: Totals, api: BatchApi, operation: BatchOperation, *, preview: bool) -> str:
    """Say at the end what became of the rows."""
    lines = []
    for outcome in RowOutcome:
        if count := totals.outcomes.get(outcome, 0):
            moved = totals.moved.get(outcome, 0)
            money = f", {format_amount(moved, api.currency)}" if moved else ""
            lines.append(f"{count:>9,} {outcome_word(outcome, operation, preview=preview)}{money}")
    lines += [f"          {plain(code) or 'no code'}: {count:,}" for code, count in totals.refusals.items()]
    if totals.bad:
        lines.append(f"{totals.bad:>9,} invalid, not sent")
    return "\n".join(lines)


def summary_json(totals: Totals, api: BatchApi, operation: BatchOperation) -> dict[str, object]:
    """The same for machines: sums in minor units."""
    return {
        "api": api.name,
        "operation": operation.value,
        "rows": totals.rows,
        "invalid": totals.bad,
        "outcomes": {outcome.value: totals.outcomes.get(outcome, 0) for outcome in RowOutcome},
        "moved": totals.moved.get(RowOutcome.DONE, 0),
        "moved_before": totals.moved.get(RowOutcome.DONE_BEFORE, 0),
        "moved_otherwise": totals.moved.get(RowOutcome.OTHERWISE, 0),
        "refusals": totals.refusals,
    }

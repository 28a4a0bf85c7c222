"""What a simulation notes, and what can be read off it: a row every few seconds, and a line of results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import define, evolve, field, frozen

from benchmarks.outage.clients import Known
from benchmarks.outage.scenario import Scenario

__all__ = ["Record", "Row", "Summary"]

#: If at least this share of the web calls that begin goes well, all is well again.
_WELL = 0.99


@frozen(kw_only=True)
class Row:
    """What happened in one stretch of time."""

    #: When it begins, in seconds.
    second: int
    #: Requests that arrived at the vendor, by who sent them; details and tokens among them.
    requests_web: int
    requests_batch: int
    requests_recovery: int
    #: How many of all those asked details, and how many were answered 429 or 503.
    details: int
    refused: int
    #: Web calls that began, and of these, whenever they ended: how many ended as captured, and how many of those within
    #: the seconds that help a customer.
    begun: int
    succeeded: int
    helped: int
    #: What web calls that ended said.
    ended_captured: int
    ended_not_done: int
    ended_unknown: int
    #: Orders that were captured at the vendor, by whomever.
    effects: int
    #: At the end of the stretch: web calls under way, requests that wait at the vendor, captures of unknown outcome,
    #: rows of the batch that are not on record as captured.
    in_flight: int
    vendor_queue: int
    unknown: int
    batch_left: int


@frozen(kw_only=True)
class Summary:
    """The results of one client."""

    client: str
    #: Web requests for each web call that began, during the outage and in its worst minute of all.
    amplification: float
    worst_minute: float
    #: Requests a second in the busiest minute, from all sources.
    peak_requests: float
    #: The most web calls under way at once.
    most_in_flight: int
    #: Web calls in all, and what they said in the end.
    web_calls: int
    captured: int
    not_done: int
    unknown: int
    #: The most captures of unknown outcome at a time, and those left at the end.
    most_unknown: int
    unknown_at_the_end: int
    #: Seconds after the end of the outage from which on web calls were captured again for good, and from which on
    #: within the seconds that help a customer; -1: never.
    works_after: int
    well_after: int
    #: Seconds after the end of the outage until no outcome was unknown any more; -1: never.
    known_after: int
    #: Seconds after the end of the outage until the whole batch was on record as captured; -1: never.
    batch_after: int
    #: Orders that were sent with more than one key, and that a client said the untruth about.
    two_keys: int
    untrue: int


@define
class Record:
    """Counts while the simulation runs."""

    scenario: Scenario
    begun: Counter[int] = field(factory=Counter)
    succeeded: Counter[int] = field(factory=Counter)
    helped: Counter[int] = field(factory=Counter)
    ended: Counter[tuple[int, Known]] = field(factory=Counter)
    rows: list[Row] = field(factory=list)
    in_flight: int = 0

    def bin(self, now: float) -> int:
        """Return which stretch a moment is in."""
        return int(now // self.scenario.bin)

    def call_began(self, now: float) -> None:
        """Note a web call."""
        self.in_flight += 1
        self.begun[self.bin(now)] += 1

    def call_ended(self, began: float, now: float, known: Known) -> None:
        """Note its end."""
        self.in_flight -= 1
        self.ended[self.bin(now), known] += 1
        if known is Known.CAPTURED:
            self.succeeded[self.bin(began)] += 1
            self.helped[self.bin(began)] += now - began <= self.scenario.helpful

    def summary(self, client: str, *, two_keys: int, untrue: int) -> Summary:
        """Read the results off."""
        scenario, rows = self.scenario, self.finished_rows()
        down, up = scenario.outage
        outage = [row for row in rows if down <= row.second < up]
        minutes = [rows[at : at + round(60 / scenario.bin)] for at in range(len(rows) - round(60 / scenario.bin) + 1)]
        ends = {known: sum(count for (_, of), count in self.ended.items() if of is known) for known in Known}
        return Summary(
            client=client,
            amplification=round(_amplification(outage), 2),
            worst_minute=round(max(map(_amplification, minutes)), 2),
            peak_requests=round(max(sum(map(_requests, minute)) for minute in minutes) / 60, 1),
            most_in_flight=max(row.in_flight for row in rows),
            web_calls=sum(self.begun.values()),
            captured=ends[Known.CAPTURED],
            not_done=ends[Known.NOT_DONE],
            unknown=ends[Known.UNKNOWN],
            most_unknown=max(row.unknown for row in rows),
            unknown_at_the_end=rows[-1].unknown,
            works_after=self._after(rows, lambda row: row.succeeded < _WELL * row.begun),
            well_after=self._after(rows, lambda row: row.helped < _WELL * row.begun),
            known_after=self._after(rows, lambda row: row.unknown > 0),
            batch_after=self._after(rows, lambda row: row.batch_left > 0),
            two_keys=two_keys,
            untrue=untrue,
        )

    def finished_rows(self) -> list[Row]:
        """Return the rows, with what became known after they were written."""
        return [
            evolve(row, begun=self.begun[number], succeeded=self.succeeded[number], helped=self.helped[number])
            for number, row in enumerate(self.rows)
        ]

    def _after(self, rows: list[Row], amiss: Callable[[Row], bool]) -> int:
        last = max((row.second for row in rows if amiss(row)), default=0)
        if last == rows[-1].second:
            return -1
        return max(0, round(last + self.scenario.bin - self.scenario.outage[1]))


def _requests(row: Row) -> int:
    return row.requests_web + row.requests_batch + row.requests_recovery


def _amplification(rows: list[Row]) -> float:
    return sum(row.requests_web for row in rows) / max(1, sum(row.begun for row in rows))

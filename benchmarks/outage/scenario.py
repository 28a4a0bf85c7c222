"""What is simulated, in figures: the traffic, the vendor's capacity, and the course of the outage."""

from __future__ import annotations

import enum

from attrs import evolve, frozen

__all__ = ["FULL", "SHORT", "Mode", "Phase", "Scenario"]


class Mode(enum.Enum):
    """How the vendor behaves."""

    #: It works off its queue; a full queue is answered 429.
    WORKING = "working"
    #: It answers 503 at once.
    REFUSING = "503"
    #: It takes requests and never answers.
    STALLING = "no answer"


@frozen(kw_only=True)
class Phase:
    """A stretch of time in which the vendor behaves in one way."""

    #: When it begins, in seconds from the start.
    begins: float
    mode: Mode
    #: Requests a second that it works off.
    capacity: float = 0.0


@frozen(kw_only=True)
class Scenario:
    """One course of events. All times are in seconds of virtual time."""

    #: From this seed come arrivals, latencies, lost answers and every draw of jitter.
    seed: int = 1
    phases: tuple[Phase, ...]
    #: When web traffic ends, and with it what is measured.
    duration: float
    #: Captures that customers and clerks cause, a second over all processes; they arrive independently (Poisson).
    web_rate: float = 10.0
    #: Processes that share the web traffic; each has a session, a retry budget and connections of its own.
    processes: int = 4
    #: Rows of a batch, which has a process of its own, and when it starts.
    batch_rows: int = 3_000
    batch_starts: float
    #: How long after it gave up somebody runs the batch again.
    batch_again: float = 300.0
    #: How often each process settles what its journal has open.
    recover_every: float = 300.0
    #: Connections of one process: the transport's default.
    connections: int = 100
    #: How long the vendor takes over one request, drawn evenly between the two.
    service: tuple[float, float] = (0.2, 0.4)
    #: Requests that wait at the vendor before it answers 429. It works off also what its client has given up on: a
    #: server seldom notices.
    queue: int = 300
    #: How long the vendor takes to say 503 or 429.
    refusal: float = 0.05
    #: The share of captures that take effect though they are answered 503, or never.
    silent_effects: float = 0.1
    #: A web call helps its customer if it is done within so many seconds.
    helpful: float = 5.0
    #: The width of a row in the CSV.
    bin: float = 10.0

    @property
    def outage(self) -> tuple[float, float]:
        """When the vendor stops working and when it works again."""
        down = [number for number, phase in enumerate(self.phases) if phase.mode is not Mode.WORKING]
        return self.phases[down[0]].begins, self.phases[down[-1] + 1].begins

    @property
    def bins(self) -> int:
        """How many rows the CSV has for each client."""
        return round(self.duration / self.bin)

    def returning_with(self, capacity: float) -> Scenario:
        """Return the same scenario with another capacity in the first phase after the outage."""
        end = self.outage[1]
        phases = (evolve(phase, capacity=capacity) if phase.begins == end else phase for phase in self.phases)
        return evolve(self, phases=tuple(phases))

    def phase_at(self, now: float) -> Phase:
        """Return the phase that a moment is in."""
        return next(phase for phase in reversed(self.phases) if phase.begins <= now)


#: Ten minutes without Vipps, then ten minutes with little more capacity than the traffic needs.
FULL = Scenario(
    phases=(
        Phase(begins=0, mode=Mode.WORKING, capacity=25),
        Phase(begins=300, mode=Mode.REFUSING),
        Phase(begins=600, mode=Mode.STALLING),
        Phase(begins=900, mode=Mode.WORKING, capacity=15),
        Phase(begins=1500, mode=Mode.WORKING, capacity=25),
    ),
    duration=2700,
    batch_starts=240,
)

#: The same in small, for a test: two minutes without Vipps, two fifths of the traffic.
SHORT = Scenario(
    phases=(
        Phase(begins=0, mode=Mode.WORKING, capacity=10),
        Phase(begins=60, mode=Mode.REFUSING),
        Phase(begins=120, mode=Mode.STALLING),
        Phase(begins=180, mode=Mode.WORKING, capacity=6),
        Phase(begins=300, mode=Mode.WORKING, capacity=10),
    ),
    duration=600,
    web_rate=4.0,
    processes=2,
    batch_rows=300,
    batch_starts=40,
    batch_again=60.0,
    recover_every=60.0,
    queue=120,
)

"""`python -m benchmarks.outage` simulates, writes the CSV files, draws the plots and puts the tables into the page."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor

from benchmarks.outage.clients import CLIENTS
from benchmarks.outage.scenario import FULL
from benchmarks.outage.simulation import Result, simulate
from benchmarks.outage.tables import (
    COURSE,
    RESULTS,
    capacity_table,
    course_csv,
    read_course,
    read_results,
    results_csv,
    results_table,
)
from benchmarks.page_tables import PAGE, put_tables

_IMAGES = PAGE.parent / "images"
#: Requests a second with which Vipps comes back; the one in the middle is the one that is drawn.
_CAPACITIES, _DRAWN = (12.5, 15.0, 20.0), 15.0


def _one(capacity: float, number: int) -> tuple[float, str, Result]:
    client = CLIENTS[number]
    return capacity, client.name, simulate(FULL.returning_with(capacity), client)


def _simulate(jobs: int) -> None:
    # The variant of our own is there to be looked at beside it, once.
    wanted = [
        (capacity, number)
        for capacity in _CAPACITIES
        for number, client in enumerate(CLIENTS)
        if capacity == _DRAWN or client.name != "no_budget"
    ]
    with ProcessPoolExecutor(jobs) as pool:
        done = list(pool.map(_one, *zip(*wanted, strict=True)))
    RESULTS.write_text(results_csv({(capacity, name): result.summary for capacity, name, result in done}))
    COURSE.write_text(course_csv({name: result.rows for capacity, name, result in done if capacity == _DRAWN}))


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="clients that are simulated at the same time")
    parser.add_argument("--draw", action="store_true", help="simulate nothing: draw what the CSV files have")
    options = parser.parse_args()
    if not options.draw:
        _simulate(options.jobs)
    from benchmarks.outage.plot import draw  # noqa: PLC0415 - what simulates needs no matplotlib

    draw(FULL.returning_with(_DRAWN), read_course(COURSE.read_text()), _IMAGES)
    results = read_results(RESULTS.read_text())
    tables = {
        "outage results": results_table(results, _DRAWN),
        "outage capacities": capacity_table(results, FULL.web_rate),
    }
    PAGE.write_text(put_tables(PAGE.read_text(), tables))
    print(tables["outage results"], tables["outage capacities"], sep="\n\n")


if __name__ == "__main__":
    main()

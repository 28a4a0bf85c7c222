"""Runs a scenario with one client: web traffic, a batch, and somebody who settles what is open."""

from __future__ import annotations

import asyncio
from random import Random

from attrs import frozen

from benchmarks.outage.clients import Client, Known, Process
from benchmarks.outage.line import SOURCE, Line
from benchmarks.outage.record import Record, Row, Summary
from benchmarks.outage.scenario import Scenario
from benchmarks.outage.vendor import Vendor
from tests.core.virtual_time import run_in_virtual_time

__all__ = ["Result", "simulate"]


@frozen(kw_only=True)
class Result:
    """What came of one client."""

    rows: list[Row]
    summary: Summary


def simulate(scenario: Scenario, client: Client) -> Result:
    """Run a scenario in virtual time; the same scenario and client always give the same result."""
    return run_in_virtual_time(_Simulation(scenario, client).run())


class _Simulation:
    def __init__(self, scenario: Scenario, client: Client) -> None:
        self._scenario = scenario
        self._client = client
        self._record = Record(scenario)
        #: What was last said of each order.
        self._told: dict[str, Known] = {}
        self._batch_left = {f"batch-order-{number}": None for number in range(scenario.batch_rows)}

    def _random(self, name: str) -> Random:
        # One source for each purpose: another client must meet the same arrivals.
        return Random(f"{self._scenario.seed} {name}")  # noqa: S311 - it has to be repeatable

    async def run(self) -> Result:
        scenario = self._scenario
        self._vendor = Vendor(scenario, self._random("vendor"))
        names = [f"web {number}" for number in range(scenario.processes)]
        web = [self._start(name) for name in names]
        batch = self._start("batch")
        self._processes = [*web, batch]
        for process in self._processes:
            await process.open()
        # Whoever runs beside the traffic ends with it; calls that are under way then are waited for.
        beside = [asyncio.create_task(self._recover(web[at], at)) for at in range(len(web))]
        beside.append(asyncio.create_task(self._run_batch(batch)))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_on())
            for name, process in zip(names, web, strict=True):
                group.create_task(self._serve(process, name))
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        for task in beside:
            if not task.cancelled():
                task.result()
        summary = self._record.summary(
            self._client.name,
            two_keys=sum(len(keys) > 1 for keys in self._vendor.keys.values()),
            untrue=sum(self._is_untrue(order_id, known) for order_id, known in self._told.items()),
        )
        for process in self._processes:
            await process.aclose()
        return Result(rows=self._record.finished_rows(), summary=summary)

    def _start(self, name: str) -> Process:
        return self._client.start(Line(self._vendor, self._scenario.connections), self._random(f"jitter of {name}"))

    def _is_untrue(self, order_id: str, known: Known) -> bool:
        return known is not Known.UNKNOWN and (known is Known.CAPTURED) != (order_id in self._vendor.captured)

    async def _serve(self, process: Process, name: str) -> None:
        scenario, random = self._scenario, self._random(f"arrivals of {name}")
        SOURCE.set("web")
        loop = asyncio.get_running_loop()
        at, number = 0.0, 0
        async with asyncio.TaskGroup() as group:
            while True:
                at += random.expovariate(scenario.web_rate / scenario.processes)
                if at >= scenario.duration:
                    return
                await asyncio.sleep(at - loop.time())
                number += 1
                group.create_task(self._call(process, f"{name.replace(' ', '-')}-order-{number}"))

    async def _call(self, process: Process, order_id: str) -> None:
        began = asyncio.get_running_loop().time()
        self._record.call_began(began)
        known = self._told[order_id] = await process.capture(order_id)
        self._record.call_ended(began, asyncio.get_running_loop().time(), known)

    async def _recover(self, process: Process, number: int) -> None:
        scenario = self._scenario
        SOURCE.set("recovery")
        # Not all of them in the same moment: processes are not started together.
        await asyncio.sleep(scenario.recover_every * (1 + number / scenario.processes))
        while True:
            await process.recover()
            await asyncio.sleep(scenario.recover_every)

    async def _run_batch(self, process: Process) -> None:
        SOURCE.set("batch")
        await asyncio.sleep(self._scenario.batch_starts)
        while True:
            async for order_id, known in process.capture_rows(tuple(self._batch_left)):
                self._told[order_id] = known
                if known is Known.CAPTURED:
                    del self._batch_left[order_id]
            if not self._batch_left:
                return
            await asyncio.sleep(self._scenario.batch_again)
            await process.recover()

    async def _look_on(self) -> None:
        loop, scenario = asyncio.get_running_loop(), self._scenario
        for number in range(scenario.bins):
            await asyncio.sleep((number + 1) * scenario.bin - loop.time())
            requests, ended = self._vendor.requests, self._record.ended
            by_source = {
                source: sum(count for (at, who, _), count in requests.items() if at == number and who == source)
                for source in ("web", "batch", "recovery")
            }
            self._record.rows.append(
                Row(
                    second=round(number * scenario.bin),
                    requests_web=by_source["web"],
                    requests_batch=by_source["batch"],
                    requests_recovery=by_source["recovery"],
                    details=sum(requests[number, source, "details"] for source in by_source),
                    refused=self._vendor.refused[number],
                    # What these calls come to is known later.
                    begun=0,
                    succeeded=0,
                    helped=0,
                    ended_captured=ended[number, Known.CAPTURED],
                    ended_not_done=ended[number, Known.NOT_DONE],
                    ended_unknown=ended[number, Known.UNKNOWN],
                    effects=self._vendor.effects[number],
                    in_flight=self._record.in_flight,
                    vendor_queue=self._vendor.waiting,
                    unknown=sum(len(process.unknown()) for process in self._processes),
                    batch_left=len(self._batch_left),
                )
            )

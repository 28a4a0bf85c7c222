"""A loop of one call through the client, for a counter of instructions and for a profiler.

Run it with `python -m benchmarks.hot_path capture 1000`, or under a profiler. By default a transport that answers at
once stands in for the network; with `--url` the calls go over aiohttp to a server, one at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time

from benchmarks import machine
from benchmarks.instant_transport import InstantTransport, order_ids
from benchmarks.sides.protocol import AMOUNT, CALLBACK_PREFIX, CREDENTIALS, FALL_BACK, SYSTEM, TEXT
from vipps_async import AiohttpTransport, Credentials, Money, SystemInfo, VippsSession
from vipps_async.transports.protocol import Request, Transport

__all__ = ["OPERATIONS", "OWN_COST", "cpu_seconds"]

#: The calls that the client can be asked for.
OPERATIONS = ("capture", "details", "initiate", "epayment.capture")
#: No call, but what the transport that answers at once costs by itself.
OWN_COST = "transport"

_LOOPBACK = "http://127.0.0.1:1"
#: So many that no single one is special, so few that they all stay warm.
_ORDERS = 256
#: Before anything counts: the interpreter has specialised the code by then, and the caches are filled.
_WARM_UP = 300


async def _calls(vipps: VippsSession, operation: str, orders: list[str], calls: int) -> None:
    ecom = vipps.ecom
    if operation == "capture":
        for order in itertools.islice(itertools.cycle(orders), calls):
            await ecom.capture(order, amount=AMOUNT, transaction_text=TEXT)
    elif operation == "details":
        for order in itertools.islice(itertools.cycle(orders), calls):
            await ecom.details(order)
    elif operation == "epayment.capture":
        amount = Money(AMOUNT, "NOK")
        for order in itertools.islice(itertools.cycle(orders), calls):
            await vipps.epayment.capture(order, amount=amount)
    else:
        for _ in range(calls):
            await ecom.initiate(
                order_id=orders[0],
                amount=AMOUNT,
                transaction_text=TEXT,
                callback_prefix=CALLBACK_PREFIX,
                fall_back=FALL_BACK,
            )


async def _own_cost(transport: Transport, orders: list[str], calls: int) -> None:
    for order in itertools.islice(itertools.cycle(orders), calls):
        await transport.send(Request(method="POST", url=f"{_LOOPBACK}/ecomm/v2/payments/{order}/capture", headers={}))


async def _run(operation: str, calls: int, url: str | None) -> float:
    orders = order_ids(_ORDERS)
    transport = InstantTransport(_LOOPBACK, orders) if url is None else AiohttpTransport()
    system = SystemInfo(name=SYSTEM[0], version=SYSTEM[1])
    session = VippsSession(Credentials(**CREDENTIALS), base_url=url or _LOOPBACK, transport=transport, system=system)
    try:
        async with session as vipps:
            if operation == OWN_COST:
                await _own_cost(transport, orders, _WARM_UP)
                started = time.process_time()
                await _own_cost(transport, orders, calls)
            else:
                await _calls(vipps, operation, orders, _WARM_UP)
                started = time.process_time()
                await _calls(vipps, operation, orders, calls)
            return time.process_time() - started
    finally:
        await transport.aclose()


def cpu_seconds(operation: str, calls: int, url: str | None = None) -> float:
    """Make so many calls, one after another, and return the processor time they took, in seconds.

    Args:
        operation: one of `OPERATIONS`, or `OWN_COST`.
        calls: how many.
        url: a server; None: a transport that answers at once.
    """
    return asyncio.run(_run(operation, calls, url))


def main() -> None:
    """Make the calls, and print the processor time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=(*OPERATIONS, OWN_COST))
    parser.add_argument("calls", type=int)
    parser.add_argument("--url")
    parser.add_argument("--pin", action="store_true", help="stay on one core")
    options = parser.parse_args()
    if options.pin:
        machine.pin(0, machine.CLIENT_CORE)
    seconds = cpu_seconds(options.operation, options.calls, options.url)
    print(f"{seconds / options.calls * 1e6:.2f}")


if __name__ == "__main__":
    main()

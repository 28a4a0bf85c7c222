"""Puts the toy API into sessions and onto the command line, and its service behind a socket."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from types import ModuleType
from typing import Any
from unittest import mock

from attrs import frozen

from tests.toy.api import TOY_API, ToyApi
from tests.toy.service import ToyService
from vipps_async.errors import OutcomeUnknown
from vipps_async.testing.transport_conformance.raw_server import Connection, raw_server
from vipps_async.transports.protocol import Request

__all__ = ["instead_of_ecom", "served", "with_toy"]


@asynccontextmanager
async def served(service: ToyService) -> AsyncIterator[str]:
    """Serve it on loopback, with tokens for any keys; gives the URL."""
    transport = service.transport

    async def script(connection: Connection) -> None:
        while True:
            got = await connection.read_request()
            method, path, _ = got.line.split()
            try:
                found = await transport.send(
                    Request(method=method, url=f"http://toy{path}", headers=dict(got.headers), body=got.body)
                )
            except OutcomeUnknown:
                return
            head = f"HTTP/1.1 {found.status} X\r\nDate: {format_datetime(datetime.now(UTC), usegmt=True)}\r\n"
            await connection.send(f"{head}Content-Length: {len(found.body)}\r\n\r\n".encode() + found.body)

    async with raw_server(script) as server:
        yield server.url


@asynccontextmanager
async def with_toy() -> AsyncIterator[None]:
    """Let sessions have `vipps.toy`, and the command line `--api toy`, meanwhile."""
    from vipps_async.apis import APIS  # noqa: PLC0415 - where eCom is blocked, it stands upon what was put in its place
    from vipps_async.session import VippsSession  # noqa: PLC0415 - as above

    def toy(vipps: Any) -> ToyApi:
        return ToyApi(runner=vipps.ecom.batch.runner, listening=vipps.listening, journal=vipps.journal)

    with mock.patch.dict(APIS, {"toy": TOY_API}), mock.patch.object(VippsSession, "toy", property(toy), create=True):
        yield


@frozen
class _InPlaceOfEcom:
    """What a session sets up as `vipps.ecom` where there is no eCom: a way to its runner."""

    batch: ToyApi

    @property
    def runner(self) -> object:
        return self.batch.runner

    async def aclose(self) -> None:
        """Nothing is open."""


def instead_of_ecom() -> None:
    """Put the toy API where the process would import eCom, which is blocked from import."""

    def make(runner: Any, *, listening: Any, journal: Any, **_: object) -> _InPlaceOfEcom:
        return _InPlaceOfEcom(ToyApi(runner=runner, listening=listening, journal=journal))

    for name, parts in {
        "vipps_async.ecom": {},
        "vipps_async.ecom.payment_api": {"ECOM_API": TOY_API},
        "vipps_async.ecom.client": {"EcomApi": make},
        "vipps_async.userinfo": {"UserinfoApi": lambda *_: None},
    }.items():
        module: Any = ModuleType(name)
        module.__dict__.update(parts)
        sys.modules[name] = module

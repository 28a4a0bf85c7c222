"""The one command: `python -m examples.shop` serves the shop, with a Vipps of its own unless VIPPS_… says which."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvicorn

from examples.shop.app import make_app
from examples.shop.orders import Api
from examples.shop.settings import Settings
from vipps_async import SqliteJournal, VippsSession
from vipps_async.testing import Sandbox, SandboxSettings


class _Server(uvicorn.Server):
    """Says where it is once it serves, ends when it is told to, and leaves it to others to close what is left."""

    def __init__(self, config: uvicorn.Config, places: Mapping[str, str]) -> None:
        super().__init__(config)
        self._places = places

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for name, url in self._places.items():
            print(f"{name + ':':15}{url}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(listener: socket.socket, settings: Settings, sandbox: Sandbox | None = None) -> None:
    journal = SqliteJournal(settings.data / "journal.db")

    def open_session() -> VippsSession:
        return VippsSession.from_env(journal=journal) if sandbox is None else sandbox.session(journal=journal)

    places = {"Shop": settings.url, "Merchant": f"{settings.url}/merchant"}
    if sandbox is not None:
        places["Vipps sandbox"] = sandbox.url
    # 3 seconds for the pages that are waiting for news.
    config = uvicorn.Config(
        make_app(settings, open_session), log_level="warning", server_header=False, timeout_graceful_shutdown=3
    )
    await _Server(config, places).serve(sockets=[listener])


async def _serve_with_sandbox(listener: socket.socket, settings: Settings, sandbox_port: int) -> None:
    # ePayment wants a permit for express checkout; 123456 is the sandbox's own sales unit.
    async with Sandbox(port=sandbox_port, settings=SandboxSettings(express={"123456"})) as sandbox:
        await _serve(listener, settings, sandbox)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where the shop listens; 0 takes a free one")
    parser.add_argument("--sandbox-port", type=int, default=0, help="where the sandbox listens; 0 takes a free one")
    parser.add_argument(
        "--api",
        choices=list(Api),
        default=os.environ.get("SHOP_API", Api.ECOM),
        help="which API makes new payments; SHOP_API unless given, else ecom",
    )
    options = parser.parse_args()
    if options.api not in list(Api):  # argparse does not look at a default
        parser.error(f"SHOP_API must be one of {', '.join(Api)}")
    try:
        listener = socket.create_server(("127.0.0.1", options.port))
    except OSError as error:
        raise SystemExit(f"cannot listen on port {options.port}: {error.strerror}; --port 0 takes a free one") from None
    with listener, tempfile.TemporaryDirectory() as temporary:
        if "VIPPS_CLIENT_ID" in os.environ:
            asyncio.run(_serve(listener, Settings.from_env(os.environ, Api(options.api))))
        else:
            # The sandbox forgets its payments when it ends, and so does the shop.
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            settings = Settings(url=url, data=Path(temporary), api=Api(options.api))
            asyncio.run(_serve_with_sandbox(listener, settings, options.sandbox_port))


if __name__ == "__main__":
    main()

"""A shell at a shop: commands with keys that must not turn up in what they print, and a terminal to type at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
from collections.abc import AsyncIterator, Mapping, Sequence

from attrs import define

from tests.cli.inline import inline
from tests.cli.processes import Finished, command, environment
from vipps_async.sandbox import Address as SandboxAddress
from vipps_async.sandbox import Customer, SandboxServer

__all__ = ["CUSTOMER", "HERE", "MSN", "PERSONAL", "SECRETS", "Terminal", "at_terminal", "env", "shell"]


MSN = "123456"
#: Lets a command take its sandbox for the production environment.
HERE = ("--allow-host", "127.0.0.1")
KEYS = {
    "VIPPS_CLIENT_ID": "canary-client-id-5b1f",
    "VIPPS_CLIENT_SECRET": "canary-client-secret-9c2e",
    "VIPPS_SUBSCRIPTION_KEY": "canary-subscription-key-77d0",
}
#: Must never be printed.
SECRETS = tuple(KEYS.values())
CUSTOMER = Customer(
    first_name="Zebulonia",
    last_name="Kvakkestad",
    email="zebulonia@kvakkestad.example",
    mobile_number="47829163",
    address=SandboxAddress(line1="Hemmeligveien 77", city="Gjemmested"),
)
#: Must not be printed unless it was asked for; the last are the first digits of the sandbox's card.
PERSONAL = ("Zebulonia", "Kvakkestad", "zebulonia@", "47829163", "Hemmeligveien", "Gjemmested", "411111")
#: Seconds that anything at a terminal may take: far more than it needs.
_PATIENCE = 30.0


def env(sandbox: SandboxServer, **further: str) -> Mapping[str, str]:
    """The environment of a command that talks to the sandbox."""
    own = {**KEYS, "VIPPS_MERCHANT_SERIAL_NUMBER": MSN, "VIPPS_BASE_URL": sandbox.url}
    return environment(**own | further)


async def shell(
    sandbox: SandboxServer,
    *arguments: str,
    said: str | None = None,
    typed: Sequence[str] | None = None,
    personal: bool = False,
    **further: str,
) -> Finished:
    """Run a command to its end in this process, and look for what must not be printed.

    `said` and `typed` are those of `inline`.
    """
    finished = await inline(*arguments, env=env(sandbox, **further), said=said or "", typed=typed)
    _nothing_slipped_out(finished.out + finished.err, personal=personal)
    assert "Traceback" not in finished.err
    return finished


def _nothing_slipped_out(text: str, *, personal: bool) -> None:
    assert [secret for secret in SECRETS if secret in text] == []
    assert personal or [datum for datum in PERSONAL if datum in text] == []


@define
class Terminal:
    """A command that runs at a terminal: what it writes to stderr is seen there, stdout is kept apart."""

    process: asyncio.subprocess.Process
    ours: int
    seen: str = ""

    async def until(self, words: str) -> None:
        """Read until these words stand on the screen."""
        async with asyncio.timeout(_PATIENCE):
            while words not in self.seen:
                self.seen += await self._piece()

    async def _piece(self) -> str:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.ours, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self.ours)
        return os.read(self.ours, 65536).decode(errors="replace")

    def type(self, text: str) -> None:
        """Type at the terminal."""
        os.write(self.ours, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C; the terminal is not the process's own, so the signal is sent as the terminal would."""
        self.process.send_signal(signal.SIGINT)

    async def end(self) -> Finished:
        """Wait for the end."""
        out, _ = await asyncio.wait_for(self.process.communicate(), _PATIENCE)
        os.set_blocking(self.ours, False)
        with contextlib.suppress(BlockingIOError, OSError):
            self.seen += os.read(self.ours, 65536).decode(errors="replace")
        assert self.process.returncode is not None
        _nothing_slipped_out(out.decode() + self.seen, personal=False)
        assert "Traceback" not in self.seen
        return Finished(self.process.returncode, out.decode(), self.seen)


@contextlib.asynccontextmanager
async def at_terminal(sandbox: SandboxServer, *arguments: str, **further: str) -> AsyncIterator[Terminal]:
    """Start a command at a terminal."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
        env=env(sandbox, **further),
    )
    try:
        yield Terminal(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
        os.close(theirs)

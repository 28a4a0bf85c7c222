"""Where the journal of the command line is: one file an environment, host and user, waited for while it is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.batch.shop import stock
from tests.cli.inline import inline
from tests.cli.shell import env
from vipps_async import SqliteJournal
from vipps_async.cli.journal_file import journal_path
from vipps_async.errors import ConfigurationError
from vipps_async.testing import Sandbox

CAPTURE = ("payment", "capture", "order-0", "--all", "--text", "x")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with one payment."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 1)
        yield running


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({}, "/home/me/.local/state/vipps_async/test-apitest.vipps.no.journal.db"),
        ({"XDG_STATE_HOME": "/state"}, "/state/vipps_async/test-apitest.vipps.no.journal.db"),
        ({"XDG_STATE_HOME": "state"}, "/home/me/.local/state/vipps_async/test-apitest.vipps.no.journal.db"),
        (
            {"VIPPS_ENVIRONMENT": "production", "XDG_STATE_HOME": "/state"},
            "/state/vipps_async/production-api.vipps.no.journal.db",
        ),
        (
            {"VIPPS_BASE_URL": "http://[::1]:8080/", "XDG_STATE_HOME": "/state"},
            "/state/vipps_async/test-___1__8080.journal.db",
        ),
        (
            {"VIPPS_BASE_URL": "https://APITEST.vipps.no:443", "XDG_STATE_HOME": "/state"},
            "/state/vipps_async/test-apitest.vipps.no.journal.db",
        ),
        ({"VIPPS_JOURNAL": "/data/vipps.db"}, "/data/vipps.db"),
    ],
)
def test_each_world_has_its_own(variables: dict[str, str], path: str) -> None:
    """Play money and real money, this host and that: what is done in one is not done in the other."""
    assert journal_path(None, {"HOME": "/home/me"} | variables) == Path(path)
    assert journal_path(Path("named.db"), variables) == Path("named.db")


@pytest.mark.parametrize(
    ("variables", "words"),
    [({}, "neither XDG_STATE_HOME nor HOME is set"), ({"HOME": "/x", "VIPPS_ENVIRONMENT": "prod"}, "'prod'")],
)
def test_without_a_place_there_is_none(variables: dict[str, str], words: str) -> None:
    """A journal somewhere by chance would be lost by chance."""
    with pytest.raises(ConfigurationError, match=words):
        journal_path(None, variables)


async def test_no_writable_folder_is_a_refusal_with_advice(sandbox: Sandbox) -> None:
    """As in a container: status 2, nothing was sent, and what to name."""
    done = await inline(*CAPTURE, env={**env(sandbox), "XDG_STATE_HOME": "/proc/nowhere"})
    assert (done.status, sandbox.requests) == (2, ())
    assert "--journal PATH, or VIPPS_JOURNAL" in done.err
    named = await inline(*CAPTURE, env={**env(sandbox), "VIPPS_JOURNAL": "/nowhere/j.db"})
    assert (named.status, sandbox.requests) == (2, ())


async def test_payment_and_journal_have_the_same_one(sandbox: Sandbox, state_folder: Path) -> None:
    """It is printed, and private."""
    done = await inline(*CAPTURE, env=env(sandbox))
    (path,) = (state_folder / "vipps_async").glob("*.journal.db")
    assert f"journal {path} (the command line's own: " in done.err
    assert path.parent.stat().st_mode & 0o777 == 0o700
    listed = await inline("journal", "list", env=env(sandbox))
    assert (listed.status, "done      ecom.capture" in listed.out) == (0, True)
    assert f"Journal: {path}" in listed.err
    assert (await inline("journal", "recover", env=env(sandbox))).status == 0


async def test_a_busy_one_is_waited_for(sandbox: Sandbox, tmp_path: Path) -> None:
    """As long as --wait says; then status 6, and nothing was sent."""
    journal = SqliteJournal(tmp_path / "j.db")
    where = ("--journal", str(tmp_path / "j.db"))
    await journal.open()
    busy = await inline(*CAPTURE, *where, "--wait", "0", env=env(sandbox))
    assert (busy.status, sandbox.requests) == (6, ())
    assert "is in use by" in busy.err
    waiting = asyncio.create_task(inline(*CAPTURE, *where, "--wait", "30", env=env(sandbox)))
    await asyncio.sleep(0)
    await journal.aclose()
    assert (await waiting).status == 0

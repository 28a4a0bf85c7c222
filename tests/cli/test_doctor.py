"""`vipps-async doctor`: what a person reads at three in the morning, and with which exit status it ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.processes import environment, run
from tests.cli.shell import HERE, KEYS, shell
from vipps_async.cli.main import main
from vipps_async.sandbox import SandboxCredentials, SandboxSettings
from vipps_async.sandbox.ledger.settings import TOLD_KEYS
from vipps_async.testing import Sandbox
from vipps_async.testing.transport_conformance.certificates import authority, server_context
from vipps_async.testing.transport_conformance.raw_server import OK, Connection, raw_server

ACCEPTED = SandboxCredentials(
    client_id=KEYS["VIPPS_CLIENT_ID"],
    client_secret=KEYS["VIPPS_CLIENT_SECRET"],
    subscription_key=KEYS["VIPPS_SUBSCRIPTION_KEY"],
)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own that takes these keys only."""
    async with Sandbox(settings=SandboxSettings(credentials=[ACCEPTED])) as running:
        yield running


async def test_all_is_well(sandbox: Sandbox) -> None:
    """One line for each check, status 0, and that it was the sandbox."""
    finished = await shell(sandbox, "doctor")
    assert (finished.status, finished.err) == (0, "")
    lines = finished.out.splitlines()
    checks = [line[13:26].strip() for line in lines[:-1] if not line.startswith(" ")]
    assert checks == ["settings", "environment", "host", "clock", "token", "sales unit", "versions"]
    assert all(line.startswith(("ok  ", "    ")) for line in lines[:-1])
    assert lines[-1] == "All is well. This was the embedded sandbox, not Vipps."


def _unwrapped(text: str) -> str:
    return " ".join(text.split())


async def test_it_fits_into_80_columns(sandbox: Sandbox, tmp_path: Path) -> None:
    """Whatever is found: a longer word, such as a path, stays whole so that it can be copied, and moves to the left."""
    # As it is with a name server and with all there is to be said.
    cases: list[dict[str, Any]] = [{}, {"VIPPS_CLIENT_SECRET": "another"}, {"VIPPS_CLIENT_ID": "", "VIPPS_PROXY": "?"}]
    for further in cases:
        path = f"/{'x' * 60}/typo.db"
        finished = await shell(sandbox, "doctor", "--journal", path, **further)
        lines = finished.out.splitlines()
        assert len(lines) > 10
        assert f"{path:>80}" in lines
        assert [line for line in lines if len(line) > 80] == []
    longer = str(tmp_path / ("x" * 80) / "typo.db")
    assert longer in (await shell(sandbox, "doctor", "--journal", longer)).out.splitlines()


async def test_what_the_sandbox_prints_is_well() -> None:
    """The keys that `vipps-async sandbox` and its page tell are not warned about."""
    async with Sandbox(settings=SandboxSettings(credentials=[TOLD_KEYS])) as running:
        async with aiohttp.ClientSession() as browser, browser.get(running.url) as answer:
            page = await answer.text()
        keys = dict(re.findall(r"(VIPPS_(?:CLIENT_\w+|SUBSCRIPTION_KEY))=([\w-]+)", page))
        assert len(keys) == 3
        finished = await shell(running, "doctor", **keys)
    assert finished.out.endswith("All is well. This was the embedded sandbox, not Vipps.\n")


async def test_keys_that_a_sandbox_does_not_take_are_not_on_its_page(sandbox: Sandbox) -> None:
    """It was given others: its page tells the URL alone, and no keys that it would refuse."""
    async with aiohttp.ClientSession() as browser, browser.get(sandbox.url) as answer:
        page = await answer.text()
    assert "VIPPS_BASE_URL" in page
    assert "VIPPS_CLIENT_ID" not in page


async def test_all_wrong_settings_are_told_at_once() -> None:
    """Not one round of corrections after the other: environment, host, keys and what is doubtful about others."""
    wrong = {"VIPPS_ENVIRONMENT": "live", "VIPPS_BASE_URL": "ftp://x", "VIPPS_SYSTEM_NAME": "'acme'"}
    finished = await inline("doctor", env=environment(**KEYS, VIPPS_MERCHANT_SERIAL_NUMBER="abc", **wrong))
    told = _unwrapped(finished.out)
    assert finished.status == 1
    assert "VIPPS_ENVIRONMENT is neither test nor production; VIPPS_BASE_URL must be" in told
    assert "set VIPPS_ENVIRONMENT to test or production; correct VIPPS_BASE_URL, or leave it out" in told
    assert "VIPPS_MERCHANT_SERIAL_NUMBER must be a string of 4 to 10 digits; VIPPS_SYSTEM_NAME stands in quot" in told
    assert "and nothing else; take the quotation marks away" in told


async def test_for_machines(sandbox: Sandbox) -> None:
    """--json is one object with every result and its facts."""
    finished = await shell(sandbox, "doctor", "--json")
    assert finished.status == 0
    told = orjson.loads(finished.out)
    assert (told["ok"], told["sandbox"]) == (True, True)
    by_check = {check["check"]: check for check in told["checks"]}
    assert by_check["token"]["state"] == "ok"
    assert by_check["token"]["seconds_valid"] == 3600
    assert by_check["settings"]["missing"] == []
    assert set(by_check["versions"]["versions"]) >= {"python", "vipps_async", "aiohttp", "cattrs", "orjson"}
    assert "event_loop" in by_check["versions"]


async def test_wrong_keys(sandbox: Sandbox) -> None:
    """Status 1, and below the result what to do."""
    finished = await shell(sandbox, "doctor", VIPPS_CLIENT_SECRET="another")
    assert finished.status == 1
    assert "\nfailed       token        no token was given: " in finished.out
    assert "\n             -> set the keys that this sandbox takes: those that it printed" in finished.out
    assert "\nnot checked  sales unit   without a token nothing can be asked\n" in finished.out
    assert finished.out.endswith("1 failed, 0 to look at. This was the embedded sandbox, not Vipps.\n")
    told = orjson.loads((await shell(sandbox, "doctor", "--json", VIPPS_CLIENT_SECRET="another")).out)
    assert told["ok"] is False
    assert [check["state"] for check in told["checks"]][4:6] == ["failed", "not_checked"]


async def test_without_any_settings() -> None:
    """All four keys are named; nothing is asked without them but whether the host is there, and here it is not."""
    finished = await inline("doctor", env=environment(VIPPS_BASE_URL="http://127.0.0.1:1"))
    assert finished.status == 1
    assert all(f"{name} is not set" in _unwrapped(finished.out) for name in KEYS)
    assert "connection refused" in finished.out
    assert finished.out.endswith("2 failed, 0 to look at.\n")


async def test_a_warning_is_status_0(sandbox: Sandbox) -> None:
    """Payments work, so that nothing failed."""
    finished = await shell(sandbox, "doctor", VIPPS_SYSTEM_NAME="'acme'")
    assert finished.status == 0
    assert finished.out.startswith("warning      settings     VIPPS_SYSTEM_NAME stands in quotation marks\n")
    assert "0 failed, 1 to look at." in finished.out


async def test_a_journal(sandbox: Sandbox, tmp_path: Path) -> None:
    """--journal adds a line; a mistyped path is a failure."""
    finished = await shell(sandbox, "doctor", "--journal", str(tmp_path / "typo.db"))
    assert finished.status == 1
    assert "failed       journal      there is no journal" in finished.out
    assert not await asyncio.to_thread((tmp_path / "typo.db").exists)


async def test_the_journal_of_the_other_commands_is_looked_at(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without --journal the one that a capture would use, if it is there; it is not made."""
    path = tmp_path / "own.db"
    assert " journal " not in (await shell(sandbox, "doctor", VIPPS_JOURNAL=str(path))).out
    await leave_open(path, "key-1")
    finished = await shell(sandbox, "doctor", VIPPS_JOURNAL=str(path))
    assert "warning      journal      1 open in the journal" in finished.out
    assert not finished.out.endswith("All is well. This was the embedded sandbox, not Vipps.\n")


async def test_no_key_leaves_for_an_unknown_host_in_production(sandbox: Sandbox) -> None:
    """As every other command: a host is named by --allow-host, or nothing is sent there."""
    finished = await shell(sandbox, "doctor", VIPPS_ENVIRONMENT="production")
    assert (finished.status, sandbox.requests) == (1, ())
    assert "failed       environment" in finished.out
    allowed = await shell(sandbox, "doctor", *HERE, VIPPS_ENVIRONMENT="production")
    assert (allowed.status, "ok           token" in allowed.out) == (0, True)


async def test_an_unknown_api_is_a_finding(sandbox: Sandbox) -> None:
    """VIPPS_API is one of the settings that are looked at: the keys are tried all the same."""
    finished = await shell(sandbox, "doctor", VIPPS_API="ekom")
    assert (finished.status, finished.err) == (1, "")
    assert "failed       settings     VIPPS_API must be one of" in finished.out
    assert "ok           token" in finished.out
    assert "not checked  sales unit   VIPPS_API names no API" in finished.out


async def test_a_certificate_is_accepted_when_its_authority_is_trusted(tmp_path: Path) -> None:
    """The same host fails without SSL_CERT_FILE, and is reached with it: read once by a process, so two of them."""

    async def answer(connection: Connection) -> None:
        while True:
            await connection.answer(OK)

    trusted = tmp_path / "authority.pem"
    trusted.write_bytes(authority().cert_pem.bytes())
    async with raw_server(answer, tls=server_context("localhost")) as server:
        env = environment(**KEYS, VIPPS_BASE_URL=f"https://localhost:{server.port}")
        refused = await run("doctor", env=env)
        assert server.requests == []
        accepted = await run("doctor", env={**env, "SSL_CERT_FILE": str(trusted)})
    assert refused.status == 1
    assert "failed       host         the TLS certificate of localhost" in refused.out
    assert "and its certificate is accepted" in _unwrapped(accepted.out)
    assert "neither Vipps nor the embedded sandbox" in _unwrapped(accepted.out)


def test_wrong_usage_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that does not exist; the help tells the statuses."""
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--nonsense"])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--help"])
    assert caught.value.code == 0
    assert "Exit status 0: nothing failed" in " ".join(capsys.readouterr().out.split())

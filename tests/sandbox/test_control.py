"""Who may look and who may change: a foreign host name or a foreign page may do neither."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from tests.sandbox.driver import MSN, Merchant, merchant_at
from vipps_async.sandbox import SandboxServer, State

ORDER = f"/sandbox/payments/{MSN}/acme-1"
LOOKS = ("/", "/sandbox/requests", "/sandbox/switches", ORDER, "/sandbox/events", "/sandbox/faults", "/sandbox/clock")
CHANGES = (f"{ORDER}/approve", "/sandbox/switches/clear", "/sandbox/faults", "/sandbox/clock")


async def _status(merchant: Merchant, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> int:
    url = merchant.url + path
    async with merchant.session.request(method, url, headers=headers, json=body, allow_redirects=False) as answer:
        return answer.status


@pytest.mark.parametrize("path", LOOKS)
async def test_nobody_looks_under_a_foreign_name(merchant: Merchant, path: str) -> None:
    """A page that has brought its own name to this address, or asks across origins, gets 403."""
    await merchant.initiate("acme-1")
    port = merchant.url.rpartition(":")[2]
    for foreign in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1", "10.0.0.1", "192.0.2.1"):
        assert await _status(merchant, "GET", path, {"Host": foreign}) == 403
    for foreign in ("https://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1"):
        assert await _status(merchant, "GET", path, {"Origin": foreign}) == 403
    if path != "/sandbox/events":
        for good in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:9000", "LOCALHOST"):
            assert await _status(merchant, "GET", path, {"Host": good}) == 200


@pytest.mark.parametrize("path", CHANGES)
async def test_nobody_changes_anything_from_elsewhere(sandbox: SandboxServer, merchant: Merchant, path: str) -> None:
    """Not by a foreign name or origin, not even from another port of this machine; nothing happens."""
    await merchant.initiate("acme-1")
    now = sandbox.clock.now()
    body = {"clear": True} if path.endswith("faults") else {"advance": 86_400}
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": merchant.url, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert await _status(merchant, "POST", path, headers, body) == 403
    assert sandbox.payment("acme-1").state is State.INITIATE
    assert (sandbox.clock.now() - now).total_seconds() < 3_600
    own = {"Origin": merchant.url, "Sec-Fetch-Site": "same-origin"}
    assert await _status(merchant, "POST", path, own, body) in {200, 303}


async def test_looking_changes_nothing(sandbox: SandboxServer, merchant: Merchant) -> None:
    """What changes something wants POST."""
    await merchant.initiate("acme-1")
    for path in (f"{ORDER}/approve", "/sandbox/switches/clear"):
        assert await _status(merchant, "GET", path, {}) == 405
    assert sandbox.payment("acme-1").state is State.INITIATE


async def test_the_clock_over_http(sandbox: SandboxServer, merchant: Merchant) -> None:
    """Another process reads it and advances it; nonsense is refused."""
    async with merchant.session.get(f"{merchant.url}/sandbox/clock") as answer:
        before = (await answer.json())["now"]
    assert await _status(merchant, "POST", "/sandbox/clock", {}, {"advance": 86_400}) == 200
    async with merchant.session.get(f"{merchant.url}/sandbox/clock") as answer:
        assert (await answer.json())["now"][:10] > before[:10]
    nonsense: tuple[Any, ...] = ({}, {"advance": -1}, {"advance": "x"}, {"advance": None}, [])
    for body in nonsense:
        assert await _status(merchant, "POST", "/sandbox/clock", {}, body) == 400


async def test_open_to_others_it_says_so_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """In the log and on every page; addresses are good as names then, other names are not."""
    with caplog.at_level(logging.WARNING, "vipps_async.sandbox"):
        async with SandboxServer(host="0.0.0.0") as sandbox:  # noqa: S104 - what is warned of
            (record,) = caplog.records
            assert record.getMessage().startswith("listening on 0.0.0.0: anyone who reaches this machine")
            url = sandbox.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
            async with merchant_at(url, log_in=False) as merchant:
                async with merchant.session.get(url) as page:
                    assert "anyone who reaches this machine can use it" in await page.text()
                assert await _status(merchant, "GET", "/", {"Host": "192.0.2.7:8787"}) == 200
                assert await _status(merchant, "GET", "/", {"Host": "evil.example"}) == 403
                assert await _status(merchant, "GET", "/", {"Host": ""}) in {400, 403}


async def test_on_loopback_there_is_nothing_to_say(sandbox: SandboxServer, merchant: Merchant) -> None:
    """No warning on the pages."""
    async with merchant.session.get(merchant.url) as page:
        assert "anyone who reaches" not in await page.text()

"""`vipps-async demo`: on its own sandbox, and against an account from the environment."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.cli.inline import inline
from tests.cli.processes import environment, run
from vipps_async.cli.main import main
from vipps_async.core import polling
from vipps_async.sandbox import SandboxCredentials, SandboxServer, SandboxSettings
from vipps_async.sandbox.ledger.entries import Sums
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason
from vipps_async.testing import Sandbox

KEYS = {
    "VIPPS_CLIENT_ID": "canary-client-id",
    "VIPPS_CLIENT_SECRET": "canary-client-secret",
    "VIPPS_SUBSCRIPTION_KEY": "canary-subscription-key",
    "VIPPS_MERCHANT_SERIAL_NUMBER": "123456",
}
EPAYMENT = ("--api", "epayment")
API_NAMES = ("ecom", "epayment")
#: The sums that ePayment's answers tell.
NAMES = ("captured", "refunded", "cancelled")
#: What the walk moves, in øre, order by order.
MONEY = [
    {"reserved": 49_900, "captured": 49_900, "refunded": 9_900, "left": 0},
    {"reserved": 49_900, "captured": 0, "refunded": 0, "left": 0},
]


def _sums(document: Mapping[str, Any]) -> list[dict[str, int]]:
    return [{name: row[name] for name in ("reserved", "captured", "refunded", "left")} for row in document["money"]]


@pytest.mark.parametrize(
    ("arguments", "paths"), [((), ("/ecomm/v2/", "/details")), (EPAYMENT, ("/epayment/v1/", "/events"))], ids=API_NAMES
)
async def test_the_demo_as_text(arguments: tuple[str, ...], paths: tuple[str, ...]) -> None:
    """The demo shows every step with request and answer, ends with the money moved, status 0, in under ten seconds."""
    started = time.monotonic()
    finished = await run("demo", *arguments)
    assert time.monotonic() - started < 10
    assert (finished.status, finished.err) == (0, "")
    for shown in ("→ POST /accesstoken/get", "/capture", "/refund", "/cancel", *paths, "← 200 in", "Money moved"):
        assert shown in finished.out
    assert finished.out.count("✓") >= 9
    assert "✗" not in finished.out
    assert finished.out.endswith("Every step did what it should.\n")
    first, second = re.findall(r"^    demo-\S+ (.*)$", finished.out, re.MULTILINE)
    assert first.split() == ["499.00", "NOK", "499.00", "NOK", "99.00", "NOK", "0.00", "NOK"]
    assert second.split() == ["499.00", "NOK", "0.00", "NOK", "0.00", "NOK", "0.00", "NOK"]


async def test_the_demo_takes_the_api_of_the_variable() -> None:
    """`VIPPS_API` names it, `--api` goes before; one without a walk is wrong use."""
    over = {name: environment(VIPPS_API=name) for name in ("ecom", "epayment", "epayment-dkk")}
    assert orjson.loads((await inline("demo", "--json", env=over["epayment"])).out)["api"] == "epayment"
    assert orjson.loads((await inline("demo", "--json", *EPAYMENT, env=over["ecom"])).out)["api"] == "epayment"
    other = await inline("demo", env=over["epayment-dkk"])
    assert (other.status, other.out) == (2, "")
    assert "the demo has no walk over 'epayment-dkk'; say --api ecom or epayment" in other.err


async def test_over_epayment_the_sums_are_told_by_each_answer() -> None:
    """Captured in two parts of 200 and 299 kroner, 99 refunded, and 499 of the second order released."""
    document = orjson.loads((await inline("demo", "--json", *EPAYMENT)).out)
    assert (document["succeeded"], _sums(document)) == (True, MONEY)
    moves = [
        (verb, orjson.loads(exchange["answered"])["aggregate"])
        for step in document["steps"]
        for exchange in step["exchanges"]
        if (verb := exchange["path"].rpartition("/")[2]) in {"capture", "refund", "cancel"}
    ]
    assert [(verb, *(sums[f"{name}Amount"]["value"] for name in NAMES)) for verb, sums in moves] == [
        ("capture", 20_000, 0, 0),
        ("capture", 49_900, 0, 0),
        ("refund", 49_900, 9_900, 0),
        ("cancel", 0, 0, 49_900),
    ]


async def test_the_demo_for_machines() -> None:
    """--json prints one document: each step with its exchanges and checks, and sums that are right to the øre."""
    finished = await inline("demo", "--json")
    assert (finished.status, finished.err) == (0, "")
    document = orjson.loads(finished.out)
    assert document["succeeded"] is True
    assert document["error"] is None
    assert _sums(document) == MONEY
    exchanges = [exchange for step in document["steps"] for exchange in step["exchanges"]]
    assert sum(exchange["token"] for exchange in exchanges) == 1
    assert {exchange["status"] for exchange in exchanges} == {200}
    moved = {"capture": 0, "refund": 0}
    for exchange in exchanges:
        operation = exchange["path"].rpartition("/")[2]
        if operation in moved:
            answer = orjson.loads(exchange["answered"])
            moved[operation] += answer.get("transactionInfo", answer.get("transaction"))["amount"]
    assert moved == {"capture": 49_900, "refund": 9_900}
    assert all(check["holds"] for step in document["steps"] for check in step["checks"])
    assert all(step["title"] for step in document["steps"])


async def test_the_demo_shows_no_secret() -> None:
    """Neither form prints a token or a key."""
    for arguments in ((), ("--json",), EPAYMENT, ("--json", *EPAYMENT)):
        finished = await inline("demo", *arguments)
        assert "eyJ" not in finished.out
        assert "sandbox-secret" not in finished.out
        assert "sandbox-key" not in finished.out
        assert not re.search(r"token=(?!\[redacted\])", finished.out)


@pytest.mark.parametrize(("api", "code"), [("ecom", "Payment 71"), ("epayment", "ErrorCode 6")])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_step_that_is_refused_ends_the_demo_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: str, code: str, *, as_json: bool
) -> None:
    """When Vipps refuses a step, the demo says which and why, and does not go on."""
    monkeypatch.setattr(Payment, "_why_no_refund", lambda *_: Reason.MORE_THAN_CAPTURED)
    assert main(["demo", "--api", api, *(["--json"] if as_json else [])]) == 1
    out, err = capsys.readouterr()
    if as_json:
        document = orjson.loads(out)
        assert document["succeeded"] is False
        assert code in document["error"]
        assert "refund" in document["steps"][-1]["title"]
    else:
        assert f"The demo stopped: {api}.refund of payment demo-" in err
        assert "Every step did what it should" not in out
        assert "Traceback" not in err


def test_money_that_did_not_move_ends_the_demo_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When everything answers well, but the sums are wrong, the demo does not call it a success."""
    monkeypatch.setattr(Sums, "remaining_to_refund", property(lambda sums: sums.captured))
    assert main(["demo"]) == 1
    out, err = capsys.readouterr()
    assert "✗ the refund is on record" in out
    assert "The demo stopped: not so: the refund is on record" in err


def test_a_customer_who_declined_ends_the_demo_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sandbox in which the customer declines first: one line, no traceback."""
    approve = SandboxServer.approve

    async def decline_first(self: SandboxServer, order_id: str) -> object:
        await self.reject(order_id)
        return await approve(self, order_id)

    monkeypatch.setattr(SandboxServer, "approve", decline_first)
    assert main(["demo"]) == 1
    err = capsys.readouterr().err
    assert "does not wait for the customer" in err
    assert "Traceback" not in err


# -- a real account ----------------------------------------------------------------------------------------------------


def _account(sandbox: Sandbox, **further: str) -> Mapping[str, str]:
    return environment(**KEYS, VIPPS_BASE_URL=sandbox.url, **further)


@pytest.mark.parametrize(("api", "number"), [("ecom", "47829163"), ("epayment", "4747829163")])
async def test_live_approves_as_the_test_user(api: str, number: str) -> None:
    """--live with --mobile-number walks the account of the environment, shows no key, and the money is right."""
    keys = SandboxCredentials(
        client_id=KEYS["VIPPS_CLIENT_ID"],
        client_secret=KEYS["VIPPS_CLIENT_SECRET"],
        subscription_key=KEYS["VIPPS_SUBSCRIPTION_KEY"],
    )
    async with Sandbox(settings=SandboxSettings(credentials=[keys])) as sandbox:
        arguments = ("--live", "--json", "--mobile-number", number, "--api", api)
        finished = await inline("demo", *arguments, env=_account(sandbox))
        payments = sandbox.payments
    assert (finished.status, finished.err) == (0, "")
    assert _sums(orjson.loads(finished.out)) == MONEY
    assert [(paid.captured, paid.refunded, paid.released) for paid in payments] == [(49_900, 9_900, 0), (0, 0, 49_900)]
    assert "canary" not in finished.out
    assert "47829163" not in finished.out


@pytest.mark.parametrize(("api", "read"), [("ecom", "/details"), ("epayment", "")], ids=API_NAMES)
async def test_live_waits_for_a_person(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: str, read: str
) -> None:
    """Without a number the link is printed to stderr, and the walk goes on once somebody has approved."""
    monkeypatch.setattr(polling, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(polling, "PAUSE", 0.01)
    async with Sandbox(rate_limits=False) as sandbox:
        for name, value in {**KEYS, "VIPPS_BASE_URL": sandbox.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("VIPPS_ENVIRONMENT", raising=False)
        walk = asyncio.create_task(asyncio.to_thread(main, ["demo", "--live", "--json", "--api", api]))
        approved: set[str] = set()
        async with asyncio.timeout(20):
            while len(approved) < 2:
                await asyncio.wait({walk}, timeout=0.01)
                assert not walk.done(), capsys.readouterr()
                for paid in sandbox.payments:
                    asked = any(request.path.endswith(f"{paid.order_id}{read}") for request in sandbox.requests)
                    if asked and paid.order_id not in approved:
                        await sandbox.approve(paid.order_id)
                        approved.add(paid.order_id)
            assert await walk == 0
    out, err = capsys.readouterr()
    assert _sums(orjson.loads(out)) == MONEY
    assert err.count("Open this link and approve with a test user:") == 2
    assert err.count(f"{sandbox.url}/dwo-api-application/v1/deeplink/vippsgateway?v=2&token=") == 2


async def test_live_ends_when_nobody_approves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A customer who does nothing in time ends the walk with 1 and one line, not with a traceback."""
    monkeypatch.setattr(polling, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(polling, "check_seconds", lambda _name, _seconds: 0.05)
    async with Sandbox() as sandbox:
        for name, value in {**KEYS, "VIPPS_BASE_URL": sandbox.url, "VIPPS_ENVIRONMENT": "test"}.items():
            monkeypatch.setenv(name, value)
        assert await asyncio.to_thread(main, ["demo", "--live"]) == 1
    err = capsys.readouterr().err
    assert "neither accepted nor declined" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("api", ["ecom", "epayment"])
async def test_it_fits_into_80_columns(api: str) -> None:
    """Bodies are wrapped, and no line is wider than a terminal is at least."""
    finished = await inline("demo", "--api", api)
    assert finished.status == 0
    assert [line for line in finished.out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(("api", "number"), [("ecom", "4747829163"), ("epayment", "47829163")])
async def test_a_number_of_another_form_is_wrong_use(api: str, number: str) -> None:
    """Eight digits over eCom, the country's code first over ePayment: else status 2, and nothing sent nor shown."""
    async with Sandbox() as sandbox:
        arguments = ("--live", "--mobile-number", number, "--api", api)
        finished = await inline("demo", *arguments, env=_account(sandbox))
        assert sandbox.requests == ()
    assert (finished.status, f"--mobile-number: over {api}, " in finished.err) == (2, True)
    assert number not in finished.err


async def test_live_refuses_production() -> None:
    """With the production environment nothing is sent, whatever the base URL."""
    async with Sandbox() as sandbox:
        finished = await inline("demo", "--live", env=_account(sandbox, VIPPS_ENVIRONMENT="production"))
        assert sandbox.requests == ()
    assert finished.status == 1
    assert "does not run in production" in finished.err
    assert len(finished.err.strip().splitlines()) == 1


async def test_live_refuses_the_production_host() -> None:
    """The host of production under the name of the test environment is a contradiction, found before any I/O."""
    finished = await inline("demo", "--live", env=environment(**KEYS, VIPPS_BASE_URL="https://api.vipps.no"))
    assert finished.status == 1
    assert "environment is test" in finished.err
    assert "→" not in finished.out


@pytest.mark.parametrize("missing", KEYS)
async def test_live_names_the_variable_that_is_missing(missing: str) -> None:
    """A variable that is not set is named in one line, without a traceback and without the others' values."""
    keys = {name: value for name, value in KEYS.items() if name != missing}
    finished = await inline("demo", "--live", env=environment(**keys))
    assert finished.status == 1
    (line,) = finished.err.strip().splitlines()
    assert missing in line
    assert "canary" not in line


async def test_live_with_wrong_keys_says_so() -> None:
    """Keys that are not accepted end the walk at its first step, in one line."""
    keys = SandboxCredentials(client_id="another", client_secret="another", subscription_key="another")
    async with Sandbox(settings=SandboxSettings(credentials=[keys])) as sandbox:
        finished = await inline("demo", "--live", "--mobile-number", "47829163", env=_account(sandbox))
    assert finished.status == 1
    (line,) = finished.err.strip().splitlines()
    assert "check the keys" in line
    assert "canary" not in finished.out + line


async def test_live_where_nobody_listens() -> None:
    """An address that refuses connections ends the walk in one line."""
    async with Sandbox() as sandbox:
        pass
    finished = await inline("demo", "--live", env=_account(sandbox))
    assert finished.status == 1
    (line,) = finished.err.strip().splitlines()
    assert "connection refused" in line
    assert "no answer" in finished.out

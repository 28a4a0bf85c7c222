"""The diagnosis finds what is wrong, says what to do, moves nothing, and shows no value of a secret setting."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from tests.diagnosis.checked import CHECKS, KEYS, found
from vipps_async.config import Settings, Timeouts
from vipps_async.core.clock import SystemClock
from vipps_async.diagnosis import CheckResult, CheckState
from vipps_async.diagnosis.host import _advice, check_host
from vipps_async.diagnosis.settings import KNOWN, check_environment, check_settings
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox
from vipps_async.testing.transport_conformance.certificates import authority, server_context
from vipps_async.testing.transport_conformance.raw_server import Connection, dead_port, raw_server
from vipps_async.transports.protocol import Request, Response


def states(results: Mapping[str, CheckResult], *checks: str) -> list[CheckState]:
    """The states of some checks."""
    return [results[check].state for check in checks]


# --- all is well ------------------------------------------------------------------------------------------------------


async def test_all_is_well(sandbox: Sandbox) -> None:
    """Against the sandbox everything is ok, in order, and it says that it is the sandbox."""
    results = await found(sandbox.url)
    assert list(results) == CHECKS
    assert set(states(results, *CHECKS)) == {CheckState.OK}
    assert "it is the embedded sandbox, not Vipps" in results["host"].text
    assert "test, with play money" in results["environment"].text
    assert results["token"].facts["seconds_valid"] == 3600
    assert "valid for 1 h" in results["token"].text
    assert "python 3." in results["versions"].text
    assert "event loop" in results["versions"].text


async def test_it_only_asks(sandbox: Sandbox) -> None:
    """A token and one question about an order that cannot exist: nothing is made, and no money moves."""
    await found(sandbox.url)
    await found(sandbox.url)
    orders = [request.path for request in sandbox.requests if request.operation == "details"]
    assert all(re.fullmatch(r"/ecomm/v2/payments/doctor-[0-9a-f]{32}/details", path) for path in orders)
    assert len(set(orders)) == 2
    asked = [request.operation for request in sandbox.requests if request.operation]
    assert sorted(set(asked)) == ["details", "token"]
    assert {request.method for request in sandbox.requests if request.operation != "token"} == {"GET"}
    assert sandbox.payments == ()


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_is_missing(sandbox: Sandbox, name: str) -> None:
    """It is named; the host is looked at all the same, what needs the keys is not."""
    results = await found(sandbox.url, {name: ""})
    assert results["settings"].state is CheckState.FAILED
    assert f"{name} is not set" in results["settings"].text
    assert results["settings"].facts["missing"] == [name]
    assert states(results, "host", "clock") == [CheckState.OK, CheckState.OK]
    assert states(results, "token", "sales unit") == [CheckState.NOT_CHECKED, CheckState.NOT_CHECKED]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("VIPPS_CLIENT_ID", "canary ", "printable ASCII text without line breaks"),
        ("VIPPS_CLIENT_SECRET", "canary\nx", "printable ASCII text without line breaks"),
        ("VIPPS_SUBSCRIPTION_KEY", "canæry-canary", "printable ASCII text without line breaks"),
        ("VIPPS_MERCHANT_SERIAL_NUMBER", "canary", "a string of 4 to 10 digits"),
        ("VIPPS_SYSTEM_NAME", "canary" * 6, "1 to 30 printable ASCII characters"),
        ("VIPPS_SYSTEM_PLUGIN_VERSION", "canary" * 6, "1 to 30 printable ASCII characters"),
    ],
)
async def test_a_malformed_setting(sandbox: Sandbox, name: str, value: str, rule: str) -> None:
    """Its name and its rule are told, never its value."""
    results = await found(sandbox.url, {name: value})
    assert results["settings"].state is CheckState.FAILED
    assert f"{name} must be {rule}" in results["settings"].text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("VIPPS_SUBSCRIPTON_KEY", "x", "VIPPS_SUBSCRIPTON_KEY is not read: is VIPPS_SUBSCRIPTION_KEY meant?"),
        ("VIPPS_SYSTEM_NAME", '"acme"', "VIPPS_SYSTEM_NAME stands in quotation marks"),
    ],
)
async def test_a_setting_that_looks_like_a_slip(sandbox: Sandbox, name: str, value: str, words: str) -> None:
    """A warning; names that resemble none of ours are somebody else's."""
    results = await found(sandbox.url, {name: value, "VIPPS_OF_ANOTHER_PROGRAM": "1"})
    assert results["settings"].state is CheckState.WARNING
    assert results["settings"].text == words
    assert results["token"].state is CheckState.OK


@pytest.mark.parametrize("name", ["VIPPS_CLIENT_ID", "VIPPS_CLIENT_SECRET", "VIPPS_SUBSCRIPTION_KEY"])
def test_a_key_too_short_to_be_taken_out_of_texts(name: str) -> None:
    """A key of a few characters stands in codes and words by chance, so errors cannot be freed of it: a warning."""
    result, settings = check_settings(KEYS | {name: "seven7"[:5]})
    assert result.state is CheckState.WARNING
    assert f"{name} has fewer than 6 characters" in result.text
    assert settings is not None
    assert check_settings(KEYS | {name: "seven7"})[0].state is CheckState.OK


def test_no_variable_is_forgotten() -> None:
    """What is looked at is exactly what a session reads."""

    class Watched(dict[str, str]):
        asked: set[str] = set()  # noqa: RUF012 - of this one test

        def get(self, key: str, default: Any = None) -> Any:
            self.asked.add(key)
            return super().get(key, default)

        def __getitem__(self, key: str) -> str:
            self.asked.add(key)
            return super().__getitem__(key)

    watched = Watched(KEYS)
    Settings.from_env(watched)
    assert set(KNOWN) == watched.asked


@pytest.mark.parametrize(
    ("further", "words"),
    [
        ({"VIPPS_ENVIRONMENT": "prod"}, "VIPPS_ENVIRONMENT is neither test nor production"),
        ({"VIPPS_BASE_URL": "http://example.com"}, "VIPPS_BASE_URL must be an https URL"),
        ({"VIPPS_BASE_URL": "https://u:canary@example.com"}, "VIPPS_BASE_URL must be an https URL"),
        ({"VIPPS_BASE_URL": "https://api.vipps.no"}, "VIPPS_BASE_URL is Vipps' host of the other environment"),
    ],
)
async def test_it_is_not_clear_where_to_ask(further: dict[str, str], words: str) -> None:
    """Environment and host that cannot be used, or contradict each other: nothing is asked anywhere."""
    results = await found("", further)
    assert results["environment"].state is CheckState.FAILED
    assert words in results["environment"].text
    assert results["environment"].advice
    assert set(states(results, "host", "clock", "token", "sales unit")) == {CheckState.NOT_CHECKED}


async def test_production_at_another_host_than_vipps_own_fails(sandbox: Sandbox) -> None:
    """Somebody would hand real keys to a stranger: not a byte leaves for a host that is not named."""
    results = await found(sandbox.url, {"VIPPS_ENVIRONMENT": "production"}, allowed_hosts=["example.com"])
    assert "production, with real money" in results["environment"].text
    assert results["environment"].state is CheckState.FAILED
    assert "--allow-host 127.0.0.1" in results["environment"].advice
    assert set(states(results, "host", "clock", "token", "sales unit")) == {CheckState.NOT_CHECKED}
    assert "nothing is sent to this host" in results["token"].text
    assert sandbox.requests == ()


async def test_production_at_a_host_that_was_named(sandbox: Sandbox) -> None:
    """It is asked as Vipps would be, and said to be what it is."""
    results = await found(sandbox.url, {"VIPPS_ENVIRONMENT": "production"}, allowed_hosts=["127.0.0.1"])
    assert results["environment"].state is CheckState.OK
    assert "--allow-host names it" in results["environment"].text
    assert states(results, "host", "token") == [CheckState.WARNING, CheckState.OK]
    assert "it is the embedded sandbox, not Vipps, though the environment is production" in results["host"].text


async def test_what_is_malformed_stops_only_what_needs_it(sandbox: Sandbox) -> None:
    """A wrong name of the system has no say in whether the keys are accepted; an unknown API only in the sales unit."""
    results = await found(sandbox.url, {"VIPPS_SYSTEM_NAME": "x" * 31, "VIPPS_API": "ekom"})
    assert results["settings"].state is CheckState.FAILED
    assert "VIPPS_API must be one of ecom, epayment" in results["settings"].text
    assert "correct VIPPS_SYSTEM_NAME, or leave it out; correct VIPPS_API" in results["settings"].advice
    assert states(results, "token", "sales unit") == [CheckState.OK, CheckState.OK]


# --- host, certificate, clock -----------------------------------------------------------------------------------------


async def test_no_host() -> None:
    """Nobody listens: what was tried, what to do; and what needs the host is not looked at."""
    results = await found(f"http://127.0.0.1:{dead_port()}")
    assert results["host"].state is CheckState.FAILED
    assert "connection refused" in results["host"].text
    assert "firewall" in results["host"].advice
    assert set(states(results, "clock", "token", "sales unit")) == {CheckState.NOT_CHECKED}
    assert states(results, "settings", "environment", "versions") == [CheckState.OK] * 3


@asynccontextmanager
async def host(
    answers: dict[str, tuple[int, bytes]] | None = None, *, date: str | None = "now", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Something that answers as told: by the beginning of a path, 404 to everything else."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.read_request()
            path = request.line.split()[1]
            fitting = [answer for start, answer in (answers or {}).items() if path.startswith(start)]
            status, body = fitting[0] if fitting else (404, b"{}")
            lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
            if date is not None:
                lines.append(f"Date: {format_datetime(datetime.now(UTC), usegmt=True) if date == 'now' else date}")
            await connection.send("\r\n".join([*lines, "", ""]).encode() + body)

    async with raw_server(script, tls=tls) as server:
        yield server.url if tls is None else f"https://localhost:{server.port}"


async def test_vipps_itself() -> None:
    """At Vipps' own host nothing is said of another one, and it is not asked whether it is a sandbox."""
    result, place = check_environment({})
    assert place is not None
    assert result.text == "test, with play money, at https://apitest.vipps.no"
    dotted = check_environment({"VIPPS_BASE_URL": "https://apitest.vipps.no."})[1]
    assert dotted is not None
    assert (place.host, dotted.host) == ("vipps", "vipps")
    asked: list[str] = []

    class Vipps:
        async def send(self, request: Request) -> Response:
            asked.append(request.url)
            assert not request.headers
            return Response(status=404)

        async def aclose(self) -> None:
            """Nothing is open."""

    there, answer = await check_host(place, Vipps(), SystemClock(), timeouts=Timeouts())
    assert answer is not None
    assert there.state is CheckState.OK
    assert re.fullmatch(r"https://apitest\.vipps\.no answers in \d+ ms, and its certificate is accepted", there.text)
    assert asked == ["https://apitest.vipps.no/"]


async def test_a_certificate_that_is_not_accepted() -> None:
    """Nothing is asked behind it: no key leaves for a host that cannot prove who it is."""
    async with host(tls=server_context("localhost")) as url:
        results = await found(url)
    assert results["host"].state is CheckState.FAILED
    assert "the TLS certificate of localhost" in results["host"].text
    assert "was not accepted" in results["host"].text
    assert "SSL_CERT_FILE" in results["host"].advice
    assert results["token"].state is CheckState.NOT_CHECKED


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("the proxy refused a tunnel to h:443 (it said 407)", "wants a user and a password"),
        ("could not look up h:443: name or service not known", "name server"),
        ("no connection to h:40700 within 5 s", "firewall"),
    ],
)
def test_advice_by_cause(message: str, words: str) -> None:
    """What to do follows from what went wrong."""
    assert words in _advice(message)


async def test_a_proxy_that_is_not_there(sandbox: Sandbox) -> None:
    """The doctor goes through VIPPS_PROXY, and neither its password nor its user is shown."""
    port = dead_port()
    results = await found(sandbox.url, {"VIPPS_PROXY": f"http://canary:canary@127.0.0.1:{port}"})
    assert "through the proxy of VIPPS_PROXY" in results["environment"].text
    assert results["host"].state is CheckState.FAILED
    assert f"could not connect to the proxy 127.0.0.1:{port}" in results["host"].text
    assert "VIPPS_PROXY" in results["host"].advice


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_is_set_and_not_used(name: str) -> None:
    """What other programs go by is no secret rule: the doctor says that a session does not, and how it would."""
    proxy = {name: "http://canary:canary@proxy:3128"}
    result, place = check_environment(proxy)
    assert place is not None
    assert result.state is CheckState.WARNING
    assert f"{name} is set, but a session does not go by it" in result.text
    assert "trust_env=True" in result.advice
    assert "canary" not in f"{result}"
    for quiet in ({"VIPPS_PROXY": "http://proxy:1"}, {"NO_PROXY": "apitest.vipps.no"}, {"no_proxy": "*"}):
        assert check_environment(proxy | quiet)[0].state is CheckState.OK
    assert check_environment(proxy | {"VIPPS_BASE_URL": "http://127.0.0.1:1"})[0].state is CheckState.OK


async def test_a_proxy_that_is_none(sandbox: Sandbox) -> None:
    """A malformed VIPPS_PROXY is named, and not shown."""
    results = await found(sandbox.url, {"VIPPS_PROXY": "socks5://canary"})
    assert results["settings"].state is CheckState.FAILED
    assert "VIPPS_PROXY must be the URL of an http or https proxy" in results["settings"].text


async def test_a_host_that_breaks_off() -> None:
    """A connection was made, and that is told; no usable answer came."""

    async def hang_up(connection: Connection) -> None:
        await connection.read_request()

    async with raw_server(hang_up) as server:
        results = await found(server.url)
    assert results["host"].state is CheckState.FAILED
    assert results["host"].text.startswith("a connection was made, but ")


async def test_a_host_in_trouble() -> None:
    """HTTP 503 on its front page is a warning, with the advice to wait."""
    async with host({"/": (503, b"")}) as url:
        results = await found(url)
    assert results["host"].state is CheckState.WARNING
    assert "HTTP 503: it is in trouble" in results["host"].text


@pytest.mark.parametrize("told", [b"<html>", b"[]", b'{"now": 1, "and": 2}'])
async def test_a_host_that_is_neither_vipps_nor_a_sandbox(told: bytes) -> None:
    """A warning: VIPPS_BASE_URL leads somewhere else."""
    async with host({"/sandbox/clock": (200, told)}) as url:
        results = await found(url)
    assert results["host"].state is CheckState.WARNING
    assert "it is neither Vipps nor the embedded sandbox" in results["host"].text
    assert results["host"].facts["sandbox"] is False


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [
        (0, CheckState.OK, "agrees with the host's within 1 s"),
        (3, CheckState.OK, "agrees"),
        (20, CheckState.WARNING, "s ahead of the host's"),
        (-20, CheckState.WARNING, "s behind the host's"),
        (3600, CheckState.FAILED, "s ahead of the host's"),
        (-3600, CheckState.FAILED, "s behind the host's"),
    ],
)
async def test_the_local_clock(sandbox: Sandbox, ahead: float, state: CheckState, words: str) -> None:
    """Some seconds are nothing, more is a warning, more than a minute a failure."""
    result = (await found(sandbox.url, ahead=ahead))["clock"]
    assert result.state is state
    assert words in result.text
    assert bool(result.advice) == (state is not CheckState.OK)
    seconds = result.facts["seconds_ahead"]
    assert isinstance(seconds, float)
    assert abs(seconds - ahead) < 3


@pytest.mark.parametrize("date", [None, "yesterday"])
async def test_a_host_that_tells_no_time(date: str | None) -> None:
    """Without a Date that can be read the clock is in doubt, and nothing breaks."""
    async with host(date=date) as url:
        assert (await found(url))["clock"].state is CheckState.WARNING


async def test_a_date_without_a_zone_is_utc() -> None:
    """HTTP knows GMT only."""
    async with host(date=f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} -0000") as url:
        assert (await found(url))["clock"].state is CheckState.OK


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["VIPPS_CLIENT_ID", "VIPPS_CLIENT_SECRET", "VIPPS_SUBSCRIPTION_KEY"])
async def test_a_wrong_key(sandbox: Sandbox, name: str) -> None:
    """No token is given: the reason and what to do; the sales unit cannot be asked about then.

    A sandbox that was not meant may listen at that port: its keys, or another URL, are what is wrong.
    """
    results = await found(sandbox.url, {name: "canary-of-another-shop"})
    assert results["settings"].state is CheckState.OK
    assert results["token"].state is CheckState.FAILED
    assert results["token"].text.startswith("no token was given: ")
    assert results["token"].advice.startswith("set the keys that this sandbox takes")
    assert "if you mean another sandbox, VIPPS_BASE_URL names the wrong one" in results["token"].advice
    assert results["sales unit"].state is CheckState.NOT_CHECKED


async def test_a_token_that_is_not_accepted(sandbox: Sandbox) -> None:
    """A token is given, and refused with the question: the sales unit fails."""
    sandbox.faults.script("details", *[Fault.TOKEN_EXPIRED_401] * 4)
    results = await found(sandbox.url)
    assert states(results, "token", "sales unit") == [CheckState.OK, CheckState.FAILED]
    assert "asking ecom for merchant serial number 123456" in results["sales unit"].text
    assert results["sales unit"].advice


@pytest.mark.parametrize(("lifetime", "state"), [(30, CheckState.WARNING), (86_400 + 1_800, CheckState.OK)])
async def test_how_long_a_token_is_valid(lifetime: int, state: CheckState) -> None:
    """It is told; one that ends at once is a warning."""
    async with Sandbox(token_lifetime=lifetime) as sandbox:
        result = (await found(sandbox.url))["token"]
    assert result.state is state
    assert result.facts["seconds_valid"] == lifetime
    assert ("valid for 30 s only" if state is CheckState.WARNING else "valid for 24 h 30 min") in result.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"access_token": "t"}, "but not for how long it is valid"),
        ({"access_token": "t", "expires_on": "1"}, "but valid for -"),
    ],
)
async def test_a_token_of_which_little_is_told(answer: dict[str, str], words: str) -> None:
    """Without a lifetime, or with one that is over by the local clock: a warning."""
    async with host({"/accesstoken": (200, orjson.dumps(answer))}) as url:
        result = (await found(url))["token"]
    assert result.state is CheckState.WARNING
    assert words in result.text


@pytest.mark.parametrize(("status", "words"), [(404, "VIPPS_BASE_URL"), (503, "status page"), (429, "wait a minute")])
async def test_no_advice_about_a_payment_where_there_is_none(status: int, words: str) -> None:
    """What another host answers to the token request is no reason to look a payment up."""
    async with host({"/accesstoken": (status, b"{}")}) as url:
        result = (await found(url))["token"]
    assert result.state is CheckState.FAILED
    assert words in result.advice
    assert "payment" not in result.advice


async def test_somebody_who_knows_every_order() -> None:
    """An order that cannot exist is answered as if it did: that is not Vipps."""
    token = orjson.dumps({"access_token": "t", "expires_in": "3600"})
    details = orjson.dumps({"transactionLogHistory": []})
    async with host({"/accesstoken": (200, token), "/ecomm": (200, details)}) as url:
        result = (await found(url))["sales unit"]
    assert result.state is CheckState.WARNING
    assert "it is not Vipps that answers so" in result.advice


def test_the_authority_of_these_tests_is_known_here_only() -> None:
    """What the certificate test rests on: the machine does not trust our own authority."""
    ours = ssl.PEM_cert_to_DER_cert(authority().cert_pem.bytes().decode())
    assert ours not in ssl.create_default_context().get_ca_certs(binary_form=True)

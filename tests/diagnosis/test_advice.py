"""Below each finding about a setting stands what to do about that setting, and about no other."""

from __future__ import annotations

import pytest

from tests.diagnosis.checked import ACCEPTED, KEYS, found
from tests.support.rows import each_row
from vipps_async.diagnosis.settings import check_environment, check_settings
from vipps_async.sandbox import Fault, SandboxSettings
from vipps_async.testing import Sandbox

ALL = (*KEYS, "VIPPS_PROXY", "VIPPS_SYSTEM_NAME", "VIPPS_SYSTEM_PLUGIN_VERSION", "VIPPS_ENVIRONMENT", "VIPPS_BASE_URL")


@each_row(
    ("name", "value", "advice"),
    [
        *((name, "", f"set {name} to what the Vipps portal shows") for name in KEYS),
        ("VIPPS_CLIENT_ID", "canary ", "copy VIPPS_CLIENT_ID anew"),
        ("VIPPS_CLIENT_SECRET", "canary\nx", "copy VIPPS_CLIENT_SECRET anew"),
        ("VIPPS_SUBSCRIPTION_KEY", "canæry-canary", "copy VIPPS_SUBSCRIPTION_KEY anew"),
        ("VIPPS_MERCHANT_SERIAL_NUMBER", "MSN 123456", "set VIPPS_MERCHANT_SERIAL_NUMBER to the digits"),
        ("VIPPS_PROXY", "nonsense", "set VIPPS_PROXY to a URL such as http://proxy.example.com:3128, or leave it out"),
        ("VIPPS_SYSTEM_NAME", "x" * 31, "correct VIPPS_SYSTEM_NAME, or leave it out"),
        ("VIPPS_SYSTEM_PLUGIN_VERSION", "x" * 31, "correct VIPPS_SYSTEM_PLUGIN_VERSION, or leave it out"),
        ("VIPPS_CLIENT_SECRET", "'canary-secret'", "take the quotation marks away"),
        ("VIPPS_CLIENT_SECRET", "short", "see whether it was copied whole"),
        ("VIPPS_ENVIROMENT", "test", "rename the variable, or remove it"),
        ("VIPPS_JOURNL", "x", "rename the variable, or remove it"),
    ],
)
def test_the_advice_fits_the_setting(name: str, value: str, advice: str) -> None:
    """Missing, malformed or like a slip: each setting has advice of its own, without its value."""
    result, _ = check_settings(KEYS | {name: value})
    assert result.advice.startswith(advice)
    assert [other for other in ALL if other != name and other in result.advice] == []
    assert not value or value not in result.text + result.advice


@pytest.mark.parametrize(
    "name", ["VIPPS_BATCH_DSN", "VIPPS_ENV_FILE", "VIPPS_JOURNAL", "VIPPS_JOURNAL_DSN", "VIPPS_JOURNAL_SCHEMA"]
)
def test_what_the_command_line_reads_is_no_slip(name: str) -> None:
    """Variables that only commands read are known."""
    assert check_settings(KEYS | {name: "x"})[0].advice == ""


@pytest.mark.parametrize(
    ("further", "advice"),
    [
        ({"VIPPS_ENVIRONMENT": "prod"}, "set it to test or production"),
        ({"VIPPS_BASE_URL": "http://example.com"}, "correct it, or leave it out to talk to Vipps"),
        (
            {"VIPPS_BASE_URL": "https://api.vipps.no"},
            "leave VIPPS_BASE_URL out; set VIPPS_ENVIRONMENT to the environment",
        ),
        (
            {"VIPPS_ENVIRONMENT": "production", "VIPPS_BASE_URL": "https://apitest.vipps.no"},
            "leave VIPPS_BASE_URL out; set VIPPS_ENVIRONMENT to the environment",
        ),
        (
            {"VIPPS_ENVIRONMENT": "production", "VIPPS_BASE_URL": "https://example.com"},
            "unset VIPPS_BASE_URL; if example.com is yours",
        ),
    ],
)
def test_the_advice_fits_the_environment(further: dict[str, str], advice: str) -> None:
    """An environment that does not exist, a host that is none, and either one of the other environment."""
    assert check_environment(KEYS | further)[0].advice.startswith(advice)


async def test_keys_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Vipps: the advice names the variables that were asked about, the sales unit, and the environment."""

    async def is_vipps(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr("vipps_async.diagnosis.host._is_sandbox", is_vipps)
    async with Sandbox(settings=SandboxSettings(credentials=[ACCEPTED])) as sandbox:
        token = (await found(sandbox.url, {"VIPPS_CLIENT_SECRET": "canary-other"}))["token"]
        sandbox.faults.script("details", *[Fault.TOKEN_EXPIRED_401] * 4)
        unit = (await found(sandbox.url))["sales unit"]
    assert (
        "VIPPS_CLIENT_ID, VIPPS_CLIENT_SECRET and VIPPS_SUBSCRIPTION_KEY: all of them of sales unit 123456"
        in token.advice
    )
    assert "in the test environment (VIPPS_ENVIRONMENT)" in token.advice
    assert unit.advice.startswith("check VIPPS_SUBSCRIPTION_KEY, and that 123456 (VIPPS_MERCHANT_SERIAL_NUMBER)")

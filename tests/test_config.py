"""Settings: what is taken, what is refused, and that nothing secret shows."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.support.rows import each_row
from vipps_async import config
from vipps_async._version import __version__
from vipps_async.config import Credentials, Environment, RetryPolicy, Settings, SystemInfo, Timeouts
from vipps_async.errors import ConfigurationError, InvalidInputError

KEYS = {
    "client_id": "canary-id",
    "client_secret": "canary-secret",
    "subscription_key": "canary-key",
    "merchant_serial_number": "123456",
}
ENV = {f"VIPPS_{name.upper()}": value for name, value in KEYS.items()}


def build(base_url: str | None = None, environment: Environment = Environment.TEST) -> Settings:
    """Build settings with a host."""
    return Settings.build(
        Credentials(**KEYS), environment=environment, base_url=base_url, timeouts=None, retry=None, system=None
    )


# --- credentials


def test_no_secret_in_a_repr() -> None:
    """Credentials and settings show the serial number, and no key."""
    for shown in (repr(Credentials(**KEYS)), repr(build())):
        assert "123456" in shown
        assert "canary" not in shown


@each_row("name", ["client_id", "client_secret", "subscription_key"])
@each_row("value", ["", " ", " a", "a ", "a\n", "a\r\nX-Evil: 1", "a\x00", "nøkkel", "a\tb", 5, None, b"a"])
def test_keys_that_cannot_stand_in_a_header(name: str, value: Any) -> None:
    """A key that is empty, or holds line breaks, edge spaces or other than ASCII, is refused without being shown."""
    with pytest.raises(InvalidInputError, match=f"^{name} must be printable ASCII") as caught:
        Credentials(**(KEYS | {name: value}))
    assert caught.value.value is None


@each_row("value", ["123", "12345678901", "12345a", "12345\n", " 12345", "١٢٣٤٥", "", 123456, None])
def test_serial_numbers_that_are_none(value: Any) -> None:
    """A serial number is a text of four to ten digits, and nothing else: no trailing newline, no number."""
    with pytest.raises(InvalidInputError, match="a string of 4 to 10 digits"):
        Credentials(**(KEYS | {"merchant_serial_number": value}))


def test_serial_numbers() -> None:
    """Five and six digits will do."""
    for value in ("12345", "123456"):
        assert Credentials(**(KEYS | {"merchant_serial_number": value})).merchant_serial_number == value


# --- time-outs and retrying


def test_defaults() -> None:
    """The defaults are the ones that the documentation names."""
    assert (Timeouts().connect, Timeouts().read, Timeouts().total) == (5.0, 15.0, 30.0)
    policy = RetryPolicy()
    assert (policy.attempts, policy.deadline, policy.base, policy.throttled_base, policy.cap) == (
        4,
        60.0,
        0.5,
        2.0,
        8.0,
    )
    assert (policy.budget, policy.retry_cost, policy.throttled_cost, policy.success_refill) == (500, 14, 5, 1)


@each_row("value", [0, -1, 0.0, math.inf, math.nan, True, "5", None])
@each_row(
    ("cls", "name"),
    [
        *((Timeouts, name) for name in ("connect", "read", "total")),
        *((RetryPolicy, name) for name in ("deadline", "base", "throttled_base", "cap")),
        *((RetryPolicy, name) for name in ("budget", "retry_cost", "throttled_cost", "success_refill", "attempts")),
    ],
)
def test_numbers_that_make_no_sense(cls: type[Any], name: str, value: object) -> None:
    """Spans and sizes are positive, finite numbers; the error names the one that is not."""
    with pytest.raises(InvalidInputError, match=f"^{name} must be a "):
        cls(**{name: value})


@pytest.mark.parametrize("name", ["budget", "retry_cost", "throttled_cost", "success_refill", "attempts"])
def test_counts_are_whole(name: str) -> None:
    """What is counted is a whole number."""
    with pytest.raises(InvalidInputError, match="whole number"):
        RetryPolicy(**{name: 1.5})  # type: ignore[arg-type]  # the point of the test


def test_at_most_four_attempts() -> None:
    """One to four attempts: Vipps takes five a minute, and one is left for a person."""
    assert [RetryPolicy(attempts=number).attempts for number in (1, 4)] == [1, 4]
    with pytest.raises(InvalidInputError, match="from 1 to 4, not 5"):
        RetryPolicy(attempts=5)


# --- what calls itself a system


@each_row("name", ["name", "version", "plugin_name", "plugin_version"])
@each_row("value", ["", "x" * 31, "a\nb", "a\r", "a\n", "æ", " a", 5])
def test_system_values_that_cannot_stand_in_a_header(name: str, value: Any) -> None:
    """A system's name or version has at most 30 printable characters and no line break."""
    with pytest.raises(InvalidInputError, match=f"^system {name} must be 1 to 30"):
        SystemInfo(**{name: value})


def test_system_values() -> None:
    """Thirty characters with inner spaces will do, and the package names itself unless told otherwise."""
    assert SystemInfo(name="a" * 13 + " shop " + "b" * 11).name is not None
    assert SystemInfo() == SystemInfo(name="vipps-async", version=__version__)


# --- hosts


@each_row(
    ("url", "expected"),
    [
        (None, "https://apitest.vipps.no"),
        ("https://apitest.vipps.no", "https://apitest.vipps.no"),
        ("https://apitest.vipps.no/", "https://apitest.vipps.no"),
        ("HTTPS://proxy.example:8443", "https://proxy.example:8443"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://localhost:8787/", "http://localhost:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("https://host.example?", "https://host.example"),
        ("https://host.example#", "https://host.example"),
        ("https://host.example/?#", "https://host.example"),
    ],
)
def test_hosts(url: str | None, expected: str) -> None:
    """A host is https, or http on this machine, and paths can be put behind it as it stands."""
    assert expected == build(url).base_url


@each_row(
    "url",
    [
        "",
        "apitest.vipps.no",
        "http://apitest.vipps.no",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "ftp://host.example",
        "https://",
        "https:///path",
        "https://host.example/path",
        "https://host.example?x=1",
        "https://host.example#x",
        "https://host.example:99999",
        "https://host.example:port",
        "https://[::1",
        "https://host.example\n",
        "https://host.example\r\nX-Evil: 1",
        "https://host .example",
        " https://host.example",
        "https://høst.example",
        5,
    ],
)
def test_hosts_that_are_none(url: Any) -> None:
    """Anything but a plain https host, or http on this machine, is refused."""
    with pytest.raises(InvalidInputError, match=r"^base_url must be an https URL"):
        build(url)


@pytest.mark.parametrize("url", ["https://user:canary@host.example", "https://canary@host.example"])
def test_a_host_with_a_password_is_not_shown(url: str) -> None:
    """A URL with a user or password is refused, and the password is not repeated."""
    with pytest.raises(InvalidInputError) as caught:
        build(url)
    assert "canary" not in f"{caught.value!s} {caught.value.value}"


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        (Environment.TEST, "https://api.vipps.no"),
        (Environment.TEST, "https://API.Vipps.no:443/"),
        (Environment.TEST, "https://api.vipps.no."),
        (Environment.PRODUCTION, "https://apitest.vipps.no"),
    ],
)
def test_test_and_production_are_not_mixed_up(environment: Environment, url: str) -> None:
    """The host of the other environment is refused, so that a test never reaches production."""
    with pytest.raises(ConfigurationError, match=f"environment is {environment.value}, but base_url is the host of"):
        build(url, environment)


def test_production() -> None:
    """Production is chosen by name, and has its own host."""
    assert build(environment=Environment.PRODUCTION).base_url == "https://api.vipps.no"


def test_an_environment_is_an_environment() -> None:
    """A text is no environment: a misspelt one must not mean the default."""
    with pytest.raises(InvalidInputError, match=r"^environment must be an Environment"):
        build(environment="production")  # type: ignore[arg-type]  # the point of the test


# --- from the environment


def test_from_the_environment() -> None:
    """The four keys are read, and everything else has its default."""
    settings = Settings.from_env(ENV)
    assert settings == build()
    assert settings.credentials == Credentials(**KEYS)


def test_what_is_missing_is_named_all_at_once() -> None:
    """All variables that are missing or empty are named, and no value is."""
    with pytest.raises(ConfigurationError, match="VIPPS_CLIENT_SECRET, VIPPS_MERCHANT_SERIAL_NUMBER") as caught:
        Settings.from_env({**ENV, "VIPPS_CLIENT_SECRET": "", "VIPPS_MERCHANT_SERIAL_NUMBER": ""})
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="VIPPS_CLIENT_ID"):
        Settings.from_env({})


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Not one round of corrections after the other; no secret value is shown."""
    wrong = {
        "VIPPS_CLIENT_ID": "",
        "VIPPS_CLIENT_SECRET": "canary\n",
        "VIPPS_MERCHANT_SERIAL_NUMBER": "abc",
        "VIPPS_ENVIRONMENT": "live",
        "VIPPS_PROXY": "socks5://canary",
        "VIPPS_SYSTEM_NAME": "x" * 31,
    }
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({**ENV, **wrong})
    told = str(caught.value)
    for words in (
        "VIPPS_CLIENT_ID",
        "client_secret",
        "merchant_serial_number",
        "VIPPS_ENVIRONMENT",
        "proxy",
        "system name",
    ):
        assert words in told
    assert "set it to test or production" in told
    assert "canary" not in told
    with pytest.raises(ConfigurationError, match=r"base_url.*system name"):
        Settings.from_env({**ENV, "VIPPS_BASE_URL": "ftp://x", "VIPPS_SYSTEM_NAME": "x" * 31})


def test_the_environment_in_the_environment() -> None:
    """Test is the default, production must be said, and a misspelt word is neither."""
    assert Settings.from_env({**ENV, "VIPPS_ENVIRONMENT": ""}).environment is Environment.TEST
    assert Settings.from_env({**ENV, "VIPPS_ENVIRONMENT": "production"}).environment is Environment.PRODUCTION
    for word in ("prod", "Production", "production "):
        with pytest.raises(ConfigurationError, match="VIPPS_ENVIRONMENT is"):
            Settings.from_env({**ENV, "VIPPS_ENVIRONMENT": word})


def test_the_host_in_the_environment() -> None:
    """A sandbox's host is read, and checked like any other."""
    assert Settings.from_env({**ENV, "VIPPS_BASE_URL": "http://127.0.0.1:8787"}).base_url == "http://127.0.0.1:8787"
    with pytest.raises(InvalidInputError):
        Settings.from_env({**ENV, "VIPPS_BASE_URL": "http://elsewhere.example"})


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, SystemInfo()),
        ({"VIPPS_SYSTEM_NAME": "shop"}, SystemInfo(name="shop", version=None)),
        ({"VIPPS_SYSTEM_VERSION": "2"}, SystemInfo(name=None, version="2")),
        ({"VIPPS_SYSTEM_PLUGIN_NAME": "plug"}, SystemInfo(plugin_name="plug")),
        (
            {
                "VIPPS_SYSTEM_NAME": "shop",
                "VIPPS_SYSTEM_VERSION": "2",
                "VIPPS_SYSTEM_PLUGIN_NAME": "plug",
                "VIPPS_SYSTEM_PLUGIN_VERSION": "3",
            },
            SystemInfo(name="shop", version="2", plugin_name="plug", plugin_version="3"),
        ),
    ],
)
def test_the_system_in_the_environment(variables: dict[str, str], expected: SystemInfo) -> None:
    """What is set is sent; another system's name is never paired with this package's own version."""
    assert expected == Settings.from_env({**ENV, **variables}).system


def test_arguments_take_precedence() -> None:
    """What is handed over stands, whatever the environment says."""
    system, retry, timeouts = SystemInfo(name="mine"), RetryPolicy(attempts=1), Timeouts(total=1.0)
    settings = Settings.from_env({**ENV, "VIPPS_SYSTEM_NAME": "shop"}, system=system, retry=retry, timeouts=timeouts)
    assert (settings.system, settings.retry, settings.timeouts) == (system, retry, timeouts)


def test_everything_public_is_listed() -> None:
    """What the module offers is what its __all__ names."""
    assert set(config.__all__) == {
        "Credentials",
        "CredentialsSource",
        "Environment",
        "RetryPolicy",
        "Settings",
        "SystemInfo",
        "Timeouts",
    }


# --- proxy


@pytest.mark.parametrize("url", ["http://proxy:3128", "https://user:canary@proxy.example.com", "http://[::1]:8080"])
def test_a_proxy(url: str) -> None:
    """VIPPS_PROXY names an http or https proxy; no repr shows it, for it may hold a password."""
    settings = Settings.from_env({**ENV, "VIPPS_PROXY": url})
    assert settings.proxy == url
    assert url not in repr(settings)
    assert Settings.from_env({**ENV, "VIPPS_PROXY": ""}).proxy is None


@pytest.mark.parametrize(
    "url", ["canary", "canary:3128", "socks5://canary", "http://", "http://canary:0", "http://canary:x"]
)
def test_no_proxy(url: str) -> None:
    """Anything else is refused, and not shown."""
    with pytest.raises(InvalidInputError, match=r"^proxy must be the URL of an http or https proxy") as caught:
        Settings.from_env({**ENV, "VIPPS_PROXY": url})
    assert "canary" not in f"{caught.value!r}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, True),
        ("https://apitest.vipps.no:443", True),
        ("https://APITEST.vipps.no.", True),
        ("http://127.0.0.1:8787", False),
        ("https://example.com", False),
    ],
)
def test_whether_it_is_vipps_itself(url: str | None, expected: object) -> None:
    """Vipps' own host is that however it is written."""
    assert build(url).is_vipps is expected

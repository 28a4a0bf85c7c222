"""The settings of a session: credentials, environment, time-outs, retry policy and system headers."""

from __future__ import annotations

import contextlib
import enum
import math
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from vipps_async._version import __version__
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.input_rules import HEADER_VALUE, LOOPBACK, VISIBLE_ASCII, check_merchant_serial_number

__all__ = ["Credentials", "CredentialsSource", "Environment", "RetryPolicy", "Settings", "SystemInfo", "Timeouts"]


class Environment(enum.Enum):
    """Which Vipps to talk to."""

    TEST = "test"
    """The test environment, with keys of its own and play money."""
    PRODUCTION = "production"
    """The real one."""

    @property
    def base_url(self) -> str:
        """The host of this environment, without a trailing slash."""
        return _HOSTS[self]


_HOSTS = {
    Environment.TEST: "https://apitest.vipps.no",
    Environment.PRODUCTION: "https://api.vipps.no",
}


def _secret_header(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
        raise InvalidInputError(attribute.name, "printable ASCII text without line breaks", secret=True)


def _merchant_serial_number(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    check_merchant_serial_number(value)


@frozen(kw_only=True)
class Credentials:
    """The four values that the Vipps portal gives for a sales unit. The repr shows the serial number only.

    Raises:
        InvalidInputError: if one is empty or could not stand in a header, or the serial number is not 4 to 10 digits.
    """

    client_id: str = field(repr=False, validator=_secret_header)
    """`client_id` of the sales unit."""
    client_secret: str = field(repr=False, validator=_secret_header)
    """`client_secret` of the sales unit; sent only when fetching a token."""
    subscription_key: str = field(repr=False, validator=_secret_header)
    """`Ocp-Apim-Subscription-Key`."""
    merchant_serial_number: str = field(validator=_merchant_serial_number)
    """The MSN, as a string: Vipps answers an integer with HTTP 500."""


class CredentialsSource(Protocol):
    """A function, plain or async, that returns the credentials as they are now. It must not block the event loop."""

    def __call__(self) -> Credentials | Awaitable[Credentials]:
        """Return the credentials."""
        ...


def _positive(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InvalidInputError(attribute.name, "a positive, finite number", value=value)


def _positive_whole(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise InvalidInputError(attribute.name, "a positive whole number", value=value)


@frozen(kw_only=True)
class Timeouts:
    """How long one attempt may take, in seconds.

    Vipps advises at least 1 s to connect and at least 5 s to read (API guide, time-outs).
    """

    connect: float = field(default=5.0, validator=_positive)
    """Until the connection stands, the TLS handshake included. Waiting for a free one of our own pool is not: that may
    last until the call's deadline.
    """
    read: float = field(default=15.0, validator=_positive)
    """The longest silence while waiting for the answer; its headers count as one piece."""
    total: float = field(default=30.0, validator=_positive)
    """The whole attempt."""


def _attempts(_instance: object, attribute: Attribute[Any], value: object) -> None:
    # The vendor takes five captures a minute for one order: four attempts leave room for one by hand.
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4:
        raise InvalidInputError(attribute.name, "a whole number from 1 to 4", value=value)


@frozen(kw_only=True)
class RetryPolicy:
    """How a failed attempt is repeated. What may be repeated at all is not up to this policy."""

    attempts: int = field(default=4, validator=_attempts)
    """Attempts in all, the first included."""
    deadline: float = field(default=60.0, validator=_positive)
    """Seconds that one call may take in all: token, attempts, pauses and asking details."""
    base: float = field(default=0.5, validator=_positive)
    """The pause before attempt n+1 is drawn from 0 to min(cap, base · 2ⁿ⁻¹) seconds: full jitter."""
    throttled_base: float = field(default=2.0, validator=_positive)
    """The same when Vipps said that it is asked too often."""
    cap: float = field(default=8.0, validator=_positive)
    """The longest pause that is drawn, in seconds. A `Retry-After` may ask for longer."""
    budget: int = field(default=500, validator=_positive_whole)
    """Size of the retry budget that all calls of a session share."""
    retry_cost: int = field(default=14, validator=_positive_whole)
    """What a retry takes from the budget ..."""
    throttled_cost: int = field(default=5, validator=_positive_whole)
    """... and a retry after being throttled, which puts less load on a server that works."""
    success_refill: int = field(default=1, validator=_positive_whole)
    """What a success at first try gives back."""


def _system_value(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or len(value) > 30 or not HEADER_VALUE.fullmatch(value):
        rule = "1 to 30 printable ASCII characters without line breaks"
        raise InvalidInputError(f"system {attribute.name}", rule, value=value)


#: Beyond some thousand years the end of a time is no date any more, in seconds.
_LONGEST_TIME = 10 * 365 * 86_400.0


@frozen(kw_only=True)
class SystemInfo:
    """What calls Vipps: sent as the four `Vipps-System-…` headers, at most 30 characters each."""

    name: str | None = field(default="vipps-async", validator=_system_value)
    """`Vipps-System-Name`: your shop system."""
    version: str | None = field(default=__version__, validator=_system_value)
    """`Vipps-System-Version`."""
    plugin_name: str | None = field(default=None, validator=_system_value)
    """`Vipps-System-Plugin-Name`: a plug-in of yours, if any."""
    plugin_version: str | None = field(default=None, validator=_system_value)
    """`Vipps-System-Plugin-Version`."""


def _checked_settle_after(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_TIME:
        raise InvalidInputError("settle_after", "a number of seconds above 0, at most ten years", value=value)
    return float(value)


def _checked_base_url(url: object, environment: Environment | None) -> str:
    rule = "an https URL without path, query or user (http only for loopback)"
    if not isinstance(url, str) or not VISIBLE_ASCII.fullmatch(url):
        raise InvalidInputError("base_url", rule, value=url)
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInputError("base_url", rule, value=url) from error
    loopback = parts.scheme == "http" and host in LOOPBACK
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
    if not host or not plain or not (parts.scheme == "https" or loopback):
        raise InvalidInputError("base_url", rule, value=None if "@" in url else url, secret="@" in url)
    for other, other_url in _HOSTS.items():
        # A dot at the end names the same host.
        if environment is None or other is environment:
            continue
        if host.rstrip(".") == urlsplit(other_url).hostname:
            raise ConfigurationError(
                f"environment is {environment.value}, but base_url is the host of {other.value}",
                advice="set environment to match the host, or leave base_url out",
            )
    # Put together anew: in "https://host?" and "https://host#" any path put behind it would be lost.
    return f"{parts.scheme}://{parts.netloc}"


def _checked_proxy(url: object) -> str:
    """Return the URL of a proxy. It may hold a password: the error does not show it."""
    if isinstance(url, str) and VISIBLE_ASCII.fullmatch(url):
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if usable:
            return url
    raise InvalidInputError("proxy", "the URL of an http or https proxy", secret=True)


def _split_credentials(
    credentials: object, merchant_serial_number: object
) -> tuple[Credentials | None, CredentialsSource | None, str]:
    if isinstance(credentials, Credentials):
        if merchant_serial_number not in {None, credentials.merchant_serial_number}:
            raise ConfigurationError(
                "merchant_serial_number is not that of the credentials",
                advice="leave it out; with partner keys for_merchant names other sales units",
            )
        return credentials, None, credentials.merchant_serial_number
    if not callable(credentials):
        raise InvalidInputError("credentials", "Credentials, or a function that returns them", secret=True)
    if merchant_serial_number is None:
        raise ConfigurationError(
            "credentials are a function, and the sales unit is not known",
            advice="give merchant_serial_number= as well: it is needed before the function is asked",
        )
    return None, cast("CredentialsSource", credentials), check_merchant_serial_number(merchant_serial_number)


@frozen(kw_only=True)
class Settings:
    """The settings of a session, checked."""

    #: None: `credentials_source` is called when they are needed.
    credentials: Credentials | None
    #: The sales unit.
    merchant_serial_number: str
    #: Asks for the credentials each time before a token is fetched; None: they stay as they are.
    credentials_source: CredentialsSource | None = field(default=None, repr=False)
    environment: Environment = Environment.TEST
    #: The host to talk to, without a trailing slash.
    base_url: str = ""
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    system: SystemInfo = SystemInfo()
    #: How long after an attempt began its request may still arrive, and its entry still appear, in seconds.
    settle_after: float = 86_400.0
    #: The proxy on the way there; None: none. It may hold a password, so that the repr leaves it out.
    proxy: str | None = field(default=None, repr=False)

    @property
    def is_vipps(self) -> bool:
        """Whether the host is Vipps' own, however it is written."""
        host = urlsplit(self.base_url).hostname or ""
        return host.rstrip(".") in {urlsplit(url).hostname for url in _HOSTS.values()}

    @classmethod
    def build(
        cls,
        credentials: Credentials | CredentialsSource,
        *,
        environment: Environment,
        base_url: str | None,
        timeouts: Timeouts | None,
        retry: RetryPolicy | None,
        system: SystemInfo | None,
        settle_after: float = 86_400.0,
        proxy: str | None = None,
        merchant_serial_number: str | None = None,
    ) -> Settings:
        """Check the parts against each other and fill in the defaults.

        Raises:
            InvalidInputError: `base_url` is no https URL (nor http on loopback), `proxy` no URL of a proxy, or
                `settle_after` no number of seconds above 0.
            ConfigurationError: the host belongs to the other environment, or the sales unit is not known.
        """
        fixed, source, msn = _split_credentials(credentials, merchant_serial_number)
        if not isinstance(environment, Environment):
            raise InvalidInputError("environment", "an Environment", value=environment)
        return cls(
            credentials=fixed,
            merchant_serial_number=msn,
            credentials_source=source,
            environment=environment,
            base_url=environment.base_url if base_url is None else _checked_base_url(base_url, environment),
            timeouts=timeouts or Timeouts(),
            retry=retry or RetryPolicy(),
            system=system or SystemInfo(),
            settle_after=_checked_settle_after(settle_after),
            proxy=None if proxy is None else _checked_proxy(proxy),
        )

    @classmethod
    def from_env(
        cls,
        env: Mapping[str, str],
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        system: SystemInfo | None = None,
    ) -> Settings:
        """Read the settings from `VIPPS_…` variables. The error names everything that is wrong with them.

        Raises:
            ConfigurationError: a variable is missing, `VIPPS_ENVIRONMENT` is neither test nor production, or several
                things are wrong.
            InvalidInputError: one value breaks a rule; the error names it.
        """
        found = problems_in(env, system=system)
        if len(found) == 1:
            raise found[0]
        if found:
            advice = "; ".join(dict.fromkeys(error.advice.rstrip(".") for error in found if error.advice))
            raise ConfigurationError("; ".join(error.message.rstrip(".") for error in found), advice=advice)
        return cls.build(
            Credentials(**{attribute: env[variable] for attribute, variable in _CREDENTIAL_VARIABLES.items()}),
            environment=_environment_from(env),
            base_url=env.get("VIPPS_BASE_URL") or None,
            timeouts=timeouts,
            retry=retry,
            system=system or _system_from_env(env),
            proxy=env.get("VIPPS_PROXY") or None,
        )


def problems_in(
    env: Mapping[str, str], *, system: SystemInfo | None = None
) -> list[ConfigurationError | InvalidInputError]:
    """Return all that is wrong with the `VIPPS_…` variables, in the order in which it is told.

    Args:
        env: the environment variables.
        system: what calls itself a system; None: the variables say it.
    """
    found: list[ConfigurationError | InvalidInputError] = []
    if missing := [variable for variable in _CREDENTIAL_VARIABLES.values() if not env.get(variable)]:
        advice = "set the keys of your sales unit (Vipps portal, section For developers)"
        found.append(ConfigurationError(f"not set in the environment: {', '.join(missing)}", advice=advice))
    for attribute, variable in _CREDENTIAL_VARIABLES.items():
        if value := env.get(variable):
            with _noted_in(found):
                Credentials(**{**_STAND_INS, attribute: value})
    environment = None
    with _noted_in(found):
        environment = _environment_from(env)
    if base_url := env.get("VIPPS_BASE_URL"):
        with _noted_in(found):
            _checked_base_url(base_url, environment)
    if proxy := env.get("VIPPS_PROXY"):
        with _noted_in(found):
            _checked_proxy(proxy)
    for attribute, variable in _SYSTEM_VARIABLES.items() if system is None else ():
        with _noted_in(found):
            SystemInfo(**{attribute: env.get(variable) or None})
    return found


@contextlib.contextmanager
def _noted_in(found: list[ConfigurationError | InvalidInputError]) -> Iterator[None]:
    try:
        yield
    except (ConfigurationError, InvalidInputError) as error:
        found.append(error)


def _environment_from(env: Mapping[str, str]) -> Environment:
    name = env.get("VIPPS_ENVIRONMENT") or Environment.TEST.value
    try:
        return Environment(name)
    except ValueError as error:
        raise ConfigurationError(f"VIPPS_ENVIRONMENT is {name!r}", advice="set it to test or production") from error


#: The variables of the fields of `Credentials`, all of which must be set, and of `SystemInfo`.
_CREDENTIAL_VARIABLES = {
    name: f"VIPPS_{name.upper()}"
    for name in ("client_id", "client_secret", "subscription_key", "merchant_serial_number")
}
_SYSTEM_VARIABLES = {
    name: f"VIPPS_SYSTEM_{name.upper()}" for name in ("name", "version", "plugin_name", "plugin_version")
}
#: Valid stand-ins: to check one value at a time, the others come from here.
_STAND_INS = dict.fromkeys(_CREDENTIAL_VARIABLES, "0000")


def _system_from_env(env: Mapping[str, str]) -> SystemInfo:
    # Only what is set: a name without a version must not be paired with this package's own version.
    if not any(env.get(name) for name in ("VIPPS_SYSTEM_NAME", "VIPPS_SYSTEM_VERSION")):
        own = SystemInfo()
        name, version = own.name, own.version
    else:
        name, version = env.get("VIPPS_SYSTEM_NAME") or None, env.get("VIPPS_SYSTEM_VERSION") or None
    return SystemInfo(
        name=name,
        version=version,
        plugin_name=env.get("VIPPS_SYSTEM_PLUGIN_NAME") or None,
        plugin_version=env.get("VIPPS_SYSTEM_PLUGIN_VERSION") or None,
    )

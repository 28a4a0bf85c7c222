"""Checks the `VIPPS_…` variables one by one: names each that is missing, malformed or misspelt, never its value."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from attrs import evolve, frozen

from vipps_async.apis import APIS, IN_OTHER_CURRENCIES
from vipps_async.config import Credentials, Environment, Settings, problems_in
from vipps_async.core.redaction import SHORTEST_SECRET
from vipps_async.diagnosis.result import CheckResult, CheckState
from vipps_async.errors import ConfigurationError, InvalidInputError

_NUMBER = "VIPPS_MERCHANT_SERIAL_NUMBER"
_SECRETS = ("VIPPS_CLIENT_ID", "VIPPS_CLIENT_SECRET", "VIPPS_SUBSCRIPTION_KEY")
#: All of them must be set; of the system's any may be.
_KEYS = (*_SECRETS, _NUMBER)
_SYSTEM = tuple(f"VIPPS_SYSTEM_{name}" for name in ("NAME", "VERSION", "PLUGIN_NAME", "PLUGIN_VERSION"))
_ENVIRONMENT, _BASE_URL, PROXY = "VIPPS_ENVIRONMENT", "VIPPS_BASE_URL", "VIPPS_PROXY"
#: Every variable that a session reads, and those that the command line alone reads.
KNOWN = (*_KEYS, _ENVIRONMENT, _BASE_URL, PROXY, *_SYSTEM)
_API = "VIPPS_API"
_OF_JOURNAL = ("VIPPS_JOURNAL", "VIPPS_JOURNAL_DSN", "VIPPS_JOURNAL_SCHEMA")
_OF_COMMANDS = (_API, "VIPPS_BATCH_DSN", "VIPPS_ENV_FILE", *_OF_JOURNAL)
#: Stand in for what is not looked at just now; they keep every rule and open nothing.
_STAND_INS = {"client_id": "-", "client_secret": "-", "subscription_key": "-", "merchant_serial_number": "000000"}
#: How alike two names are that are taken for one name and its misspelling: one letter in twelve may be wrong.
_ALIKE = 0.9
_QUOTES = ("'", '"')


@frozen
class Place:
    """Where a session would go."""

    environment: Environment
    base_url: str
    #: Whether keys and questions may be sent there: in production to Vipps, or to a host that was named.
    is_allowed: bool = True

    @property
    def is_vipps(self) -> bool:
        """Whether it is Vipps' own host."""
        return self.base_url == self.environment.base_url

    @property
    def host(self) -> str:
        """The host as journals name it."""
        parts = urlsplit(self.base_url)
        # A dot at the end names the same host.
        is_vipps = (parts.hostname or "").rstrip(".") == urlsplit(self.environment.base_url).hostname
        return "vipps" if is_vipps else parts.netloc


def check_settings(env: Mapping[str, str]) -> tuple[CheckResult, Settings | None]:
    """Check that what must be set is, and that what is set keeps its rule.

    Args:
        env: the environment variables.

    Returns:
        The result, and the settings that the keys can be tried with: what a malformed name of the system, or of an API,
        has no say in. None: there are none.
    """
    missing = [name for name in _KEYS if not env.get(name)]
    broken = {name: rule for name, rule in _broken_rules(env).items() if name != _BASE_URL}
    if env.get(_API) and env[_API] not in {*APIS, *IN_OTHER_CURRENCIES}:
        broken[_API] = f"one of {', '.join((*APIS, *IN_OTHER_CURRENCIES))}"
    violations = [*(f"{name} is not set" for name in missing), *(f"{name} must be {broken[name]}" for name in broken)]
    doubts = _doubts(env)
    facts = {
        "set": [name for name in KNOWN if env.get(name)],
        "missing": missing,
        "violations": violations,
        "doubts": [text for text, _ in doubts],
    }
    advices = [*_advice_on_missing(missing), *map(_advice_on_violation, broken), *(advice for _, advice in doubts)]
    state = CheckState.FAILED if violations else CheckState.WARNING if doubts else CheckState.OK
    told = [*violations, *facts["doubts"]] or [f"{', '.join(facts['set'])}: well-formed"]
    result = CheckResult(
        check="settings", state=state, text="; ".join(told), advice="; ".join(dict.fromkeys(advices)), facts=facts
    )
    try:
        return result, Settings.from_env({name: env[name] for name in env if name not in {*_SYSTEM} & {*broken}})
    except (ConfigurationError, InvalidInputError):
        # It is told above, or by `check_environment`.
        return result, None


def _broken_rules(env: Mapping[str, str]) -> dict[str, str]:
    """Return the rule of each variable that breaks its own. The rule alone: an error's text may quote the value."""
    errors = [error for error in problems_in(env) if isinstance(error, InvalidInputError)]
    return {f"VIPPS_{error.parameter.replace(' ', '_').upper()}": error.rule for error in errors}


def _doubts(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Say what looks like a slip, and what to do about it."""
    quoted = "take the quotation marks away, unless they are part of the value"
    doubts = [
        (f"{name} stands in quotation marks", quoted)
        for name in KNOWN
        if (value := env.get(name, ""))[:1] in _QUOTES and value[-1:] == value[:1]
    ]
    short = f"has fewer than {SHORTEST_SECRET} characters: it cannot be taken out of what errors and logs quote"
    doubts += [
        (f"{name} {short}", "see whether it was copied whole from the Vipps portal")
        for name in _SECRETS
        if 0 < len(env.get(name, "")) < SHORTEST_SECRET
    ]
    return doubts + [
        (f"{name} is not read: is {known} meant?", "rename the variable, or remove it")
        for name, known in _misspelt(env)
    ]


def _advice_on_missing(missing: list[str]) -> list[str]:
    if not missing:
        return []
    which = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    place = "in the environment, or in the file that VIPPS_ENV_FILE names"
    return [f"set {which} to what the Vipps portal shows for the sales unit (section For developers), {place}"]


def _advice_on_violation(name: str) -> str:
    if name == PROXY:
        return f"set {PROXY} to a URL such as http://proxy.example.com:3128, or leave it out"
    if name == _NUMBER:
        return f"set {_NUMBER} to the digits that the Vipps portal shows for the sales unit, and nothing else"
    if name in _KEYS:
        return f"copy {name} anew from the Vipps portal (section For developers): nothing before, behind or within it"
    return f"correct {name}, or leave it out"


def _misspelt(env: Mapping[str, str]) -> list[tuple[str, str]]:
    known = (*KNOWN, *_OF_COMMANDS)
    strange = sorted(name for name in env if name.startswith("VIPP") and name not in known)
    alike = [(name, difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)) for name in strange]
    return [(name, found[0]) for name, found in alike if found]


def proxy_of(env: Mapping[str, str]) -> str | None:
    """Return the proxy that a session would go through; None: there is none, or what is set names none."""
    return None if PROXY in _broken_rules(env) else env.get(PROXY) or None


def _unused_proxy(env: Mapping[str, str], base_url: str) -> str:
    """Name the variable of a proxy that other programs would go through to this host, and a session does not."""
    parts = urlsplit(base_url)
    names = [f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper()]
    found = next((name for name in names if env.get(name)), "")
    host = parts.hostname or ""
    names = [name.strip().lstrip(".") for name in (env.get("no_proxy") or env.get("NO_PROXY") or "").split(",")]
    is_excepted = any(name == "*" or (name and f".{host}".endswith(f".{name}")) for name in names)
    return "" if env.get(PROXY) or is_excepted else found


def settings_at(env: Mapping[str, str], environment: Environment) -> Settings:
    """Return settings that reach the host of the variables in this environment, and open nothing there.

    Raises:
        InvalidInputError: the base URL is malformed.
        ConfigurationError: it is Vipps' host of the other environment.
    """
    return Settings.build(
        Credentials(**_STAND_INS),
        environment=environment,
        base_url=env.get(_BASE_URL) or None,
        timeouts=None,
        retry=None,
        system=None,
    )


def check_environment(
    env: Mapping[str, str], *, allowed_hosts: Collection[str] = ()
) -> tuple[CheckResult, Place | None]:
    """Check that environment and base URL fit together.

    Args:
        env: the environment variables.
        allowed_hosts: hosts, not Vipps' own, that may be asked in production.

    Returns:
        The result, and where a session would go if that is clear.
    """
    check = "environment"
    name, rule = env.get(_ENVIRONMENT) or Environment.TEST.value, _broken_rules(env).get(_BASE_URL)
    if name not in {each.value for each in Environment}:
        text, advice = f"{_ENVIRONMENT} is neither test nor production", "set it to test or production"
        if rule is not None:
            text = f"{text}; {_BASE_URL} must be {rule}"
            advice = f"set {_ENVIRONMENT} to test or production; correct {_BASE_URL}, or leave it out"
        return CheckResult(check=check, state=CheckState.FAILED, text=text, advice=advice), None
    if rule is not None:
        text, advice = f"{_BASE_URL} must be {rule}", "correct it, or leave it out to talk to Vipps"
        return CheckResult(check=check, state=CheckState.FAILED, text=text, advice=advice), None
    environment = Environment(name)
    try:
        settings = settings_at(env, environment)
    except ConfigurationError as error:
        unset = "" if env.get(_ENVIRONMENT) else ", as it is not set"
        text = f"{_ENVIRONMENT} is {environment.value}{unset}, but {_BASE_URL} is Vipps' host of the other environment"
        advice = f"leave {_BASE_URL} out; set {_ENVIRONMENT} to the environment that the keys are of"
        failed = CheckResult.of_error(check, error)
        return evolve(failed, text=text, advice=advice), None
    place = Place(environment, settings.base_url)
    money = "real money" if environment is Environment.PRODUCTION else "play money"
    text = f"{environment.value}, with {money}, at {place.base_url}"
    if not place.is_vipps:
        text += f" (by {_BASE_URL}; Vipps is at {environment.base_url})"
    unused = _unused_proxy(env, place.base_url)
    facts: dict[str, object] = {
        "environment": environment.value,
        "base_url": place.base_url,
        "is_vipps": place.is_vipps,
    }
    facts |= {"by_proxy": proxy_of(env) is not None, "unused_proxy": unused or None}
    if proxy_of(env) is not None:
        text += f", through the proxy of {PROXY}"
    if environment is Environment.PRODUCTION and not place.is_vipps:
        # Real keys for another host: each command there wants --allow-host, this one, too.
        host = urlsplit(place.base_url).hostname or ""
        facts["is_allowed"] = host in allowed_hosts
        if host not in allowed_hosts:
            text += "; nothing is sent there"
            advice = f"unset {_BASE_URL}; if {host} is yours and leads to Vipps, say --allow-host {host} here and "
            advice += "to each command"
            failed = CheckResult(check=check, state=CheckState.FAILED, text=text, advice=advice, facts=facts)
            return failed, evolve(place, is_allowed=False)
        text += "; --allow-host names it"
    if unused:
        text += f"; {unused} is set, but a session does not go by it"
        advice = f"if Vipps is reached through that proxy only: set {PROXY}, or give trust_env=True (--trust-env here)"
        return CheckResult(check=check, state=CheckState.WARNING, text=text, advice=advice, facts=facts), place
    return CheckResult(check=check, state=CheckState.OK, text=text, facts=facts), place

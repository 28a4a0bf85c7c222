"""The settings of a sandbox: credentials it takes, what sales units may do, and which it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: A sales unit's number.
SALES_UNIT = re.compile(r"[0-9]{4,10}")
#: The currencies of the countries that Vipps is in.
CURRENCIES = frozenset({"NOK", "DKK", "EUR"})
#: Seconds: longer than anything here lasts.
_LONGEST = 366 * 86_400


class SettingsError(ValueError):
    """A setting that makes no sense. The text names it."""


@dataclass(frozen=True, kw_only=True)
class SandboxCredentials:
    """The keys of one merchant or partner. Its repr leaves out what is secret."""

    client_id: str
    client_secret: str = field(repr=False)
    subscription_key: str = field(repr=False)
    merchant_serial_numbers: Collection[str] | None = None
    """The sales units that the keys are for; None: any."""
    partner: bool = False
    """Partner keys must say on every call whose sales unit they act for."""

    def covers(self, merchant_serial_number: str) -> bool:
        """Whether the keys are for this sales unit."""
        return self.merchant_serial_numbers is None or merchant_serial_number in self.merchant_serial_numbers


#: What a sandbox of its own process tells, and takes alone unless it is given others. They open nothing but it.
TOLD_KEYS = SandboxCredentials(
    client_id="sandbox-id",
    client_secret="sandbox-secret",  # noqa: S106 - no secret
    subscription_key="sandbox-key",
)


@dataclass(slots=True, kw_only=True)
class SandboxSettings:
    """The settings of one sandbox; they may be changed while it runs.

    Raises:
        TypeError: `credentials` is no sequence of `SandboxCredentials`: those of a session, or one without a list.
    """

    credentials: Sequence[SandboxCredentials] | None = None
    """The keys that are accepted; None accepts any that are not empty."""
    direct_capture: Collection[str] = frozenset()
    """Sales units whose payments are captured with the reservation."""
    skip_landing_page: Collection[str] = frozenset()
    """Sales units that may skip the landing page."""
    nin: Collection[str] = frozenset()
    """Sales units that may ask for the national identity number."""
    currencies: Mapping[str, str] = field(default_factory=dict)
    """Sales unit → its currency, where that is not NOK. With DKK or EUR it goes by ePayment's rules for Denmark and
    Finland: 14 days to capture, all at once.
    """
    partial_capture: Collection[str] = frozenset()
    """Sales units with DKK or EUR that may capture in parts."""
    late_capture: Collection[str] = frozenset()
    """Sales units with DKK or EUR that have 180 days to capture."""
    long_living: Collection[str] = frozenset()
    """Sales units that may set when an ePayment payment expires."""
    express: Collection[str] = frozenset()
    """Sales units that may use ePayment's express checkout."""
    refused_units: Mapping[str, str] = field(default_factory=dict)
    """Sales unit → with which of the `unit_codes` its initiates are refused."""
    sub_delay: float = 0.5
    """Seconds after approval until `sub` appears in details."""
    unknown_for: float = 3600.0
    """Seconds that the test amount 201 leaves the reservation unknown."""
    numeric_callback_msn: bool = False
    """Whether callbacks give the sales unit as a number, as Vipps sometimes does."""
    strict: bool = False
    """Whether fields that Vipps would ignore are refused."""
    request_id_required: bool = True
    """Whether a capture or refund without an idempotency key is refused, as the vendor's description has it. Its own
    older example, and clients made after that, send none; without a key each of them moves money anew.
    """
    unit_codes: Collection[str] = ()
    """What the APIs can say of a sales unit that is refused, in their own words."""

    def __post_init__(self) -> None:
        given: object = self.credentials
        if given is not None and not (
            isinstance(given, Sequence) and all(isinstance(keys, SandboxCredentials) for keys in given)
        ):
            raise TypeError(
                "credentials is a list of SandboxCredentials(client_id=…, client_secret=…, subscription_key=…), of "
                "vipps_async.testing; left out, any keys are taken"
            )

    def as_json(self) -> dict[str, Any]:
        """Return the settings by the names that `change` takes, without secrets."""
        shown = {name: getattr(self, attribute) for name, (attribute, _) in _READERS.items()}
        shown |= {name: sorted(shown[name]) for name, (_, read) in _READERS.items() if read is _units}
        if self.credentials is not None:
            shown["keys"] = [
                {
                    "clientId": keys.client_id,
                    "merchantSerialNumbers": keys.merchant_serial_numbers and sorted(keys.merchant_serial_numbers),
                    "partner": keys.partner,
                }
                for keys in self.credentials
            ]
        return shown

    def change(self, wanted: object) -> None:
        """Take over some settings by their names in JSON; all of them or none.

        Raises:
            SettingsError: one is unknown, or its value makes no sense.
        """
        if not isinstance(wanted, dict):
            raise SettingsError("settings are a JSON object")
        unknown = sorted(set(wanted) - set(_READERS))
        if unknown:
            raise SettingsError(f"there is no setting {unknown[0]!r}; there are {', '.join(_READERS)}")
        read = {_READERS[name][0]: _READERS[name][1](name, value) for name, value in wanted.items()}
        if not set(read.get("refused_units", {}).values()) <= set(self.unit_codes):
            raise SettingsError(f"refuse gives sales units a code each, one of {', '.join(self.unit_codes)}")
        for name, value in read.items():
            setattr(self, name, value)


def _units(name: str, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(unit, str) and SALES_UNIT.fullmatch(unit) for unit in value):
        raise SettingsError(f"{name} is a list of sales units: text of 4 to 10 digits")
    return frozenset(value)


def _refused(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{name} is an object: sales unit → code")
    _units(name, list(value))
    return value


def _currencies(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(map(str, value.values())) <= CURRENCIES:
        raise SettingsError(f"{name} is an object: sales unit → {', '.join(sorted(CURRENCIES))}")
    _units(name, list(value))
    return value


def _seconds(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LONGEST:
        raise SettingsError(f"{name} is a number of seconds, from 0 to {_LONGEST}")
    return float(value)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} is true or false")
    return value


def _keys(name: str, value: object) -> list[SandboxCredentials] | None:
    if value is not None and (not isinstance(value, list) or not value):
        raise SettingsError(f"{name} is a list of keys, or null to take any")
    return None if value is None else [_one_key(f"{name}[{number}]", given) for number, given in enumerate(value)]


def _one_key(name: str, given: object) -> SandboxCredentials:
    if not isinstance(given, dict):
        raise SettingsError(f"{name} is an object")
    rest = dict(given)
    texts = {part: rest.pop(part, None) for part in ("clientId", "clientSecret", "subscriptionKey")}
    for part, text in texts.items():
        if not isinstance(text, str) or not text:
            raise SettingsError(f"{name}.{part} is text that is not empty")
    units, partner = rest.pop("merchantSerialNumbers", None), rest.pop("partner", False)
    if rest:
        raise SettingsError(f"{name} has no {min(rest)!r}")
    return SandboxCredentials(
        client_id=given["clientId"],
        client_secret=given["clientSecret"],
        subscription_key=given["subscriptionKey"],
        merchant_serial_numbers=None if units is None else _units(f"{name}.merchantSerialNumbers", units),
        partner=_flag(f"{name}.partner", partner),
    )


#: Name in JSON → name of the attribute, and what reads the value.
_READERS: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "keys": ("credentials", _keys),
    "directCapture": ("direct_capture", _units),
    "skipLandingPage": ("skip_landing_page", _units),
    "nin": ("nin", _units),
    "currencies": ("currencies", _currencies),
    "partialCapture": ("partial_capture", _units),
    "lateCapture": ("late_capture", _units),
    "longLiving": ("long_living", _units),
    "express": ("express", _units),
    "refuse": ("refused_units", _refused),
    "subDelay": ("sub_delay", _seconds),
    "unknownFor": ("unknown_for", _seconds),
    "numericCallbackMsn": ("numeric_callback_msn", _flag),
    "strict": ("strict", _flag),
    "requestIdRequired": ("request_id_required", _flag),
}

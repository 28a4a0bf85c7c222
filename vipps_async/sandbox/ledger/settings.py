"""What this sandbox is told to be: whose keys it takes, what sales units may do, which numbers and units it refuses."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vipps_async.sandbox.network.tokens import SandboxCredentials

__all__ = ["NUMBERS", "Settings", "SettingsError"]

#: Phone numbers that stand for a customer who cannot pay, and what they are refused with: group and code.
NUMBERS = {
    "40000081": ("User", "81"),
    "40000082": ("User", "82"),
    "40001082": ("Payment", "1082"),
    "40001501": ("Payment", "1501"),
}
#: Codes of the group Merchant that a sales unit's initiates can be made to be refused with.
UNIT_CODES = ("21", "22", "31", "32", "33", "36", "37", "39", "97")
#: Seconds: longer than anything here lasts.
_LONGEST = 366 * 86_400
_MSN = re.compile(r"[0-9]{5,6}")


class SettingsError(ValueError):
    """A setting that makes no sense. The text names it."""


@dataclass(slots=True, kw_only=True)
class Settings:
    """The settings of one sandbox; they may be changed while it runs."""

    #: The keys to check against; None accepts any that are not empty.
    credentials: Sequence[SandboxCredentials] | None = None
    #: Sales units whose payments are captured with the reservation.
    direct_capture: Collection[str] = frozenset()
    #: Sales units that may skip the landing page.
    skip_landing_page: Collection[str] = frozenset()
    #: Sales units that may ask for the national identity number.
    nin: Collection[str] = frozenset()
    #: Sales unit → code of the group Merchant with which its initiates are refused.
    refused_units: Mapping[str, str] = field(default_factory=dict)
    #: Seconds after approval until `sub` appears in details.
    sub_delay: float = 0.5
    #: Seconds that the test amount 201 leaves the reservation unknown.
    unknown_for: float = 3600.0
    #: Whether callbacks give the sales unit as a number, as Vipps sometimes does.
    numeric_callback_msn: bool = False
    #: Whether fields that Vipps would ignore are refused.
    strict: bool = False
    #: Whether a capture or refund without `X-Request-Id` is refused, as the vendor's description has it. Its own older
    #: example, and clients made after that, send none; without a key each of them moves money anew.
    request_id_required: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the settings by the names that `change` takes, without secrets."""
        return {
            "keys": None
            if self.credentials is None
            else [
                {
                    "clientId": keys.client_id,
                    "merchantSerialNumbers": None
                    if keys.merchant_serial_numbers is None
                    else sorted(keys.merchant_serial_numbers),
                    "partner": keys.partner,
                }
                for keys in self.credentials
            ],
            "directCapture": sorted(self.direct_capture),
            "skipLandingPage": sorted(self.skip_landing_page),
            "nin": sorted(self.nin),
            "refuse": dict(self.refused_units),
            "subDelay": self.sub_delay,
            "unknownFor": self.unknown_for,
            "numericCallbackMsn": self.numeric_callback_msn,
            "strict": self.strict,
            "requestIdRequired": self.request_id_required,
        }

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
        for name, value in read.items():
            setattr(self, name, value)


def _units(name: str, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(unit, str) and _MSN.fullmatch(unit) for unit in value):
        raise SettingsError(f"{name} is a list of sales units: text of 5 or 6 digits")
    return frozenset(value)


def _refused(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        _MSN.fullmatch(unit) and code in UNIT_CODES for unit, code in value.items()
    ):
        raise SettingsError(f"{name} gives sales units a code each, one of {', '.join(UNIT_CODES)}")
    return dict(value)


def _seconds(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LONGEST:
        raise SettingsError(f"{name} is a number of seconds, from 0 to {_LONGEST}")
    return float(value)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} is true or false")
    return value


def _keys(name: str, value: object) -> list[SandboxCredentials] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise SettingsError(f"{name} is a list of keys, or null to take any")
    return [_one_key(f"{name}[{number}]", given) for number, given in enumerate(value)]


def _one_key(name: str, given: object) -> SandboxCredentials:
    if not isinstance(given, dict):
        raise SettingsError(f"{name} is an object")
    unknown = sorted(set(given) - {*_KEY_FIELDS, "merchantSerialNumbers", "partner"})
    if unknown:
        raise SettingsError(f"{name} has no {unknown[0]!r}")
    for part in _KEY_FIELDS:
        if not isinstance(given.get(part), str) or not given[part]:
            raise SettingsError(f"{name}.{part} is text that is not empty")
    units = given.get("merchantSerialNumbers")
    return SandboxCredentials(
        client_id=given["clientId"],
        client_secret=given["clientSecret"],
        subscription_key=given["subscriptionKey"],
        merchant_serial_numbers=None if units is None else _units(f"{name}.merchantSerialNumbers", units),
        partner=_flag(f"{name}.partner", given.get("partner", False)),
    )


_KEY_FIELDS = ("clientId", "clientSecret", "subscriptionKey")
#: Name in JSON → name of the attribute, and what reads the value.
_READERS: dict[str, tuple[str, Any]] = {
    "keys": ("credentials", _keys),
    "directCapture": ("direct_capture", _units),
    "skipLandingPage": ("skip_landing_page", _units),
    "nin": ("nin", _units),
    "refuse": ("refused_units", _refused),
    "subDelay": ("sub_delay", _seconds),
    "unknownFor": ("unknown_for", _seconds),
    "numericCallbackMsn": ("numeric_callback_msn", _flag),
    "strict": ("strict", _flag),
    "requestIdRequired": ("request_id_required", _flag),
}

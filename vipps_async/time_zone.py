"""The time zone of reports: it decides where a day begins and how times are written."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, tzinfo
from typing import Final, Self
from zoneinfo import ZoneInfo, available_timezones

from attrs import frozen

from vipps_async.errors import ConfigurationError

#: Unless told otherwise: that of Oslo, which Copenhagen has as well. A report lies beside the books, the bank's
#: statements and the Vipps portal, which have it; and an order of half past midnight is of that day, not of UTC's one.
#: Helsinki is an hour ahead.
DEFAULT_ZONE: Final = "Europe/Oslo"
#: A time as errors and journals write it, with seconds or without.
_UTC_TIME = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(?::[0-9]{2})?) UTC\b")


@frozen
class TimeZone:
    """A time zone by its name: ``UTC``, or one of the IANA time zone database."""

    name: str
    rules: tzinfo

    @classmethod
    def named(cls, name: str = DEFAULT_ZONE) -> Self:
        """Find a zone.

        Raises:
            ConfigurationError: the machine knows no such zone.
        """
        if name.upper() == "UTC":
            return cls("UTC", UTC)
        try:
            return cls(name, ZoneInfo(name))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(f"this machine knows no time zone {name!r}", advice=_advice(name)) from error

    def local(self, moment: datetime) -> datetime:
        """Return an aware time as the clocks of the zone show it; still aware."""
        return moment.astimezone(self.rules)

    def in_text(self, text: str) -> str:
        """Return a text whose times of UTC (``2026-11-27 13:03:05 UTC``) are those of the zone, with its name.

        So that a report, whose columns of times are of one zone, has no other one in its texts.
        """
        return text if self.rules is UTC else _UTC_TIME.sub(self._of_zone, text)

    def _of_zone(self, found: re.Match[str]) -> str:
        try:
            moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        except ValueError:
            # Another's text, and no time.
            return found[0]
        local = f"{self.local(moment):%Y-%m-%d %H:%M:%S}"
        return f"{local[: len(found[1])]} {self.name}"


def _advice(name: str) -> str:
    known = available_timezones()
    if not known:
        # Small images and Windows have no zones at all.
        return "say --time-zone UTC, or install the system's tzdata (or the package tzdata)"
    by_lower = {each.lower(): each for each in known}
    near = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=1)]
    return f"{''.join(f'{each} is near it; ' for each in near)}name one such as {DEFAULT_ZONE}, or say UTC"

"""Reads `VIPPS_…` variables from the file that `VIPPS_ENV_FILE` names, where the environment has none of its own."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from vipps_async.cli.output import plain, say
from vipps_async.errors import ConfigurationError

_VARIABLE = "VIPPS_ENV_FILE"
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTES = ("'", '"')


def load_env_file() -> None:
    """Set the `VIPPS_…` variables that the file has and the environment has not; says if others can read the file.

    Lines are `NAME=VALUE`, `export NAME=VALUE`, comments that begin with `#`, or empty. A value may stand in quotation
    marks, and is taken as it is: nothing in it is replaced. Other names than `VIPPS_…` are passed over.

    Raises:
        ConfigurationError: it cannot be read; its line is named, never what stands there.
    """
    if not (named := os.environ.get(_VARIABLE)):
        return
    path = Path(named)
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            text = stream.read().decode("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise _unreadable(named, reason, "name another file, or unset it") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        # Without the cause: it holds the bytes.
        raise _unreadable(named, f"line {line} is not UTF-8", "save it as UTF-8") from None
    variables = dict(pair for number, line in enumerate(text.split("\n"), 1) if (pair := _read(line, number, named)))
    if os.name == "posix" and found.st_mode & stat.S_IROTH:
        say(f"vipps-async: everybody on this machine can read {plain(named)}: chmod 600 takes that away")
    for name, value in variables.items():
        # An empty variable counts as not set, as everywhere.
        if name.startswith("VIPPS_") and name != _VARIABLE and not os.environ.get(name):
            os.environ[name] = value


def _read(line: str, number: int, named: str) -> tuple[str, str] | None:
    line = line.strip()
    if "\0" in line:
        raise _unreadable(named, f"line {number} has a NUL character", "correct that line")
    if not line or line.startswith("#"):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise _unreadable(named, f"line {number} is not NAME=VALUE", "correct that line")
    name, value = match.groups()
    if value[:1] in _QUOTES:
        quote, rest = value[0], value[1:]
        value, closing, behind = rest.partition(quote)
        if not closing or (behind.strip() and not behind.strip().startswith("#")):
            raise _unreadable(named, f"the quotation marks in line {number} are not closed", "correct that line")
    else:
        value = re.split(r"\s+#", value, maxsplit=1)[0].rstrip()
    return name, value


def _unreadable(named: str, reason: str, advice: str) -> ConfigurationError:
    return ConfigurationError(f"the file {named} of {_VARIABLE} cannot be used: {reason}", advice=advice)

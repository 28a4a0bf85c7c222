"""`VIPPS_ENV_FILE`: settings from a file, which the real environment outranks and no output shows."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from tests.cli.inline import inline
from tests.cli.processes import environment
from tests.support.rows import each_row
from vipps_async.cli.env_file import load_env_file
from vipps_async.errors import ConfigurationError


def _loaded(path: Path, content: bytes, **further: str) -> dict[str, str]:
    path.write_bytes(content)
    path.chmod(0o600)
    with mock.patch.dict(os.environ, environment(VIPPS_ENV_FILE=str(path), **further), clear=True):
        load_env_file()
        return {name: value for name, value in os.environ.items() if name.startswith("VIPPS_")}


@each_row(
    ("line", "value"),
    [
        ("VIPPS_CLIENT_ID=canary", "canary"),
        ("  export VIPPS_CLIENT_ID = canary \r", "canary"),
        ("VIPPS_CLIENT_ID='can # ary'  # of the shop", "can # ary"),
        ('VIPPS_CLIENT_ID="$HOME\\n"', "$HOME\\n"),
        ("VIPPS_CLIENT_ID=can#ary=", "can#ary="),
        ("VIPPS_CLIENT_ID=canary # of the shop", "canary"),
        ("VIPPS_CLIENT_ID=first\nVIPPS_CLIENT_ID=canary", "canary"),
        ("\ufeff# comment\n\nVIPPS_CLIENT_ID=canary", "canary"),
    ],
)
def test_what_a_line_says(tmp_path: Path, line: str, value: str) -> None:
    """Comments, blanks, `export` and quotation marks are read as in other such files; nothing is replaced."""
    assert _loaded(tmp_path / "keys", line.encode())["VIPPS_CLIENT_ID"] == value


def test_the_environment_outranks_the_file(tmp_path: Path) -> None:
    """A variable that is set stays; an empty one counts as not set, and names that are not ours are passed over."""
    content = b"VIPPS_CLIENT_ID=file\nVIPPS_CLIENT_SECRET=file\nVIPPS_ENV_FILE=other\nPATH=evil\n"
    path = tmp_path / "keys"
    loaded = _loaded(path, content, VIPPS_CLIENT_ID="real", VIPPS_CLIENT_SECRET="")
    assert loaded == {"VIPPS_CLIENT_ID": "real", "VIPPS_CLIENT_SECRET": "file", "VIPPS_ENV_FILE": str(path)}
    assert os.environ.get("PATH") != "evil"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"A=1\ncanary-secret\n", "line 2 is not NAME=VALUE"),
        (b"A=1\n\nVIPPS CLIENT=canary\n", "line 3 is not NAME=VALUE"),
        (b"VIPPS_CLIENT_ID='canary\n", "the quotation marks in line 1 are not closed"),
        (b"VIPPS_CLIENT_ID='canary'canary\n", "the quotation marks in line 1 are not closed"),
        (b"A=1\nVIPPS_CLIENT_ID=can\0ary\n", "line 2 has a NUL character"),
        (b"A=1\nVIPPS_CLIENT_ID=canary\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read(tmp_path: Path, content: bytes, words: str) -> None:
    """The line's number is told, never what stands there."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        _loaded(tmp_path / "keys", content)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_file_that_is_not_there_ends_a_command(tmp_path: Path) -> None:
    """One line, status 2, before anything else."""
    ended = await inline("doctor", env=environment(VIPPS_ENV_FILE=str(tmp_path / "no")))
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "cannot be used: no such file or directory" in ended.err
    assert "Errno" not in ended.err


@pytest.mark.parametrize(("mode", "warns"), [(0o644, True), (0o600, False)])
async def test_a_file_that_everybody_can_read(tmp_path: Path, mode: int, warns: bool) -> None:  # noqa: FBT001 - a case
    """It is used, and a warning says what to do; the values are not shown."""
    path = tmp_path / "keys"
    path.write_text(
        "VIPPS_CLIENT_ID=canary-id\nVIPPS_MERCHANT_SERIAL_NUMBER=123456\nVIPPS_BASE_URL=http://127.0.0.1:1\n"
    )
    path.chmod(mode)
    ended = await inline("payment", "show", "order-1", env=environment(VIPPS_ENV_FILE=str(path)))
    assert ended.status == 2
    assert "VIPPS_CLIENT_SECRET, VIPPS_SUBSCRIPTION_KEY" in ended.err
    assert ("chmod 600 takes that away" in ended.err) == warns
    assert "canary" not in ended.out + ended.err

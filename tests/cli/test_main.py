"""What all commands share: usage, version, and ends without a traceback."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from pathlib import Path
from typing import NoReturn

import pytest

import vipps_async
from tests.cli.processes import command, environment, run
from tests.support.rows import each_row
from vipps_async.cli import demo
from vipps_async.cli.commands import Options
from vipps_async.cli.main import main, read_command_line
from vipps_async.errors import ConfigurationError


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("demo", "--nonsense"),
        ("demo", "--mobile-number", "91234567"),
        ("sandbox", "--port", "http"),
        ("sandbox", "--port", "65536"),
        ("sandbox", "--port", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be understood is said in one line below the usage, with status 2; no command: the help."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: vipps-async")
    assert not arguments or err.splitlines()[-1].startswith("Error: ")
    assert "_port" not in err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version names the package's version."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"vipps-async {vipps_async.__version__}\n"


@pytest.mark.parametrize(
    ("env", "seen"),
    [
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "VIPPS_PROXY": "http://own:1"}, "http://own:1"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "apitest.vipps.no"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "VIPPS_BASE_URL": "http://127.0.0.1:1"}, None),
        ({}, None),
    ],
)
def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], seen: str | None) -> None:
    """With --trust-env a command reaches Vipps as other programs do; without it, and afterwards, all is as before."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "VIPPS_PROXY", "VIPPS_BASE_URL", "VIPPS_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    proxies: list[str | None] = []

    async def look(_options: Options) -> int:
        proxies.append(os.environ.get("VIPPS_PROXY"))
        return 0

    monkeypatch.setattr(demo, "_run", look)
    assert main(["--trust-env", "demo"]) == main(["demo"]) == 0
    assert proxies == [seen, env.get("VIPPS_PROXY")]
    assert os.environ.get("VIPPS_PROXY") == env.get("VIPPS_PROXY")


async def test_as_a_module() -> None:
    """`python -m vipps_async` is the command."""
    finished = await run("--version")
    assert (finished.status, finished.out, finished.err) == (0, f"vipps-async {vipps_async.__version__}\n", "")


def _ending(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    async def fail(_options: Options) -> NoReturn:
        raise error

    monkeypatch.setattr(demo, "_run", fail)


def test_an_error_of_the_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that a command lets through ends it with one line and its status: 2 for wrong settings."""
    _ending(monkeypatch, ConfigurationError("the keys are missing", advice="set them"))
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "vipps-async: the keys are missing; set them.\n"


def test_an_error_of_the_system_is_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file that it is about and what is the matter, without the error's number."""
    _ending(monkeypatch, FileNotFoundError(2, "No such file or directory", "orders.csv"))
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "vipps-async: orders.csv: no such file or directory\n"


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("help",), ("nonsense",), ()], ids=" ".join)
def test_only_the_command_that_is_meant_is_imported(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version, help and wrong use take no command's time."""

    def load(name: str) -> NoReturn:
        raise AssertionError(f"unreachable: {name}")

    monkeypatch.setattr("importlib.import_module", load)
    with pytest.raises(SystemExit):
        main(arguments)


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with the shells' status for it, and prints nothing."""
    _ending(monkeypatch, KeyboardInterrupt())
    assert main(["demo"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [("demo",), ("demo", "--json")], ids=" ".join)
async def test_nobody_reads_the_output(arguments: tuple[str, ...]) -> None:
    """A pipe whose reader has gone (`| head`) ends the command without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), stdout=writer, stderr=asyncio.subprocess.PIPE, env=environment()
        )
    finally:
        os.close(writer)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 141
    assert err == b""


async def test_a_terminal_that_lacks_characters() -> None:
    """Where → and ✓ cannot be printed, something else is, and the command goes on."""
    finished = await run("demo", env=environment(PYTHONIOENCODING="ascii"))
    assert finished.status == 0
    assert "? POST" in finished.out


def test_the_installed_command_is_this_one() -> None:
    """The package's metadata name the function that these tests call."""
    project = (Path(vipps_async.__file__).parents[1] / "pyproject.toml").read_text()
    assert 'vipps-async = "vipps_async.__main__:main"' in project


def _commands_of(page: str) -> list[str]:
    text = (Path(vipps_async.__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").replace("|", "\n").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("vipps-async ")]


@each_row("line", _commands_of("command-line.md"))
def test_the_command_lines_of_the_documentation_can_be_typed(line: str) -> None:
    """Each command line that the page shows is understood as it stands."""
    arguments = shlex.split(line)[1:]
    assert callable(read_command_line(arguments).run)


def test_the_documentation_shows_command_lines() -> None:
    """If none were found any more, the test before would pass on nothing."""
    assert len(_commands_of("command-line.md")) >= 7

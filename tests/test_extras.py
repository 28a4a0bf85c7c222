"""What needs an extra that is missing says so on one line, with its name; nothing tells to install from an index."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import vipps_async
from tests.support.rows import each_row
from vipps_async import PostgresJournal
from vipps_async.batch.tables import ReportFormat, check_writable
from vipps_async.cli import batch_database
from vipps_async.extras import missing_extra

PROJECT = Path(__file__).parents[1]


def _load(name: str) -> Callable[[], object]:
    return lambda: importlib.import_module(name)


#: What is used → the extra, the library that is hidden, and the modules that load it.
USES: list[tuple[str, str, Callable[[], object], tuple[str, ...]]] = [
    ("httpx", "httpx", lambda: vipps_async.HttpxTransport, ("vipps_async.transports.httpx",)),
    ("postgres", "psycopg", lambda: PostgresJournal("dbname=x"), ("vipps_async.journals.postgres",)),
    ("postgres", "psycopg_pool", lambda: PostgresJournal("dbname=x"), ("vipps_async.journals.postgres",)),
    ("distributed", "procrastinate", lambda: batch_database.check_extra("work"), ()),
    ("distributed", "procrastinate", _load("vipps_async.contrib.procrastinate"), ("vipps_async.batch.distributed",)),
    ("starlette", "starlette", _load("vipps_async.receiver._starlette"), ()),
    ("opentelemetry", "opentelemetry", _load("vipps_async.contrib.opentelemetry"), ()),
    ("xlsx", "xlsxwriter", lambda: check_writable(ReportFormat.XLSX), ()),
    ("testing", "pytest", _load("vipps_async.testing.transport_conformance"), ()),
    ("testing", "trustme", _load("vipps_async.testing.transport_conformance"), ()),
]


def _under(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@pytest.mark.parametrize(("extra", "library", "use", "loading"), USES)
def test_a_missing_extra_is_named_on_one_line(
    extra: str, library: str, use: Callable[[], object], loading: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each use of a library that is not there ends in one line with what was used and the extra's name."""
    optional = ("vipps_async.contrib", "vipps_async.receiver._starlette", "vipps_async.testing.transport_conformance")
    ours = (*loading, *optional)
    for name in sorted((name for name in sys.modules if _under(name, ours)), reverse=True):
        package, _, leaf = name.rpartition(".")
        # Its package has it as an attribute, too; both are put back afterwards.
        monkeypatch.delattr(sys.modules[package], leaf, raising=False)
        monkeypatch.delitem(sys.modules, name)
    for name in [library, *(name for name in sys.modules if _under(name, (library,)))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises((ImportError, vipps_async.ConfigurationError)) as caught:
        use()
    text = str(caught.value)
    assert f"needs the extra '{extra}'" in text
    assert "\n" not in text


def test_every_extra_that_something_fails_without_is_tried() -> None:
    """An extra that is added is added to the table above; that of the command line is tried in tests/cli."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    assert {extra for extra, *_ in USES} == extras - {"cli"}
    for page in ("README.md", "docs/installing.md"):
        assert set(re.findall(r"^\| `(\w+)` \|", (PROJECT / page).read_text("utf-8"), re.MULTILINE)) >= extras


def test_a_module_of_our_own_that_is_missing_is_no_missing_extra() -> None:
    """A package that was torn apart is not taken for one without an extra."""
    torn = ModuleNotFoundError("No module named 'vipps_async.core'", name="vipps_async.core")
    assert missing_extra("x", "httpx", torn) is torn


#: An installation by name: of the package, or of nothing that is a path, a file or a variable.
_BY_NAME = re.compile(
    r"(?:\b(?:pip|uv|pipx|poetry|conda)\b[^\n`&;|]*?\b(?:install|add)\b|\buvx\b)"
    r"[^\n`&;|]*?\s['\"]?vipps[-_]async(?![\w./-]*[/.])",
    re.IGNORECASE,
)


@pytest.mark.parametrize("folder", ["docs", "vipps_async", "examples", "."])
def test_nothing_installs_the_package_by_its_name(folder: str) -> None:
    """Nobody owns the name in an index yet: whoever took it would be installed by those who follow our words."""
    below = "*" if folder == "." else "**/*"
    files = [path for path in (PROJECT / folder).glob(below) if path.suffix in {".md", ".py", ".html", ".txt", ".toml"}]
    found = [
        f"{path.relative_to(PROJECT)}: {line.strip()}"
        for path in files
        for line in path.read_text("utf-8").splitlines()
        if _BY_NAME.search(line)
    ]
    assert files
    assert found == []


@each_row(
    ("line", "by_name"),
    [
        ("pip install vipps-async", True),
        ("python -m pip install 'vipps-async[httpx]'", True),
        ("uv add vipps_async", True),
        ("poetry add vipps-async==0.1", True),
        ("uvx vipps-async demo", True),
        ("python -m pip install .", False),
        ("python -m pip install ./vipps_async-0.1.0-py3-none-any.whl", False),
        ("python -m pip install . && vipps-async demo", False),
    ],
)
def test_what_installs_by_name_is_told_from_what_does_not(line: str, by_name: bool) -> None:  # noqa: FBT001
    """The look-out finds each way to install by name, and lets files and folders pass."""
    assert (_BY_NAME.search(line) is not None) == by_name

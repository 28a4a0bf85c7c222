"""The floors of the house: imports go down only, and none goes round in a circle."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

from tests.support.rows import each_row

PACKAGE = Path(__file__).parents[1] / "vipps_async"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: The floor of each module, by the longest prefix of its name. The sandbox is a house of its own.
FLOORS = {
    "vipps_async": 3.5,  # the front door: it hands out names from the floors below it
    "vipps_async._version": 0,
    "vipps_async.answers": 0,
    "vipps_async.errors": 0,
    "vipps_async.extras": 0,
    "vipps_async.config": 0,
    "vipps_async.money": 0,
    "vipps_async.airline_data": 0,
    "vipps_async.not_given": 0,
    "vipps_async.input_rules": 0,
    "vipps_async.auth_tokens": 0,
    "vipps_async.idempotency_keys": 0,
    "vipps_async.time_limits": 0,
    "vipps_async.time_zone": 0,
    "vipps_async.one_loop": 0,
    "vipps_async.printable": 0,
    "vipps_async.transports": 0,
    "vipps_async.journals": 0,
    "vipps_async.core": 1,
    "vipps_async.ecom": 2,
    "vipps_async.epayment": 2,
    "vipps_async.userinfo": 2,
    "vipps_async.webhooks": 2,
    "vipps_async.apis": 3,
    "vipps_async.session_parts": 3,
    "vipps_async.session": 3,
    "vipps_async.batch": 4,
    "vipps_async.receiver": 4,
    "vipps_async.testing": 4,
    "vipps_async.contrib": 4,
    "vipps_async.diagnosis": 4,
    "vipps_async.reconciliation": 4,
    "vipps_async.cli": 5,
    "vipps_async.__main__": 5,
}
SANDBOX = "vipps_async.sandbox"
#: The sandbox's own floors, by the longest prefix. Beside the server nobody knows which APIs there are.
SANDBOX_FLOORS = {
    "vipps_async.sandbox.ledger": 0,
    "vipps_async.sandbox.wire.fault": 1,
    "vipps_async.sandbox.wire.face": 1,
    "vipps_async.sandbox.wire.gateway": 1,
    "vipps_async.sandbox.wire.urls": 1,
    "vipps_async.sandbox.wire.fields": 1,
    "vipps_async.sandbox.wire.kept_answers": 1,
    "vipps_async.sandbox.network": 2,
    "vipps_async.sandbox.pages": 3,
    "vipps_async.sandbox.control": 3,
    "vipps_async.sandbox.server": 4,
    "vipps_async.sandbox": 5,
}
#: One API each: it knows the ledger and what all APIs share, and only the server knows it.
API_FACES = "vipps_async.sandbox.wire."


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {_name(path) for path in MODULES}


@functools.cache
def _read(path: Path) -> tuple[str, frozenset[str]]:
    """A file's docstring, and every module of the package that it imports, wherever in the file the import stands."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            for alias in node.names:
                full = f"{module}.{alias.name}"
                found.add(full if full in NAMES else module)
    return ast.get_docstring(tree) or "", frozenset(name for name in found if name.split(".")[0] == "vipps_async")


def _imports(path: Path) -> frozenset[str]:
    return _read(path)[1]


def _floor(name: str) -> float:
    while name not in FLOORS:
        assert "." in name, f"{name} has no floor"
        name = name.rpartition(".")[0]
    return FLOORS[name]


def _in_sandbox(name: str) -> bool:
    return name == SANDBOX or name.startswith(SANDBOX + ".")


@each_row("path", MODULES, ids=_name)
def test_imports_go_down_the_floors_only(path: Path) -> None:
    """A module imports from its own floor or from below, never from above."""
    name = _name(path)
    if _in_sandbox(name):
        return
    above = {other for other in _imports(path) if not _in_sandbox(other) and _floor(other) > _floor(name)}
    assert above == set()


@each_row("path", [path for path in MODULES if _in_sandbox(_name(path))], ids=_name)
def test_the_sandbox_imports_nothing_of_the_client(path: Path) -> None:
    """The sandbox is an oracle, not a mirror: it shares no code with the client."""
    assert {name for name in _imports(path) if not _in_sandbox(name)} == set()


@each_row("path", MODULES, ids=_name)
def test_the_client_imports_nothing_of_the_sandbox(path: Path) -> None:
    """Only what stands above the session, tests' tools and the command line, may start a sandbox."""
    name = _name(path)
    if _in_sandbox(name) or _floor(name) >= 4:
        return
    assert {other for other in _imports(path) if _in_sandbox(other)} == set()


def _sandbox_floor(name: str) -> int | None:
    """The floor inside the sandbox; None: an API's own module."""
    while name not in SANDBOX_FLOORS:
        if name.startswith(API_FACES):
            return None
        name = name.rpartition(".")[0]
    return SANDBOX_FLOORS[name]


def _api(name: str) -> str:
    """The API that a module of the sandbox belongs to."""
    return name.removeprefix(API_FACES).partition("_")[0]


@each_row("path", [path for path in MODULES if _in_sandbox(_name(path))], ids=_name)
def test_imports_go_down_the_sandbox_s_own_floors(path: Path) -> None:
    """Money rules know no API; APIs neither connections, nor pages, nor each other; these what all APIs share alone."""
    floor = _sandbox_floor(_name(path))
    for other in _imports(path):
        below = _sandbox_floor(other)
        if floor is None:
            assert below is not None or _api(other) == _api(_name(path)), other
            assert below is None or below <= 1, other
        elif below is None:
            assert floor >= 4, other
        else:
            assert below <= floor, other


@each_row("path", MODULES, ids=_name)
def test_only_the_sandbox_s_pages_load_the_templates(path: Path) -> None:
    """The client and the sandbox's other floors do without Jinja2, and the pages load it when one is looked at."""
    assert not re.search(r"^(from|import) jinja2", path.read_text(), re.MULTILINE)
    if not _name(path).startswith("vipps_async.sandbox.pages"):
        assert not re.search(r"^\s*(from|import) (jinja2|markupsafe)", path.read_text(), re.MULTILINE)


def test_the_ledger_speaks_of_no_api() -> None:
    """No HTTP, no JSON name, no code of an API stands in the money rules."""
    for path in (PACKAGE / "sandbox" / "ledger").glob("*.py"):
        code = path.read_text()
        assert not re.search(r"aiohttp|ecomm|x-request-id|errorgroup|transactionlog|VippsError", code, re.IGNORECASE), (
            path
        )
        assert not re.search(r"[\"'](3[1-9]|4[1245]|5[12]|6[123]|7[1-4]|9[1-9]|108[0-9]|1501)[\"']", code), path


def test_no_import_goes_round_in_a_circle() -> None:
    """The modules can be put in an order in which each imports only what stands before it."""
    graph = {_name(path): _imports(path) & NAMES - {_name(path)} for path in MODULES}
    placed: set[str] = set()
    while ready := {name for name, needs in graph.items() if name not in placed and needs <= placed}:
        placed |= ready
    assert set(graph) - placed == set()


@each_row("path", MODULES, ids=_name)
def test_each_file_says_what_it_is_for(path: Path) -> None:
    """The first line of each file's docstring tells its one purpose."""
    docstring = _read(path)[0]
    assert docstring
    assert len(docstring.splitlines()[0]) <= 120

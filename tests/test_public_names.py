"""What `import vipps_async` gives, and what it does not do."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

import vipps_async
import vipps_async.batch
import vipps_async.receiver
import vipps_async.sandbox
import vipps_async.testing
from tests.support.rows import each_row
from vipps_async import errors

FRONT_DOORS: list[ModuleType] = [
    vipps_async,
    vipps_async.batch,
    vipps_async.receiver,
    vipps_async.sandbox,
    vipps_async.testing,
]

#: What front doors are built with; nobody imports these from there.
TOOLS = {"TYPE_CHECKING"}

#: What a user may import from; a name that ends in a point stands for all below it.
PUBLIC = (
    "vipps_async",
    "vipps_async.batch",
    "vipps_async.receiver",
    "vipps_async.sandbox",
    "vipps_async.testing",
)
PUBLIC_BELOW = ("vipps_async.contrib.", "vipps_async.testing.")

ROOT = Path(vipps_async.__file__).parents[1]


@pytest.mark.parametrize("door", FRONT_DOORS, ids=lambda door: door.__name__)
def test_all_is_sorted_and_without_repetition(door: ModuleType) -> None:
    """`__all__` is in order: constants, then classes, then functions."""
    assert list(door.__all__) == sorted(set(door.__all__), key=_place)


def _place(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("door", FRONT_DOORS, ids=lambda door: door.__name__)
def test_all_is_complete(door: ModuleType) -> None:
    """Everything public that a front door hands out stands in its `__all__`, and everything in it exists."""
    values = {name: getattr(door, name) for name in dir(door) if name not in TOOLS}
    public = {
        name
        for name, value in values.items()
        if not name.startswith("_") and not inspect.ismodule(value) and getattr(value, "__module__", "") != "__future__"
    }
    assert public == {name for name in door.__all__ if not name.startswith("_")}
    assert all(hasattr(door, name) for name in door.__all__), "a name in it does not exist"


def test_checkers_and_programs_find_the_same_names() -> None:
    """What is loaded at first use comes from the module that type checkers are told, and is a public name."""
    (fork,) = (node for node in ast.parse(Path(vipps_async.__file__).read_text()).body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in fork.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    homes = vars(vipps_async)["_LOADED_AT_FIRST_USE"]
    assert homes == told
    assert set(homes) <= set(vipps_async.__all__)


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    """A name that does not exist is refused as by any module: `hasattr`, `getattr` and `from … import` know how."""
    with pytest.raises(AttributeError, match="module 'vipps_async' has no attribute 'no_such_name'"):
        vipps_async.no_such_name  # type: ignore[attr-defined]  # noqa: B018 - it is the look-up that is tried
    assert not hasattr(vipps_async, "no_such_name")
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
        exec("from vipps_async import no_such_name")  # noqa: S102 - our own text


IMPORT = re.compile(r"^\s*(?:>>> )?(?:from|import) (vipps_async[\w.]*)", re.MULTILINE)
SHOWN = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.py")]


@each_row("path", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_shown_to_users_imports_public_names_only(path: Path) -> None:
    """Documentation and examples import from the front doors, so that nobody learns a private path from them."""
    shown = set(IMPORT.findall(path.read_text(encoding="utf-8")))
    assert {name for name in shown if name not in PUBLIC and not name.startswith(PUBLIC_BELOW)} == set()


def test_a_star_import_gives_every_public_name() -> None:
    """`from vipps_async import *` loads them all, also in a fresh interpreter; `dir` shows them before."""
    code = """
import vipps_async
shown = set(dir(vipps_async))
from vipps_async import *
assert set(vipps_async.__all__) <= shown
assert set(vipps_async.__all__) <= set(globals())
assert set(dir(vipps_async)) >= shown
print(VippsSession.__module__, vipps_async.SqliteJournal is SqliteJournal)
"""
    assert _run(code) == "vipps_async.session True\n"


def test_many_threads_may_ask_for_the_same_name_first() -> None:
    """Each thread gets the same class, however many ask for it at the same time."""
    code = """
import threading, vipps_async
ready, got = threading.Barrier(8), []
def ask():
    ready.wait(10)
    got.append(vipps_async.VippsSession)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
print(len(got), len(set(got)))
"""
    assert _run(code) == "8 1\n"


def test_no_name_hides_a_module() -> None:
    """No public name is also the name of a submodule, which it would hide."""
    modules = {info.name for info in pkgutil.iter_modules(vipps_async.__path__)}
    assert set(vipps_async.__all__) & modules == set()


def test_every_error_can_be_caught_by_its_public_name() -> None:
    """All exceptions of the tree are handed out at the front door."""
    assert set(errors.__all__) <= set(vipps_async.__all__)
    tree = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.VippsError)
    }
    assert tree == {name for name in errors.__all__ if inspect.isclass(getattr(errors, name))} - {"Effect", "ErrorInfo"}


@each_row("name", [name for name in vipps_async.__all__ if name != "__version__"])
def test_each_name_is_documented(name: str) -> None:
    """Each public name has a docstring of its own, and so has each of its public methods and properties."""
    value = getattr(vipps_async, name)
    assert inspect.getdoc(value), name
    assert value.__doc__ is None or not value.__doc__.startswith("Method generated by attrs")
    if inspect.isclass(value):
        for member, thing in vars(value).items():
            function = thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing
            if not member.startswith("_") and (inspect.isfunction(function) or isinstance(thing, property)):
                assert inspect.getdoc(function), f"{name}.{member}"


def test_fields_are_documented_where_editors_show_it() -> None:
    """A field's documentation is a string below it, which editors show, not a comment above it, which they do not."""
    classes = {value for door in FRONT_DOORS for name in door.__all__ if inspect.isclass(value := getattr(door, name))}
    own = [value for value in classes if value.__module__.startswith("vipps_async")]
    assert [value.__qualname__ for value in own if re.search(r"^    #: ", inspect.getsource(value), re.MULTILINE)] == []


@pytest.mark.parametrize("api", ["EcomApi", "EpaymentApi", "VippsSession", "UserinfoApi"])
def test_public_methods_have_annotations_that_can_be_read(api: str) -> None:
    """Types of public methods resolve at run time, and none of them is Any."""
    from vipps_async.userinfo import UserinfoApi  # noqa: PLC0415 - no front door hands it out

    classes: dict[str, type] = {
        "EcomApi": vipps_async.EcomApi,
        "EpaymentApi": vipps_async.EpaymentApi,
        "VippsSession": vipps_async.VippsSession,
        "UserinfoApi": UserinfoApi,
    }
    for name, function in inspect.getmembers(classes[api], inspect.isfunction):
        if not name.startswith("_"):
            hints = get_type_hints(function)
            assert "return" in hints
            assert not any("Any" in str(hint) for hint in hints.values()), name


def test_the_version_is_the_projects() -> None:
    """`__version__` has three numbers, and the changelog knows it."""
    numbers = vipps_async.__version__.split(".")
    assert len(numbers) == 3
    changelog = (Path(vipps_async.__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert vipps_async.__version__ in changelog or "Unreleased" in changelog


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers read the annotations only with this marker beside them."""
    assert (Path(vipps_async.__file__).parent / "py.typed").is_file()


# -- importing ---------------------------------------------------------------------------------------------------------


def _run(code: str) -> str:
    """Run a program in a fresh interpreter, warnings as errors, and return its stdout."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(vipps_async.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


#: What only those pay for who use it; each name stands for the module and all below it.
OF_FEW = {
    "aiohttp.web",
    "argparse",
    "click",
    "greenlet",
    "httpx",
    "opentelemetry",
    "psycopg",
    "psycopg_pool",
    "pygments",
    "pytest",
    "rich",
    "sqlite3",
    "starlette",
    "structlog",
    "vipps_async.batch",
    "vipps_async.cli",
    "vipps_async.contrib",
    "vipps_async.ecom.callbacks",
    "vipps_async.journals.postgres",
    "vipps_async.journals.sqlite",
    "vipps_async.receiver",
    "vipps_async.sandbox",
    "vipps_async.testing",
}
KEYS = """
from vipps_async import Credentials
keys = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number="123456")
"""


def _loaded(code: str, unwanted: set[str], *, before: str = "pass") -> set[str]:
    """Which of the unwanted modules a program loads in a fresh interpreter, beyond those that were there before."""
    program = f"""
import sys
{before}
there = set(sys.modules)
{code}
for name in set(sys.modules) - there:
    parts = name.split(".")
    if any(".".join(parts[:length]) in {unwanted!r} for length in range(1, len(parts) + 1)):
        print(name)
"""
    return set(_run(program).split())


def test_importing_the_package_loads_no_library_that_not_everybody_needs() -> None:
    """HTTP libraries, databases and extras wait until one of their names is asked for."""
    assert _loaded("import vipps_async", OF_FEW | {"aiohttp"}) == set()


@pytest.mark.parametrize("run", ["", "asyncio.run(call())"], ids=["made", "used"])
def test_a_session_loads_only_what_it_needs(run: str) -> None:
    """A shop that takes payments does not pay for journals, the sandbox, a console in colours or a web server."""
    # What aiohttp loads is its own affair: some of it has these names.
    code = f"""
{KEYS}
from vipps_async import RequestNotSent, RetryPolicy, VippsSession
session = VippsSession(keys, base_url="http://127.0.0.1:9", retry=RetryPolicy(attempts=1))
async def call():
    async with session as vipps:
        try:
            await vipps.ecom.details("acme-shop-1")
        except RequestNotSent:
            return
        raise SystemExit(3)
{run}
"""
    assert _loaded(code, OF_FEW, before="import asyncio, aiohttp") == set()


def test_a_made_session_loads_nothing_at_its_calls() -> None:
    """Whatever a call needs is there before it: none blocks the event loop by loading our modules or a dependency."""
    code = f"""
import asyncio, sys
{KEYS}
from vipps_async import OutcomeUnknown, RetryPolicy, ServerError, VippsSession, nok
from vipps_async.transports.protocol import Response
class Down:
    async def send(self, request):
        if request.url.endswith("/get"):
            token = b'{{"token_type": "Bearer", "access_token": "t", "expires_in": "3600"}}'
            return Response(status=200, body=token)
        return Response(status=503)
    async def aclose(self):
        pass
session = VippsSession(keys, transport=Down(), retry=RetryPolicy(attempts=2, deadline=3.0))
async def call():
    async with session as vipps:
        for operation in (
            vipps.ecom.capture("acme-shop-1", amount=nok(1), transaction_text="Shipped."),
            vipps.ecom.cancel("acme-shop-1", transaction_text="Sold out."),
            vipps.ecom.details("acme-shop-1"),
            vipps.userinfo.get("sub"),
        ):
            try:
                await operation
            except (OutcomeUnknown, ServerError):
                pass
            else:
                raise SystemExit(3)
before = set(sys.modules)
asyncio.run(call())
print(*sorted(set(sys.modules) - before))
"""
    assert _run(code).strip() == ""


def test_importing_the_package_has_no_side_effects() -> None:
    """No output, no event loop, no thread, no structlog configuration; one NullHandler and nothing else in logging."""
    code = """
import asyncio, logging, os, signal, sys, threading, warnings
import aiohttp, attrs, cattrs, orjson, structlog, yarl
root = logging.getLogger()
def state():
    return (list(root.handlers), root.level, logging.raiseExceptions, logging.lastResort, dict(os.environ),
            threading.active_count(), signal.getsignal(signal.SIGINT), list(warnings.filters),
            sys.excepthook, structlog.is_configured(), logging.getLoggerClass())
loggers = set(logging.Logger.manager.loggerDict)
def refuse(*_):
    raise AssertionError("an event loop was made at import")
asyncio.new_event_loop = asyncio.get_event_loop = refuse
before = state()
import vipps_async
assert state() == before, [pair for pair in zip(before, state()) if pair[0] != pair[1]]
logger = logging.getLogger("vipps_async")
assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
assert logger.level == logging.NOTSET and logger.propagate
assert set(logging.Logger.manager.loggerDict) - loggers == {"vipps_async"}
"""
    assert _run(code) == ""


def test_a_session_can_be_made_without_an_event_loop_and_says_nothing() -> None:
    """A session that is made and never used opens nothing and needs no closing."""
    code = """
import gc
from vipps_async import Credentials, VippsSession
session = VippsSession(
    Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number="123456")
)
print(session)
del session
gc.collect()
"""
    assert _run(code) == "<VippsSession 123456 at https://apitest.vipps.no>\n"


def test_errors_are_silent_by_default() -> None:
    """A failing call of an application that has not set up logging prints nothing."""
    code = """
import asyncio
from vipps_async import Credentials, RequestNotSent, RetryPolicy, VippsSession
keys = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number="123456")
async def main():
    async with VippsSession(keys, base_url="http://127.0.0.1:9", retry=RetryPolicy(attempts=1)) as vipps:
        try:
            await vipps.ecom.details("acme-shop-1")
        except RequestNotSent:
            print("not sent")
asyncio.run(main())
"""
    assert _run(code) == "not sent\n"

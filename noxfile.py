"""What a person does with this project: `nox` tests it on the Python that runs it, `nox -l` lists the rest."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
#: The Pythons of the classifiers; those that are not on the machine are passed over.
PYTHONS = nox.project.python_versions(PROJECT)
#: The oldest release of each dependency that the package claims to work with.
OLDEST = [
    "aiohttp==3.14.3",
    "attrs==23.2.0",
    "cattrs==24.1.0",
    "click==8.5.0",
    "httpx==0.27.0",
    "multidict==6.1.0",
    "orjson==3.10.0",
    "starlette==0.49.1",
    "structlog==24.1.0",
    "yarl==1.17.0",
]

#: The package with all of its extras.
EVERYTHING = ".[cli,distributed,httpx,opentelemetry,postgres,starlette,testing,xlsx]"

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


#: What other dependencies could break: bytes, JSON, models, log lines. What core decides hangs on none of them.
FOUNDATIONS = [
    *("tests/transports", "tests/ecom", "tests/receiver"),
    *(f"tests/core/test_{name}.py" for name in ("converter", "events", "pipeline", "refusal")),
]
#: What another event loop could break. httpx is held to its cases elsewhere, and what journals decide hangs on no loop.
LOOP = [
    *("tests/transports", "tests/journals/test_journal_contract.py", "--ignore-glob=*/test_httpx_*"),
    *(f"tests/end_to_end/test_{name}.py" for name in ("under_fire", "sessions", "payments", "callbacks_from_sandbox")),
]
#: What another interpreter could break: sockets, TLS, JSON, annotations read at run time, and each name that is loaded.
#: What is decided and counted is the same code on each Python, and tested whole on two of them.
INTERPRETER = [
    *("tests/transports", "tests/sandbox", "--ignore-glob=*/test_httpx_*"),
    *("tests/test_public_names.py", "tests/test_new_idempotency_key.py"),
]
#: What a release of aiohttp, cattrs or attrs to come would break first.
FIRST_TO_BREAK = ["tests/transports", "tests/ecom"]
#: Many tests wait for a moment: one more at a time than there are processors.
AT_A_TIME = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal"]
#: What runs in processes of its own, where no branch is counted; it is tested without counting.
IN_PROCESSES = [
    f"--ignore=tests/{path}"
    for path in (
        *("benchmarks", "examples", "test_readme.py", "test_run_report.py"),
        *("cli/test_batch_clocks.py", "cli/test_batch_machines.py"),
    )
]
#: Set where the branches that the tests run are to be held to their least share.
MEASURE = "VIPPS_TEST_COVERAGE"


def _install(session: nox.Session, *packages: str) -> None:
    # Of what is installed hardly anything is imported: it is compiled when it is, and the installation takes half. So
    # does uv by itself.
    session.install(*(() if session.venv_backend == "uv" else ("--no-compile",)), *packages)


def _test(session: nox.Session, *arguments: str, loop: str = "asyncio", measure: bool = False) -> None:
    runner = ["coverage", "run", "-m", "pytest"] if measure else ["pytest"]
    session.run(*runner, *arguments, env={"VIPPS_TEST_LOOP": loop})


@nox.session
def tests(session: nox.Session) -> None:
    """Run all that is not heavy on the Python that runs nox; too few tests, and it fails.

    `nox -s tests -- tests/core -k money` runs what pytest is told to.
    """
    _install(session, EVERYTHING, *_group("test"))
    if session.posargs:
        _test(session, *session.posargs, loop=os.environ.get("VIPPS_TEST_LOOP", "asyncio"))
        return
    measure = bool(os.environ.get(MEASURE))
    if measure:
        session.run("coverage", "erase")
    _test(session, "--enough", *AT_A_TIME, *(IN_PROCESSES if measure else ()), measure=measure)
    if measure:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report")


@nox.session
def heavy(session: nox.Session) -> None:
    """Run storms, kills and state machines: they try our rules, not the interpreter."""
    _install(session, EVERYTHING, *_group("test"))
    # More of them at a time than elsewhere: most wait for time-outs.
    _test(session, "-m", "heavy", "-n", str((os.cpu_count() or 1) + 2), "--dist", "worksteal")


@nox.session
def interpreter(session: nox.Session) -> None:
    """Run the tests of what depends on the interpreter, on the Python that runs nox."""
    _install(session, EVERYTHING, *_group("test"))
    _test(session, *AT_A_TIME, *(session.posargs or INTERPRETER))


@nox.session(python=PYTHONS)
def uvloop(session: nox.Session) -> None:
    """Run the tests of what depends on the event loop in uvloop."""
    _install(session, EVERYTHING, *_group("test"))
    _test(session, *AT_A_TIME, *(session.posargs or LOOP), loop="uvloop")


@nox.session(python=PYTHONS[:2])
def oldest(session: nox.Session) -> None:
    """Run the tests of the foundations with the oldest supported dependencies, where they have wheels."""
    _install(session, EVERYTHING, *_group("test"), *OLDEST)
    _test(session, *AT_A_TIME, *FOUNDATIONS)


@nox.session
def newest(session: nox.Session) -> None:
    """Run what dependencies before their release would break first: a warning of what is to come."""
    _install(session, "--pre", "--upgrade", EVERYTHING, *_group("test"))
    _test(session, *AT_A_TIME, *FIRST_TO_BREAK)


@nox.session
def storm(session: nox.Session) -> None:
    """Let a long storm pass: `nox -s storm -- --captures 100000 [--seed 1] [--journal sqlite] [--api both]`."""
    _install(session, EVERYTHING, *_group("test"))
    session.run("python", "-m", "tests.faults", "storm", *session.posargs)


@nox.session
def kill(session: nox.Session) -> None:
    """Kill workers at any instant: `nox -s kill -- --kills 500 [--seed 1] [--journal sqlite]`."""
    _install(session, EVERYTHING, *_group("test"))
    session.run("python", "-m", "tests.faults", "kill", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break the rules of money one by one; report what no test notices: `nox -s mutants -- --only rules`."""
    _install(session, EVERYTHING, *_group("test"))
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def outage(session: nox.Session) -> None:
    """Simulate an outage of Vipps, and renew the CSV files, pictures and tables of "Capacity and outages"."""
    session.install(".", *_group("plots"))
    session.run("python", "-m", "benchmarks.outage", *session.posargs)
    session.run("python", "-m", "benchmarks.sizing", "--write")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the client beside others; `nox -s bench -- --check` only counts instructions, `--help` tells the rest."""
    session.install(".", *_group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Look at the pages in headless Chromium; pictures of them are left in tests/browser/screenshots."""
    _install(session, EVERYTHING, *_group("test"), *_group("browser"))
    session.run("pytest", *AT_A_TIME, "tests/browser", *session.posargs, env={"VIPPS_TEST_MUST": "chromium"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    _install(session, *_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types twice: mypy strict and pyright."""
    groups = [*_group("types"), *_group("test"), *_group("browser"), *_group("bench")]
    _install(session, EVERYTHING, *groups, "nox")
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, EVERYTHING, *_group("docs"))
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-b", "html", "docs", "docs/_build")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, install it alone, and run the main job away from the source tree."""
    tmp = Path(session.create_tmp()).resolve()
    dist = tmp / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    _install(session, "build", "twine")
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))
    wheel = next(dist.glob("*.whl"))
    clean = tmp / "clean"
    session.run(sys.executable, "-m", "venv", "--clear", str(clean), external=True)
    session.run(str(clean / "bin" / "pip"), "install", "--quiet", f"{wheel}[cli]", external=True)
    with session.chdir(tmp):
        session.run(str(clean / "bin" / "vipps-async"), "demo", external=True, env={**os.environ, "PYTHONPATH": ""})

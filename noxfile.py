"""What a person does with this project: `nox` for everything a change must pass, `nox -l` for the rest."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
#: The Pythons of the classifiers; those that are not on the machine are passed over.
PYTHONS = nox.project.python_versions(PROJECT)
#: The oldest release of each dependency that the package claims to work with.
OLDEST = ["aiohttp==3.12.0", "attrs==23.2.0", "cattrs==24.1.0", "httpx==0.27.0", "structlog==24.1.0"]

#: The package with all of its extras.
EVERYTHING = ".[batch,distributed,httpx,opentelemetry,postgres,starlette,testing]"

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests", "browser", "docs", "build"]
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


#: What older dependencies could break; all else stands on these. The models are in what goes from end to end.
FOUNDATIONS = ["tests/transports", "tests/core", "tests/end_to_end"]
#: What another Python and another event loop could break. httpx is held to its rows elsewhere.
LOOP = [*FOUNDATIONS, "tests/journals", "--ignore-glob=*/test_httpx_*"]
#: Many tests wait for a moment: one more at a time than there are processors.
AT_A_TIME = str((os.cpu_count() or 1) + 1)


def _install(session: nox.Session, *packages: str) -> None:
    # Of what is installed hardly anything is imported: it is compiled when it is, and the installation takes half.
    session.install("--no-compile", *packages)


def _run_tests(
    session: nox.Session, *install: str, measure: bool = False, folders: Sequence[str] = (), loop: str = "asyncio"
) -> None:
    _install(session, EVERYTHING, *_group("test"), *install)
    # The pages have a session of their own.
    arguments = session.posargs or ["-n", AT_A_TIME, "--dist", "worksteal", "--ignore=tests/browser"]
    if session.posargs:
        session.run("pytest", *arguments)
        return
    if not measure:
        # What is heavy runs once, where coverage is measured: it tries our rules, not the interpreter.
        session.run("pytest", "-m", "not heavy and not long", *arguments, *folders, env={"VIPPS_TEST_LOOP": loop})
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-m", "not long", *arguments)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests with branch coverage on the oldest Python, and on the others the foundations.

    On the newest Python they run in uvloop, on those between with the oldest supported dependencies.
    `VIPPS_TEST_LOOP=uvloop nox -s tests-3.11 -- tests` runs them all in uvloop.
    """
    if session.python == PYTHONS[0]:
        _run_tests(session, measure=True)
    elif session.python == PYTHONS[-1]:
        # There is no uvloop for Windows.
        _run_tests(session, folders=LOOP, loop="asyncio" if sys.platform == "win32" else "uvloop")
    else:
        _run_tests(session, *OLDEST, folders=FOUNDATIONS)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Run the tests of the foundations with the oldest supported dependencies, where 3.12 is missing."""
    _run_tests(session, *OLDEST, folders=FOUNDATIONS)


@nox.session(python=PYTHONS[0])
def storm(session: nox.Session) -> None:
    """Let a long storm pass: `nox -s storm -- --captures 100000 --seed 1 [--rate 0.1] [--journal sqlite]`."""
    session.install(EVERYTHING, *_group("test"))
    session.run("python", "-m", "tests.faults", "storm", *session.posargs)


@nox.session(python=PYTHONS[0])
def kill(session: nox.Session) -> None:
    """Kill workers at any instant: `nox -s kill -- --kills 500 [--seed 1] [--journal sqlite]`."""
    session.install(EVERYTHING, *_group("test"))
    session.run("python", "-m", "tests.faults", "kill", *session.posargs)


@nox.session(python=PYTHONS[0])
def outage(session: nox.Session) -> None:
    """Simulate an outage of Vipps, and renew the CSV files, pictures and tables of "How far it goes"."""
    session.install(".", *_group("plots"))
    session.run("python", "-m", "benchmarks.outage", *session.posargs)
    session.run("python", "-m", "benchmarks.sizing", "--write")


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    """Measure the client beside others; `nox -s bench -- --check` only counts instructions, `--help` tells the rest."""
    session.install(".", *_group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[0])
def browser(session: nox.Session) -> None:
    """Look at the pages in headless Chromium; pictures of them are left in tests/browser/screenshots."""
    _install(session, EVERYTHING, *_group("test"), *_group("browser"))
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Check the types twice: mypy strict and pyright."""
    groups = [*_group("types"), *_group("test"), *_group("browser"), *_group("bench")]
    _install(session, EVERYTHING, *groups, "nox")
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    _install(session, EVERYTHING, *_group("docs"))
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-b", "html", "docs", "docs/_build")


@nox.session(python=PYTHONS[0])
def build(session: nox.Session) -> None:
    """Build the wheel, install it alone, and run the main job away from the source tree."""
    tmp = Path(session.create_tmp()).resolve()
    dist = tmp / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))
    wheel = next(dist.glob("*.whl"))
    clean = tmp / "clean"
    session.run(sys.executable, "-m", "venv", "--clear", str(clean), external=True)
    session.run(str(clean / "bin" / "pip"), "install", "--quiet", str(wheel), external=True)
    with session.chdir(tmp):
        session.run(str(clean / "bin" / "vipps-async"), "demo", external=True, env={**os.environ, "PYTHONPATH": ""})

"""What a person does with this project: `nox` tests it on the Python that runs it, `nox -l` lists the rest."""

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

# Tests start hundreds of processes: where nothing compiled is kept, each of them compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

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
    *("tests/transports", "tests/sandbox", "--ignore-glob=*/test_httpx_*", "--ignore-glob=*fault*"),
    *("tests/test_public_names.py", "tests/test_new_idempotency_key.py"),
]
#: What a release of aiohttp, cattrs or attrs to come would break first.
FIRST_TO_BREAK = ["tests/transports", "tests/ecom"]
#: Many tests wait for a moment: one more at a time than there are processors.
AT_A_TIME = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal"]
#: What runs in processes of its own, where no branch is counted, and what tries the same branches with many inputs; it
#: is tested without counting.
NOT_COUNTED = [
    *(
        f"--ignore=tests/{path}"
        for path in (
            *("benchmarks", "contract", "examples", "test_readme.py", "test_run_report.py"),
            *("cli/test_batch_clocks.py", "cli/test_batch_machines.py", "end_to_end"),
        )
    ),
    "--ignore-glob=*fuzz*",
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
    _test(session, "--enough", *AT_A_TIME, *(NOT_COUNTED if measure else ()), measure=measure)
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
    _test(session, *AT_A_TIME, *INTERPRETER, *session.posargs)


@nox.session(python=PYTHONS)
def uvloop(session: nox.Session) -> None:
    """Run the tests of what depends on the event loop in uvloop."""
    _install(session, EVERYTHING, *_group("test"))
    _test(session, *AT_A_TIME, *LOOP, *session.posargs, loop="uvloop")


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


#: Licences that what is installed along may have: none asks anything of a program that uses this package.
LICENCES = (
    "MIT",
    "BSD",
    "Apache",
    "ISC",
    "PSF",
    "Python Software Foundation",
    "MPL",
    "Mozilla",
    "LGPL",
    "Lesser",
    "0BSD",
    "CC0",
)


@nox.session(name="release-check")
def release_check(session: nox.Session) -> None:
    """Build once what would be released into dist/, and hold it to all that a release promises.

    `nox -s release-check -- --tag v1.2.3` fails where something is missing that a tag must have; else it is only said.
    Afterwards the tests run with the oldest and with the newest dependencies.
    """
    dist = Path("dist").resolve()
    shutil.rmtree(dist, ignore_errors=True)
    # Tools of their own, so that what is looked at below is what users get, and nothing beside it.
    tools = Path(session.create_tmp()).resolve() / "tools"
    session.run(sys.executable, "-m", "venv", "--clear", str(tools), external=True)
    _tool(session, tools, "python", "-m", "pip", "install", "--quiet", *_group("release"))
    _tool(session, tools, "python", "-m", "build", "--outdir", str(dist), ".")
    wheel, sdist = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))
    _tool(session, tools, "twine", "check", "--strict", str(wheel), str(sdist))
    workflows = map(str, sorted(Path(".github/workflows").glob("*.yml")))
    _tool(session, tools, "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    _install(session, f"{wheel}{EVERYTHING.removeprefix('.')}")
    python = str(Path(session.bin) / "python")
    _tool(session, tools, "pip-licenses", "--python", python, "--partial-match", "--allow-only", ";".join(LICENCES))
    sbom = str(dist / "sbom.cdx.json")
    _tool(session, tools, "cyclonedx-py", "environment", python, "--pyproject", "pyproject.toml", "-o", sbom)
    _check_release(session, tools, dist / "release-note.md")
    _check_name(session, tools)
    _install(session, *_group("test"), *_group("types"))
    _test_wheel(session, wheel, sdist)
    session.notify(f"oldest-{PYTHONS[0]}")
    session.notify("newest")


def _tool(session: nox.Session, tools: Path, name: str, *arguments: str, success_codes: Sequence[int] = (0,)) -> None:
    session.run(str(tools / "bin" / name), *arguments, external=True, success_codes=success_codes)


def _test_wheel(session: nox.Session, wheel: Path, sdist: Path) -> None:
    """Run the tests of the sdist against the wheel, the package's source out of the way; its types are complete."""
    place = Path(session.create_tmp()).resolve() / "from-sdist"
    shutil.rmtree(place, ignore_errors=True)
    shutil.unpack_archive(sdist, place, filter="data")
    root = place / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(root / "vipps_async")
    with session.chdir(root):
        code = "import sys, vipps_async; sys.exit('site-packages' not in vipps_async.__file__)"
        session.run("python", "-c", code)
        session.run("pyright", "--verifytypes", "vipps_async", "--ignoreexternal", silent=True)
        _test(session, *AT_A_TIME, *FOUNDATIONS)
    session.log(f"{wheel.name} passes the tests of {sdist.name}")


def _check_release(session: nox.Session, tools: Path, note: Path) -> None:
    """Hold changelog and addresses to `.ci/release.py`, and list what breaks programs of the release before."""
    version = str(
        session.run("python", "-c", "import vipps_async; print(vipps_async.__version__)", silent=True)
    ).strip()
    compared = note.with_name("compared-with")
    with compared.open("w", encoding="utf-8") as stream:
        arguments = [version, str(note), *session.posargs]
        session.run("python", ".ci/release.py", *arguments, stdout=stream, stderr=None)
    tag, *breaks = compared.read_text(encoding="utf-8").split() or [""]
    compared.unlink()
    if tag:
        allowed = [0, 1] if breaks else [0]
        _tool(session, tools, "griffe", "check", "vipps_async", "--against", tag, success_codes=allowed)
    else:
        session.warn("there is no tag of an earlier release: the API is compared with nothing")


def _check_name(session: nox.Session, tools: Path) -> None:
    """Ask the package index whose the name is: it is free, or ours."""
    python = str(tools / "bin" / "python")
    asked = ["index", "versions", PROJECT["project"]["name"]]
    said = str(session.run(python, "-m", "pip", *asked, external=True, silent=True, success_codes=[0, 1]))
    if "No matching distribution" in said:
        session.log("the name is free in the package index")
    elif "Available versions" not in said:
        session.error(f"the package index was not reached: {said}")
    elif not PROJECT["tool"]["release"]["name-is-ours"]:
        session.error("somebody has the name in the package index: if it is this project, pyproject.toml says so")

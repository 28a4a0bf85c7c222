"""The README and the pages of docs/ tell the truth: code runs, links lead somewhere, tables are whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.support.payments import initiate
from tests.support.rows import each_row
from vipps_async import ConfigurationError, Credentials, Environment, RetryPolicy
from vipps_async.cli.main import read_command_line
from vipps_async.config import Settings
from vipps_async.sandbox import State
from vipps_async.testing import Fault, Sandbox

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "vipps_async"
PAGES = [
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "llms.txt")),
    *sorted((PROJECT / "docs").glob("**/*.md")),
]
#: Seconds that a snippet or a type checker may take on a busy machine.
_PATIENCE = 120
#: What the extra `testing` brings; here others are installed, too.
_PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "pytest_vipps_async")


@frozen
class Block:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    code: str

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"


def _blocks(page: Path) -> Iterator[Block]:
    opening, language, code = 0, "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("```"):
            code.append(line)
        elif opening:
            yield Block(str(page.relative_to(PROJECT)), opening, language, "\n".join(code) + "\n")
            opening = 0
        else:
            opening, language, code = number, line.removeprefix("```").strip(), []
    assert not opening, f"{page}: the block of line {opening} is not closed"


BLOCKS = [block for page in PAGES for block in _blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
PROGRAMS = [block for block in PYTHON if "asyncio.run(" in block.code]
README_PYTHON = [block for block in PYTHON if block.page == "README.md"]


def _environment() -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIPPS_")}
    return own | {"PYTHONPATH": str(PROJECT)}


def _python(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )


def _names_of(block: Block) -> dict[str, Any]:
    """Execute a block and return what it defines."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(block.code, block.name, "exec", dont_inherit=True), names)  # noqa: S102 - our own pages
    return names


def _block_defining(function: str) -> Block:
    (found,) = [block for block in README_PYTHON if f"async def {function}(" in block.code]
    return found


# -- code --------------------------------------------------------------------------------------------------------------


def test_the_readme_has_the_code_that_is_tested_here() -> None:
    """If blocks are no longer found, these tests would pass on nothing."""
    assert len(README_PYTHON) >= 4
    assert len(PROGRAMS) >= 1


def test_the_first_two_commands_show_it_and_test_it() -> None:
    """The README's first two blocks for a shell are one command each, and CI runs the second one as it stands."""
    shown, tested, *_ = [block.code for block in BLOCKS if (block.page, block.language) == ("README.md", "sh")]
    assert shown == "python -m pip install '.[cli]' && vipps-async demo\n"
    assert tested == "python -m pip install nox && nox\n"
    assert tested.strip() in (PROJECT / ".ci" / "run").read_text(encoding="utf-8")


@each_row("block", BLOCKS, ids=lambda block: block.name)
def test_code_that_is_python_says_so(block: Block) -> None:
    """No block of Python hides from these tests behind another language, or none."""
    if block.language in {"", "py", "python3", "pycon"}:
        assert block.language == ""
        assert "import " not in block.code
        assert "await " not in block.code


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.name)
def test_programs_run_as_they_stand(block: Block, tmp_path: Path) -> None:
    """A block that is a whole program runs, warnings as errors, and says nothing on stderr."""
    program = tmp_path / "program.py"
    program.write_text(block.code, encoding="utf-8")
    finished = _python("-W", "error", str(program), cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")


@each_row("block", PYTHON, ids=lambda block: block.name)
def test_every_block_can_be_executed(block: Block) -> None:
    """The imports of every block exist, and its definitions can be made."""
    if block in PROGRAMS:
        compile(block.code, block.name, "exec", dont_inherit=True)
        return
    assert set(_names_of(block)) > {"__name__", "__builtins__"}


def test_tests_in_blocks_pass_as_a_user_runs_them(tmp_path: Path) -> None:
    """Each block with tests is a whole test file: pasted beside each other, all pass, as is shown."""
    blocks = [block for block in PYTHON if re.search(r"^(async )?def test_", block.code, re.MULTILINE)]
    assert {block.page for block in blocks} >= {"README.md", "docs/test-your-shop.md"}
    for number, block in enumerate(blocks):
        (tmp_path / f"test_block_{number}.py").write_text(f"# {block.name}\n{block.code}", encoding="utf-8")
    shown = {block.page: block.code for block in BLOCKS if block.language == "ini"}
    assert shown["README.md"] == shown["docs/test-your-shop.md"]
    (tmp_path / "pytest.ini").write_text(shown["README.md"], encoding="utf-8")
    finished = _python(
        "-W", "error", "-m", "pytest", "-q", *_PLUGINS, "-W", "error", cwd=tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )
    # pytest-asyncio warns of a setting that is missing before any test, past what pytest was told.
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout + finished.stderr


@pytest.mark.heavy
def test_the_blocks_are_typed(tmp_path: Path) -> None:
    """All blocks pass mypy --strict, each as a module of its own."""
    for number, block in enumerate(PYTHON):
        (tmp_path / f"block_{number}.py").write_text(f"# {block.name}\n{block.code}", encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\n[mypy-django.*]\nignore_missing_imports = True\n[mypy-examples.*]\nfollow_untyped_imports = True\n",
        encoding="utf-8",
    )
    finished = _python("-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), ".", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr


async def test_shipping_as_the_readme_shows_it() -> None:
    """The function that catches errors ships what is reserved, refuses what is not, and waits when Vipps is away."""
    ship = _names_of(_block_defining("ship"))["ship"]
    async with Sandbox() as sandbox, sandbox.session(retry=RetryPolicy(base=0.001, cap=0.002)) as vipps:
        for order_id in ("order-1", "order-2"):
            await initiate(vipps, order_id)
        await sandbox.approve("order-1")
        assert await ship(vipps, "order-1", "shipment-1") == "ship"
        assert sandbox.payment("order-1").captured == 49_900
        assert (await ship(vipps, "order-2", "shipment-1")).startswith("do not ship: ecom.capture of payment order-2")
        assert "Merchant 35" in await ship(vipps, "order-3", "shipment-1")
        await sandbox.aclose()
        assert await ship(vipps, "order-1", "shipment-1") == "later"


async def test_shipping_twice_as_the_readme_shows_it_captures_once() -> None:
    """A shipment is paid once, also after a lost answer, and no captured order is called one not to be shipped."""
    ship = _names_of(_block_defining("ship"))["ship"]
    retry = RetryPolicy(attempts=1, base=0.001, cap=0.002, deadline=1.0)
    async with Sandbox(rate_limits=False) as sandbox, sandbox.session(retry=retry) as vipps:
        await initiate(vipps, "order-1")
        await sandbox.approve("order-1")
        sandbox.faults.randomise(rate=1.0, seed=1, kinds=[Fault.RESET_AFTER_EFFECT])
        assert await ship(vipps, "order-1", "shipment-1") == "later, perhaps captured"
        sandbox.faults.clear()
        assert [await ship(vipps, "order-1", "shipment-1") for _ in range(2)] == ["ship", "ship"]
        assert (await ship(vipps, "order-1", "shipment-2")).startswith("look it up, money was taken: ")
        assert [transaction.amount for transaction in sandbox.payment("order-1").moved("CAPTURE")] == [49_900]


async def test_settling_as_the_readme_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function with a journal opens one in the working directory and finds nothing to settle in a new one."""
    monkeypatch.chdir(tmp_path)
    settle = _names_of(_block_defining("settle_what_is_open"))["settle_what_is_open"]
    keys = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number="123456")
    assert await settle(keys) == 0
    assert (tmp_path / "vipps-journal.db").exists()


async def test_the_quick_start_moves_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the quick start all of 499 kroner is captured and 99 of it are back with the customer, and it says so."""
    seen: list[Sandbox] = []

    class Watched(Sandbox):
        async def start(self) -> None:
            seen.append(self)
            await super().start()

    monkeypatch.setattr("vipps_async.testing.Sandbox", Watched)
    (program,) = [block for block in PROGRAMS if block.page == "README.md"]
    names: dict[str, Any] = {"__name__": "snippet"}
    code = program.code.replace("asyncio.run(main())", "")
    exec(compile(code, program.name, "exec", dont_inherit=True), names)  # noqa: S102 - our own page
    await names["main"]()
    (sandbox,) = seen
    (payment,) = sandbox.payments
    assert (payment.state, payment.captured, payment.refunded) == (State.RESERVE, 49_900, 9_900)
    said = capsys.readouterr().out.strip()
    assert said
    assert f"It prints `{said}`." in (PROJECT / "README.md").read_text("utf-8")


# -- the table of variables --------------------------------------------------------------------------------------------


class _Watched(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, *arguments: Mapping[str, str]) -> None:
        super().__init__(*arguments)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """Remember the name."""
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


_EXAMPLES = {
    "VIPPS_CLIENT_ID": "id",
    "VIPPS_CLIENT_SECRET": "secret",
    "VIPPS_SUBSCRIPTION_KEY": "key",
    "VIPPS_MERCHANT_SERIAL_NUMBER": "654321",
    "VIPPS_ENVIRONMENT": "production",
    "VIPPS_BASE_URL": "http://127.0.0.1:8787",
    "VIPPS_PROXY": "http://proxy.example.com:3128",
    "VIPPS_SYSTEM_NAME": "acme",
    "VIPPS_SYSTEM_VERSION": "1.2",
    "VIPPS_SYSTEM_PLUGIN_NAME": "acme-plugin",
    "VIPPS_SYSTEM_PLUGIN_VERSION": "3.4",
}


def _rows() -> dict[str, str]:
    """Return the variables of the README's table, each with what its row says."""
    rows = re.findall(r"^\| (`VIPPS_[^|]*) \| ([^|]*) \|$", (PROJECT / "README.md").read_text("utf-8"), re.MULTILINE)
    return {name: text for names, text in rows for name in re.findall(r"`(VIPPS_[A-Z_]+)`", names)}


def test_the_table_of_variables_is_whole() -> None:
    """The README's table names exactly the variables that are read."""
    environment = _Watched(_EXAMPLES)
    Settings.from_env(environment)
    assert set(_rows()) == {name for name in environment.asked if name.startswith("VIPPS_")}


@each_row("name", _EXAMPLES)
def test_every_variable_of_the_table_does_something(name: str) -> None:
    """Each variable makes a difference, or cannot be left out."""
    assert name in _rows()
    without = {key: value for key, value in _EXAMPLES.items() if key != name}
    if list(_EXAMPLES).index(name) < 4:
        with pytest.raises(ConfigurationError, match=name):
            Settings.from_env(without)
    else:
        assert Settings.from_env(without) != Settings.from_env(_EXAMPLES)


def test_the_table_says_which_environment_is_the_default() -> None:
    """`test` is the default, as the table has it."""
    keys = {name: _EXAMPLES[name] for name in list(_EXAMPLES)[:4]}
    assert Settings.from_env(keys).environment is Environment.TEST
    assert "`test` (the default) or `production`" in _rows()["VIPPS_ENVIRONMENT"]


# -- links and commands ------------------------------------------------------------------------------------------------


@each_row("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that exists, and a heading that it has."""
    broken = []
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, heading = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (heading and heading not in _anchors(path)):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_commands_of_the_readme_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Each `vipps-async` command that the README names is one that the command line has."""
    named = set(re.findall(r"vipps-async ([a-z]+)", (PROJECT / "README.md").read_text("utf-8")))
    assert named >= {"demo", "sandbox"}
    for name in named:
        with pytest.raises(SystemExit) as ended:
            read_command_line([name, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"Usage: vipps-async {name}")


def test_files_that_the_pages_name_exist() -> None:
    """A file or folder of the package or of the tests that a page names in code style exists."""
    pattern = re.compile(r"`((?:vipps_async|tests|core|ecom|transports|docs)/[\w./-]+)`")
    named = {name for page in PAGES for name in pattern.findall(page.read_text("utf-8"))}
    assert named
    assert {name for name in named if not any((root / name).exists() for root in (PROJECT, PACKAGE))} == set()

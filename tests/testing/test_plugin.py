"""The plugin of pytest: its fixtures in every mode of pytest-asyncio, and what it loads when pytest starts."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import vipps_async

pytest_plugins = ["pytester"]

_ROOT = Path(__file__).parents[2]
_SHOP = """
import pytest
from vipps_async import VippsSession, nok
from vipps_async.testing import Sandbox, SandboxThread

{mark}
async def test_capture(vipps_sandbox: Sandbox, vipps: VippsSession) -> None:
    await vipps.epayment.create(
        reference="acme-shop-1", amount=nok(100), payment_description="Socks.", return_url="https://example.com/thanks"
    )
    await vipps_sandbox.approve("acme-shop-1")
    payment = await vipps.epayment.wait_for("acme-shop-1", timeout=600)
    await vipps.epayment.capture("acme-shop-1", amount=payment.remaining_to_capture)
    assert vipps_sandbox.payment("acme-shop-1").captured == 10_000

def test_without_a_loop(vipps_sandbox_thread: SandboxThread) -> None:
    assert vipps_sandbox_thread.payments == ()
"""


@pytest.fixture(autouse=True)
def everything_is_loaded() -> None:
    """Load all modules before: those that a run inside this one loads are forgotten, and would be loaded twice."""
    for module in pkgutil.walk_packages(vipps_async.__path__, "vipps_async."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


@pytest.mark.parametrize(
    ("mode", "mark"), [("strict", "@pytest.mark.asyncio"), ("auto", ""), ("strict", "@pytest.mark.anyio")]
)
def test_the_fixtures_work_in_each_mode(pytester: pytest.Pytester, mode: str, mark: str) -> None:
    """In strict and auto mode, and by anyio's plugin, a test gets a started sandbox, and a session on it."""
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    pytester.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(_SHOP.format(mark=mark))
    pytester.runpytest_inprocess("-p", "pytest_vipps_async", "-W", "error").assert_outcomes(passed=2)


def test_options_can_be_given(pytester: pytest.Pytester) -> None:
    """What `vipps_sandbox_options` returns is what either sandbox is made with."""
    pytester.makepyfile("""
import pytest

@pytest.fixture
def vipps_sandbox_options():
    return {"rate_limits": False, "longest_wait": None}

def test_options(vipps_sandbox_thread):
    sandbox = vipps_sandbox_thread._sandbox
    assert sandbox._services.limits is None
    assert sandbox.waits.longest is None
""")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.runpytest_inprocess("-p", "pytest_vipps_async", "-W", "error").assert_outcomes(passed=1)


def test_pytest_starts_without_the_package() -> None:
    """The plugin is there from the start; what it needs is loaded when a fixture is."""
    code = "import sys, pytest_vipps_async; print(*{'vipps_async', 'aiohttp', 'attrs'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""


def test_it_is_known_to_pytest_by_the_name_of_its_module() -> None:
    """So pytest loads it once, also where somebody names it in `pytest_plugins`."""
    entry = 'pytest_vipps_async = "pytest_vipps_async"'
    assert entry in (_ROOT / "pyproject.toml").read_text(encoding="utf-8")

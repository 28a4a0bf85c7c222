"""Opens headless Chromium, keeps screenshots, and holds pages against the accessibility rules of axe."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.missing import skip_without

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["SCREENSHOTS", "chromium", "keep", "opened", "serious_findings"]

#: Where screenshots are kept to be looked at; not part of the project.
SCREENSHOTS = Path(__file__).parent / "screenshots"
#: Names under which systems have a Chromium; `CHROMIUM` names another one.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Nothing that talks to anybody but the pages under test.
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Milliseconds that the browser may take for one step: far more than it needs.
_PATIENCE = 15_000
#: The width of a phone and of a desk, in CSS pixels.
_SIZES = {"phone": (390, 844), "desk": (1280, 900)}


def _why_not() -> str | None:
    if importlib.util.find_spec("playwright") is None or importlib.util.find_spec("axe_playwright_python") is None:
        return "playwright and axe-playwright-python are not installed (the group `browser`)"
    if _executable() is None:
        return "there is no Chromium on this machine"
    return None


def _executable() -> str | None:
    return os.environ.get("CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)


def required() -> None:
    """Skip the test where there is no browser."""
    reason = _why_not()
    if reason is not None:
        skip_without("chromium", reason)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Open the browser."""
    required()
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not everybody has it

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_executable(), args=list(_ARGUMENTS), timeout=2 * _PATIENCE
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser,
    *,
    scheme: Literal["light", "dark"] = "light",
    size: Literal["phone", "desk"] = "desk",
    script: bool = True,
) -> AsyncIterator[Page]:
    """Open an empty page; when it closes, no script must have failed and nothing broken the pages' own rules."""
    width, height = _SIZES[size]
    context = await browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        java_script_enabled=script,
        reduced_motion="reduce",
    )
    context.set_default_timeout(_PATIENCE)
    page = await context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: _note(message, troubles))
    try:
        yield page
    finally:
        await context.close()
    assert troubles == []


def _note(message: Any, troubles: list[str]) -> None:
    # The browser logs each answer of 400 and above, and a stream that breaks off; both are wanted in places.
    if message.type == "error" and not message.text.startswith("Failed to load resource"):
        troubles.append(message.text)


async def keep(page: Page, name: str) -> Path:
    """Keep a screenshot of the whole page."""
    SCREENSHOTS.mkdir(exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    await page.screenshot(path=path, full_page=True)
    return path


async def serious_findings(page: Page) -> list[str]:
    """Return what axe finds that is serious or critical."""
    # Not everybody has it, and it has no types.
    axe = importlib.import_module("axe_playwright_python.async_playwright")
    results = await axe.Axe().run(page)
    return [
        f"{found['id']}: {found['help']}: {[node['target'] for node in found['nodes']]}"
        for found in results.response["violations"]
        if found["impact"] in {"serious", "critical"}
    ]

"""The conformance suite notices: a transport with one fault fails it, and a sound one passes as the docs say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.testing.broken_transports import Following, Forgetful, Optimistic, Pessimistic, Resending, Talkative
from vipps_async import AiohttpTransport
from vipps_async.testing.transport_conformance import CASES, TransportConformance
from vipps_async.testing.transport_conformance.failures import check

_BY_NAME = {row.name: row for row in CASES}
_DOCS = Path(__file__).parents[2] / "docs" / "transports.md"


async def _with(
    kind: type[AiohttpTransport], run: Callable[[Callable[..., AiohttpTransport]], Awaitable[None]]
) -> None:
    made: list[AiohttpTransport] = []

    def make(**keywords: Any) -> AiohttpTransport:
        made.append(kind(**keywords))
        return made[-1]

    try:
        await run(make)
    finally:
        for transport in made:
            await transport.aclose()


@pytest.mark.parametrize(
    ("kind", "row", "says"),
    [
        (Resending, "FIN after the request", "the server has read 2 requests, not 1"),
        (Resending, "processed, then FIN, a second one would be answered", "has read 2 requests, not 1"),
        (Optimistic, "FIN after the request", "is not the truth: unknown"),
        (Optimistic, "RST in the middle of the request", "is not the truth: unknown"),
        (Optimistic, "body cut short", "is not the truth: unknown"),
        (Pessimistic, "connection refused", "is not the truth: not sent"),
        (Pessimistic, "untrusted certificate", "is not the truth: not sent"),
        (Following, "redirected to a dead host", "instead of the answer with status 307"),
        (Talkative, "FIN after the request", "shows a secret"),
        (Forgetful, "body cut short", "status None was kept, not 200"),
    ],
)
async def test_a_fault_is_noticed(kind: type[AiohttpTransport], row: str, says: str) -> None:
    """Each kind of fault fails the row that is made for it, with words that say what is wrong."""

    async def run(make: Callable[..., AiohttpTransport]) -> None:
        await check(_BY_NAME[row], _BY_NAME[row].shapes[0], make)

    await _with(AiohttpTransport, run)
    with pytest.raises(AssertionError, match=re.escape(says)):
        await _with(kind, run)


async def test_a_redirect_that_is_followed_is_noticed_where_it_succeeds() -> None:
    """The server counts, so an answer from elsewhere does not pass for the first one."""

    async def run(make: Callable[..., AiohttpTransport]) -> None:
        await TransportConformance().test_any_status_is_an_answer(make, 308, "POST")

    await _with(AiohttpTransport, run)
    with pytest.raises(AssertionError):
        await _with(Following, run)


@pytest.mark.parametrize("kind", ["AiohttpTransport", "Optimistic"])
def test_the_example_of_the_documentation_runs_as_it_stands(tmp_path: Path, kind: str) -> None:
    """Outside of this project, without its settings, the suite runs over a sound transport and over a broken one."""
    (example,) = re.findall(r"```python\n(.*?)```", _DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    if kind == "Optimistic":
        example = example.replace("AiohttpTransport", kind).replace(
            f"from vipps_async import {kind}", f"from tests.testing.broken_transports import {kind}"
        )
    (tmp_path / "test_my_transport.py").write_text(example, encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "FIN or cookie or closing"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(_DOCS.parents[1]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = finished.stdout
    if kind == "AiohttpTransport":
        assert finished.returncode == 0, report
        assert " passed" in report
    else:
        assert finished.returncode == 1, report
        assert "is not the truth: unknown" in report


def test_the_sandbox_for_tests_does_not_need_pytest() -> None:
    """Only who asks for the suite needs the extra."""
    code = "import sys, vipps_async.testing; print('pytest' in sys.modules)"
    root = _DOCS.parents[1]
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout == "False\n"

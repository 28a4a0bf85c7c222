"""The recipes for structlog on the page about observability: what they write when a call is made."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import VippsSession
from vipps_async.testing import ScriptedTransport

PAGE = Path(__file__).parents[1] / "docs" / "observability.md"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave structlog as it was."""
    root = logging.getLogger()
    level, root_level, handlers = logging.getLogger("vipps_async").level, root.level, root.handlers[:]
    yield
    root.handlers[:] = handlers
    root.setLevel(root_level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger("vipps_async").setLevel(level)


def set_up(name: str) -> None:
    """Call a function of the page."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f"def {name}(" in block]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own page
    names[name]()


async def capture() -> None:
    """Capture within a request of a shop."""
    structlog.contextvars.bind_contextvars(request_id="r-17")
    async with VippsSession(CREDENTIALS, transport=ScriptedTransport().on("/capture", CAPTURED)) as vipps:
        await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.", idempotency_key="key-1")


async def test_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is one object with the event's fields, and those that the application has bound."""
    set_up("log_as_json")
    await capture()
    token, done = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert token["operation"] == "token.get"
    assert {name: done[name] for name in ("event", "level", "operation", "payment", "outcome", "request_id")} == {
        "event": "vipps.operation",
        "level": "info",
        "operation": "ecom.capture",
        "payment": "acme-1",
        "outcome": "done",
        "request_id": "r-17",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", done["timestamp"])
    assert done["idempotency_key"] == "key-1"


async def test_standard_lines_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Another library's lines, with fields or a traceback, are objects of the same kind; debug is left out."""
    set_up("log_as_json")
    await capture()
    logging.getLogger("shop").warning("order %s is packed", 17, extra={"order": "acme-1"})
    logging.getLogger("shop").debug("nobody asked")
    try:
        int("no socks")
    except ValueError:
        logging.getLogger("shop").exception("not packed")
    *_, done, packed, failed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (done["event"], done["logger"]) == ("vipps.operation", "vipps_async")
    assert {name: packed[name] for name in ("event", "level", "logger", "order", "request_id")} == {
        "event": "order 17 is packed",
        "level": "warning",
        "logger": "shop",
        "order": "acme-1",
        "request_id": "r-17",
    }
    assert packed.keys() - {"order"} <= done.keys()
    assert failed["exception"][0]["exc_value"].endswith("'no socks'")


async def test_columns_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Attempts and calls stand one below the other, without colours where there is no terminal."""
    set_up("log_for_people")
    await capture()
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert [re.search(r"vipps\.[a-z]+", line)[0] for line in lines] == ["vipps.attempt", "vipps.operation"] * 2  # type: ignore[index]
    assert re.match(r"\d\d:\d\d:\d\d \[info ", lines[-1])
    assert all(part in lines[-1] for part in ("payment=acme-1", "request_id=r-17", "outcome=done"))
    assert "\x1b" not in shown.err

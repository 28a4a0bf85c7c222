"""What the README, the pages and the examples show moves money once when it runs twice: each call has its key."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.rows import each_row

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "examples").rglob("*.md")]
EXAMPLES = sorted((PROJECT / "examples").rglob("*.py"))
#: In the line of a call: why this one has none.
EXCUSE = "# no key: "


def _calls_without_a_key(code: str) -> Iterator[str]:
    """Give each capture and refund by a session's API that has no key and says nothing of it.

    A function that is a test may leave it out: it runs once, on an empty sandbox, as "Test your shop" says.
    """
    lines = code.splitlines()
    todo: list[ast.AST] = [ast.parse(code)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            continue
        todo += ast.iter_child_nodes(node)
        match node:
            case ast.Call(
                func=ast.Attribute(attr="capture" | "refund", value=ast.Attribute(attr="ecom" | "epayment")),
                keywords=keywords,
            ) if "idempotency_key" not in {keyword.arg for keyword in keywords}:
                if EXCUSE not in lines[node.lineno - 1]:
                    yield ast.unparse(node)


def _blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@each_row("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_shows_has_a_key(page: Path) -> None:
    """Each capture and refund of a page gives an idempotency key, or says why it has none."""
    assert [call for block in _blocks(page) for call in _calls_without_a_key(block)] == []


@each_row("example", EXAMPLES, ids=lambda example: str(example.relative_to(PROJECT)))
def test_what_an_example_runs_has_a_key(example: Path) -> None:
    """Each capture and refund of an example gives an idempotency key."""
    assert list(_calls_without_a_key(example.read_text("utf-8"))) == []


def test_the_key_of_a_refund_tells_one_return_from_another() -> None:
    """A refund's key has three parts or more: made of the order alone, a second return would be lost."""
    codes = [code for page in PAGES for code in _blocks(page)] + [file.read_text("utf-8") for file in EXAMPLES]
    derived = [
        node.args
        for code in codes
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "derive_idempotency_key"
    ]
    refunds = [parts for parts in derived if ast.unparse(parts[0]) == "'refund'"]
    assert len(refunds) >= 3
    assert [ast.unparse(parts[1]) for parts in refunds if len(parts) < 3] == []


def test_a_call_without_a_key_would_be_found() -> None:
    """The rule sees a call in any depth, but for one in a test or with its reason."""
    call = "await vipps.ecom.refund('order-1', transaction_text='Back.')"
    within = "async def {}():\n    return {}"
    assert list(_calls_without_a_key(within.format("pay_back", call))) == [call.removeprefix("await ")]
    assert list(_calls_without_a_key(within.format("test_it", call))) == []
    assert list(_calls_without_a_key(within.format("pay_back", call + f"  {EXCUSE}why"))) == []

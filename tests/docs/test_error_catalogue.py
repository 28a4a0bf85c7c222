"""The error catalogue has each code that the library knows, and says of it what the library does."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.rows import each_row
from vipps_async.core.dialect import ErrorRule
from vipps_async.ecom import errors as ecom
from vipps_async.epayment import errors as epayment

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_extensions"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # attrs looks the annotations of a class up in its module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ROWS: dict[str, dict[str, Any]] = {
    api: {row.code: row for row in rows()} for api, rows in sorted(_load("error_rows").ROWS_OF.items())
}


def _known() -> Iterator[tuple[str, str, ErrorRule]]:
    for group, codes in ecom._CODES.items():
        for code, rule in codes.items():
            name = {"": "gateway", "vippserror": "VippsError"}.get(group, group.capitalize())
            yield "ecom", f"{name} {code}", rule
    yield "ecom", "any 99", ecom._INTERNAL
    yield "ecom", "Merchant a name with a dot", ecom._FIELD
    for code, rule in epayment._CODES.items():
        yield "epayment", code, rule
    yield "epayment", "gateway 1000", epayment._GATEWAY_FAILED


KNOWN = [pytest.param(api, code, rule, id=f"{api} {code}") for api, code, rule in _known()]


def test_the_catalogue_has_exactly_the_codes_that_the_library_knows() -> None:
    """A code that is added to a table of the library, or taken out, is added or taken out here."""
    assert {(api, code) for api, codes in ROWS.items() for code in codes} == {(api, code) for api, code, _ in _known()}


@each_row(("api", "code", "rule"), KNOWN)
def test_each_row_says_what_the_library_does(api: str, code: str, rule: ErrorRule) -> None:
    """Class, advice, doubt and repetition are those of the rule; nothing settles nothing and says that none moved."""
    row = ROWS[api][code]
    assert row.meaning
    assert rule.advice in row.advice
    assert row.advice
    assert rule.error is None or rule.error.__name__ in row.error
    assert (row.moved == "no") == (not rule.unsettled and not rule.suggests_effect)
    assert ("OutcomeUnknown" in row.error) == rule.unsettled
    assert (row.again == "no: it can never succeed") == (rule.permanent and not rule.unsettled)


def test_the_page_has_the_tables_that_the_code_gives() -> None:
    """A reader of the repository sees each code, as the library treats it now."""
    tables = _load("error_tables")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.with_tables(page), "run: python docs/_extensions/error_tables.py"
    assert all(f"\n| `{code}` | " in page for codes in ROWS.values() for code in codes)

"""What holds the site's search to the words that people type; each build asks it of the index that it has made."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("searched_words", DOCS / "_extensions" / "searched_words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SEARCH = _load()


def _index(*, is_main: bool = True) -> dict[str, Any]:
    """What a `searchindex.js` has if each word leads where it should."""
    names = sorted({page for pages in SEARCH.WORDS.values() for page in pages})
    entries = {word: [[names.index(page), "id1", is_main] for page in pages] for word, pages in SEARCH.WORDS.items()}
    return {"docnames": names, "indexentries": entries}


def test_the_words_that_people_have_looked_for_are_there() -> None:
    """Each leads to pages that exist, and is written as the search compares it."""
    assert SEARCH.WORDS.keys() >= {
        *("capture twice", "double capture", "timeout", "msn", "outcomeunknown", "journal", "idempotency key")
    }
    for word, pages in SEARCH.WORDS.items():
        assert word == word.lower()
        assert 1 <= len(pages) <= 3
        assert all((DOCS / f"{page}.md").is_file() for page in pages)


def test_an_index_that_leads_elsewhere_is_told() -> None:
    """A word that is not there, one that comes behind all text, and one that more than three pages claim."""
    assert SEARCH.missing_in(_index()) == []
    found = SEARCH.missing_in(_index(is_main=False))
    assert len(found) == sum(map(len, SEARCH.WORDS.values()))
    index = _index()
    del index["indexentries"]["journal"]
    assert SEARCH.missing_in(index) == ["'journal' does not find journal.md first"]
    index = _index()
    index["docnames"] += ["a", "b", "c"]
    last = len(index["docnames"])
    index["indexentries"]["journal"] += [[number, "id1", True] for number in range(last - 3, last)]
    assert SEARCH.missing_in(index) == ["'journal' finds more than three pages first: ['a', 'b', 'c', 'journal']"]

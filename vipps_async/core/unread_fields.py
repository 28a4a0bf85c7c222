"""Counts fields of answers that could not be read and words that are not known, and logs them.

A separate module, because calls, the journal's records and callbacks all use it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vipps_async.core.events import EventLog
from vipps_async.core.operation import Call

#: By class and name in JSON, such as ``"PaymentDetails.sub"``: our own names only, so that it cannot grow.
_counts: Counter[str] = Counter()
#: The same for fields whose word is not known.
_unknown_words: Counter[str] = Counter()
#: A word is shown as letters alone, and no more of them than this: whatever Vipps wrote there, it is no number and no
#: line of its own.
_NO_LETTERS, _LONGEST_WORD = re.compile(r"[^A-Za-z]+"), 40
_log = EventLog()


def note_unread(field: str) -> None:
    """Count a field, and write it to the log the first, tenth, hundredth ... time: it may stand in every answer."""
    _counts[field] += 1
    count = _counts[field]
    if f"{count:d}".rstrip("0") == "1":
        _log.field_unread(field, count=count)


def unread_fields() -> Mapping[str, int]:
    """Return how often each field could not be read in this process, by class and name in JSON."""
    return MappingProxyType(_counts)


def note_unknown_word(call: Call[Any], field: str, word: str) -> None:
    """Count an answer of success in an unknown word, and write each to the log: somebody may want to look at it.

    Args:
        call: what was answered; the log names its payment and key.
        field: the field, by class and name in JSON.
        word: what stood there.
    """
    _unknown_words[field] += 1
    shown = _NO_LETTERS.sub("_", word)[:_LONGEST_WORD]
    _log.word_unknown(call, field, word=shown, count=_unknown_words[field])


def unknown_words() -> Mapping[str, int]:
    """Return how often each field had a word that is not known, in this process, by class and name in JSON."""
    return MappingProxyType(_unknown_words)

"""The write-ahead journal: what a session notes before money moves, and where it notes it."""

from typing import TYPE_CHECKING

from vipps_async.names_on_demand import names_on_demand

if TYPE_CHECKING:
    from vipps_async.journals.memory import MemoryJournal
    from vipps_async.journals.postgres.journal import PostgresJournal
    from vipps_async.journals.protocol import (
        Attempts,
        DamagedEntry,
        Entry,
        Intent,
        Journal,
        KeyOrigin,
        Outcome,
        Settlement,
        Standing,
        World,
    )
    from vipps_async.journals.sqlite.journal import SqliteJournal
else:
    __getattr__, __dir__ = names_on_demand(
        __name__,
        {
            "Attempts": "vipps_async.journals.protocol",
            "DamagedEntry": "vipps_async.journals.protocol",
            "Entry": "vipps_async.journals.protocol",
            "Intent": "vipps_async.journals.protocol",
            "Journal": "vipps_async.journals.protocol",
            "KeyOrigin": "vipps_async.journals.protocol",
            "MemoryJournal": "vipps_async.journals.memory",
            "Outcome": "vipps_async.journals.protocol",
            "PostgresJournal": "vipps_async.journals.postgres.journal",
            "Settlement": "vipps_async.journals.protocol",
            "SqliteJournal": "vipps_async.journals.sqlite.journal",
            "Standing": "vipps_async.journals.protocol",
            "World": "vipps_async.journals.protocol",
        },
    )

__all__ = [
    "Attempts",
    "DamagedEntry",
    "Entry",
    "Intent",
    "Journal",
    "KeyOrigin",
    "MemoryJournal",
    "Outcome",
    "PostgresJournal",
    "Settlement",
    "SqliteJournal",
    "Standing",
    "World",
]

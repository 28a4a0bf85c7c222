"""The write-ahead journal: what a session notes before money moves, and where it notes it."""

from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.postgres import PostgresJournal
from vipps_async.journals.protocol import Entry, Intent, Journal, Outcome, Settlement, Standing
from vipps_async.journals.sqlite import SqliteJournal

__all__ = [
    "Entry",
    "Intent",
    "Journal",
    "MemoryJournal",
    "Outcome",
    "PostgresJournal",
    "Settlement",
    "SqliteJournal",
    "Standing",
]

"""A journal in one SQLite file."""

from vipps_async.journals.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]

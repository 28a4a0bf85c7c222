"""A journal in PostgreSQL, for work that several machines share. Needs the extra ``postgres``."""

from vipps_async.journals.postgres.journal import PostgresJournal

__all__ = ["PostgresJournal"]

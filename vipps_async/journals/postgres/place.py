"""The place of a journal in PostgreSQL: its name, and whether it exists; found out without making one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from vipps_async.journals.postgres.journal import PostgresJournal


#: Seconds that the database has to say whether a journal is there.
_PATIENCE = 10.0


@frozen
class PostgresPlace:
    """A schema of a database. Everything but its name needs the extra ``postgres``."""

    #: Never shown: it may hold a password.
    dsn: str = field(repr=False)
    schema: str
    #: What a command line to be copied must say of it; empty: nothing.
    option: str = " --dsn DSN"

    @property
    def name(self) -> str:
        """What it is called on a screen, such as ``vipps_async@db.internal/shop``."""
        try:
            import psycopg  # noqa: PLC0415 - the extra is needed only here
            from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - as above
        except ImportError:
            return self.schema
        try:
            given = conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            # It is refused when it is used, by a text that does not show it.
            return self.schema
        host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
        if (service := given.get("service") or os.environ.get("PGSERVICE")) and not given.get("host"):
            host = service
        database = given.get("dbname") or os.environ.get("PGDATABASE")
        return f"{self.schema}@{host}/{database}" if database else f"{self.schema}@{host}"

    def journal(self) -> PostgresJournal:
        """Make the journal, not yet open; opening makes its tables.

        Raises:
            ConfigurationError: the extra is not installed.
            InvalidInputError: the DSN cannot be read, or the schema is no plain name.
        """
        from vipps_async.journals.postgres.journal import PostgresJournal  # noqa: PLC0415 - its extra is needed only here

        return PostgresJournal(self.dsn, schema=self.schema)

    async def exists(self) -> bool:
        """Return whether the journal's tables exist; changes nothing.

        Raises:
            JournalError: the database does not answer, or the tables are of another version.
            ConfigurationError: as for `journal`.
            InvalidInputError: as for `journal`.
        """
        # What is wrong with the DSN or the installation is said by the one who says it elsewhere.
        self.journal()
        from vipps_async.journals.postgres.database import Database  # noqa: PLC0415 - the extra is needed only here
        from vipps_async.journals.postgres.sql import TABLES  # noqa: PLC0415 - as above

        return await Database(self.dsn, tables=TABLES, schema=self.schema, timeout=_PATIENCE).exists()

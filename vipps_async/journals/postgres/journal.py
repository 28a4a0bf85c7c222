"""The journal in PostgreSQL."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from vipps_async.errors import ConfigurationError
from vipps_async.extras import text_for_missing
from vipps_async.journals.group_commit import WriteCondition
from vipps_async.journals.stored_journal import LARGEST_BACKLOG, StoredJournal

if TYPE_CHECKING:
    from vipps_async.journals.postgres.store import PostgresStore


class PostgresJournal(StoredJournal):
    """A `Journal` in PostgreSQL, for work that several processes or machines share.

    Intents of different workers for the same key meet in the database, and only one goes on. Leases are measured by
    the database's clock, so the machines' own clocks do not matter. All that tasks ask for at the same time is
    committed together. After the connection was lost it recovers by itself; until then each begin is refused.

    Needs the extra ``postgres`` (psycopg 3 with its pool). On Windows psycopg wants a selector event loop. The object
    may be made anywhere, and is used from one event loop at a time.

    Args:
        dsn: where the database is, as a connection string or URL. Never shown anywhere: it may hold a password.
        schema: the PostgreSQL schema that holds the journal's tables; made if it is not there.
        min_size: connections that are kept open.
        max_size: the most connections; one writes, the others serve walks and look-ups.
        timeout: how long one commit or read may take, waiting for a connection included, in seconds.
        max_queued_outcomes: how many outcomes may wait to be written before `settle` and `release` wait.
        condition: asked at each write what must hold for it, if anything; see `WriteCondition`. A write that it
            keeps out raises JournalError, and an outcome that was queued is dropped. By default nothing must.

    Raises:
        ConfigurationError: the extra is not installed.
        InvalidInputError: `dsn` cannot be read, `schema` is no plain name, or a number is not positive.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "vipps_async",
        min_size: int = 1,
        max_size: int = 4,
        timeout: float = 10.0,
        max_queued_outcomes: int = LARGEST_BACKLOG,
        condition: Callable[[], WriteCondition | None] = lambda: None,
    ) -> None:
        try:
            from vipps_async.journals.postgres import store  # noqa: PLC0415 - the extra is needed only here
        except ImportError as error:
            raise ConfigurationError(
                text_for_missing("PostgresJournal", "postgres"), advice=f"psycopg could not be loaded: {error}"
            ) from error
        super().__init__(
            f"the journal in the schema {schema}", max_queued_outcomes=max_queued_outcomes, condition=condition
        )
        self._schema = schema
        self._new = functools.partial(
            store.PostgresStore, dsn, schema=schema, min_size=min_size, max_size=max_size, timeout=timeout
        )
        # One that cannot be made is refused here, not when it is opened.
        self._new()

    def __repr__(self) -> str:
        return f"<PostgresJournal, schema {self._schema}>"

    def _new_store(self) -> PostgresStore:
        return self._new()

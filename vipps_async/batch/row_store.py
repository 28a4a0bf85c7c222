"""The rows of a batch file and what became of them, in a private temporary database: a million rows, little memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Self

from attrs import frozen

from vipps_async.batch import report as stored
from vipps_async.batch.layout import Layout, reference_heading
from vipps_async.batch.reading import FileReader
from vipps_async.batch.report import HeldRow, ReportRow, Totals
from vipps_async.batch.results import Hold, RowCause, RowOutcome, RowResult
from vipps_async.batch.tables import FileStyle
from vipps_async.core.batch import BatchRow
from vipps_async.core.payment_api import Unit

#: What names an operation of the sales unit: API, operation, payment and key.
OpenKey = tuple[str, str, str, str]
#: What names a row among those of its file and payment: its number and its reference, if it has one.
Sibling = tuple[int, str | None]
#: Rows in one statement and one page.
_PAGE = 500

_SCHEMA = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, line INTEGER NOT NULL, payment TEXT NOT NULL, amount INTEGER, text TEXT NOT NULL,
    reference TEXT, another INTEGER NOT NULL, violation TEXT, cells TEXT,
    outcome TEXT, moved INTEGER, time TEXT, key TEXT,
    code TEXT, reason TEXT, cause TEXT
)
"""
#: What the journal had open when the run began, oldest first.
_OPENED = """
CREATE TABLE opened (
    number INTEGER PRIMARY KEY, api TEXT NOT NULL, operation TEXT NOT NULL, payment TEXT NOT NULL, key TEXT NOT NULL,
    UNIQUE (key, api, operation, payment)
)
"""
#: The row that an operation belongs to, over the file's API and with its operation. A payment is cancelled once, by
#: whichever of its cancels, whose keys may be of the journal's own making.
_ITS_ROW = (
    "rows WHERE rows.payment = opened.payment AND (rows.key = opened.key OR operation = 'cancel') AND api = ?1 "
    "AND operation = ?2"
)
#: All rows: there is one file.
_ROWS = "rows WHERE TRUE"
#: All rows with one reference, but for the first of them.
_SAME_REFERENCE = """
SELECT later.number, first.line FROM (
    SELECT reference, min(number) AS number FROM rows WHERE violation IS NULL AND reference IS NOT NULL
    GROUP BY reference HAVING count(*) > 1
) AS twice JOIN rows AS first ON first.number = twice.number
JOIN rows AS later ON later.reference = twice.reference AND later.number > first.number AND later.violation IS NULL
"""
#: The same for rows that have none and are alike in everything.
_SAME_CONTENT = """
SELECT later.number, first.line FROM (
    SELECT payment, amount, text, min(number) AS number FROM rows WHERE violation IS NULL AND reference IS NULL
    GROUP BY payment, amount, text HAVING count(*) > 1
) AS twice JOIN rows AS first ON first.number = twice.number
JOIN rows AS later ON later.payment = twice.payment AND later.amount IS twice.amount AND later.text = twice.text
AND later.number > first.number AND later.violation IS NULL AND later.reference IS NULL
"""
#: Rows that may repeat an earlier one of the file: the same payment and amount, and one of the two has no reference.
#: Lines go up with the rows, so the lowest one is the first row's.
_REPETITIONS = """
SELECT number, first FROM (
    SELECT number, line, another, outcome, CASE WHEN reference IS NULL THEN min(line) OVER same
    ELSE min(CASE WHEN reference IS NULL THEN line END) OVER same END AS first
    FROM rows WHERE violation IS NULL AND amount IS NOT NULL WINDOW same AS (PARTITION BY payment, amount)
) WHERE line > first AND NOT another AND outcome IS NULL
"""


@frozen(kw_only=True)
class RequestedTotals:
    """What the good rows of a file ask for."""

    rows: int
    #: Minor units, of those rows that name an amount.
    amount: int
    #: How many rows take all that remains.
    takes_all: int


class RowStore:
    """The rows of one file. Every method blocks for a moment and may be called from any thread."""

    def __init__(self) -> None:
        # The empty name: a file without a name, which only this connection knows, and which goes when it goes. SQLite
        # keeps some MB of it in memory and puts the rest on the disk.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(_SCHEMA)
        self._database.execute(_OPENED)
        #: The SHA-256 of the file, once it is loaded.
        self.digest: str = ""
        #: What its amounts are counted in; None: it has none.
        self.unit: Unit | None = None
        #: How it is written, and the headings of its columns that were passed over.
        self.style = FileStyle()
        self.ignored: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._database.close()

    def load(self, stream: BinaryIO, layout: Layout, *, given_up: Callable[[], bool] = lambda: False) -> None:
        """Read and check a whole file.

        Args:
            stream: the file from its beginning.
            layout: what is known of it.
            given_up: asked now and then whether nobody waits for it any more.

        Raises:
            BatchFileError: the file as a whole cannot be read.
            OSError: it cannot be read from the disk.
        """
        reader = FileReader(stream, layout)
        values: list[tuple[object, ...]] = []
        for row in reader.rows():
            values.append(stored.asked_values(row))
            if len(values) == _PAGE:
                self._insert(values)
                values = []
                if given_up():
                    return
        self._insert(values)
        self.digest, self.unit = reader.digest, reader.unit
        self.style, self.ignored = reader.style, reader.ignored
        self._refuse_repetitions(reference_heading(layout.api))

    def _insert(self, values: Sequence[tuple[object, ...]]) -> None:
        statement = f"INSERT INTO rows ({stored.ASKED_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants only
        self._many(statement, values)

    def _refuse_repetitions(self, heading: str) -> None:
        with self._lock:
            self._database.execute("CREATE INDEX by_reference ON rows (reference) WHERE reference IS NOT NULL")
            self._database.execute("CREATE INDEX by_content ON rows (payment, amount, text) WHERE reference IS NULL")
            same_reference = self._database.execute(_SAME_REFERENCE).fetchall()
            same_content = self._database.execute(_SAME_CONTENT).fetchall()
        statement = "UPDATE rows SET violation = ? WHERE number = ?"
        self._many(statement, [(f"the same {heading} as in line {line}", number) for number, line in same_reference])
        meant = f"if both are meant, give each a {heading} of its own"
        self._many(statement, [(f"the same as line {line}: {meant}", number) for number, line in same_content])

    # --- the work --------------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[BatchRow]:
        """Go through the good rows that have not ended for good, in the file's order."""
        final = ", ".join(f"'{outcome}'" for outcome in stored.FINAL)
        return (row for row, _ in self._batch_rows(f"(outcome IS NULL OR outcome NOT IN ({final}))"))

    def _batch_rows(self, where: str) -> Iterator[tuple[BatchRow, bool]]:
        """Go through rows, each with whether another one is meant than what was done before."""
        pages = self._pages(stored.UNFINISHED + where)
        return ((stored.batch_row(self.digest, values), bool(values[-1])) for values in pages)

    def pass_over_all(self) -> None:
        """Note that no row is begun, as some are invalid."""
        statement = "UPDATE rows SET outcome = 'not begun', reason = ?, cause = ? WHERE violation IS NULL"
        self._many(statement, [("Another row of the file is invalid.", RowCause.OTHERS_INVALID.value)])

    # --- rows that are held ----------------------------------------------------------------------------------------

    def release(self, payments: Iterable[str]) -> list[str]:
        """Take the rows of these payments for other ones than what was done before; returns those that have none."""
        missing = []
        for payment in payments:
            with self._lock:
                statement = "UPDATE rows SET another = TRUE WHERE payment = ? AND violation IS NULL"
                if not self._database.execute(statement, (payment,)).rowcount:
                    missing.append(payment)
        return missing

    def hold_repetitions(self) -> None:
        """Hold rows that may repeat an earlier one of the same file."""
        found = self._all(_REPETITIONS)
        text = "meets line {} of this file, and one of the two has no reference"
        self._hold((number, Hold(text.format(line))) for number, line in found)

    def rows_to_hold(self) -> Iterator[tuple[BatchRow, bool]]:
        """Go through the rows that are neither held nor ended, each with whether it is released."""
        return self._batch_rows("outcome IS NULL")

    def rows_of_payments(self, payments: Collection[str]) -> dict[str, list[Sibling]]:
        """Return all rows of these payments, by payment."""
        marks = ", ".join("?" * len(payments))
        statement = f"SELECT payment, number, reference FROM rows WHERE payment IN ({marks})"  # noqa: S608 - marks only
        found: dict[str, list[Sibling]] = {}
        for payment, number, reference in self._all(statement, tuple(payments)):
            found.setdefault(payment, []).append((number, reference))
        return found

    def hold(self, rows: Iterable[tuple[BatchRow, Hold]]) -> None:
        """Note that rows are not to be sent, and why."""
        self._hold([(row.origin.number, hold) for row, hold in rows if row.origin is not None])

    def _hold(self, holds: Iterable[tuple[int, Hold]]) -> None:
        values = [(hold.reason, None if hold.cause is None else hold.cause.value, number) for number, hold in holds]
        self._many("UPDATE rows SET outcome = 'held', reason = ?, cause = ? WHERE number = ?", values)

    def held_rows(self) -> list[HeldRow]:
        """Return the first rows that are held."""
        return stored.held_rows(self._all(stored.HELD_ROWS.replace("{rows}", _ROWS)))[0]

    # --- what was open before ---------------------------------------------------------------------------------------

    def note_open(self, operations: Iterable[OpenKey]) -> None:
        """Note operations that the journal has open as the run begins."""
        statement = "INSERT OR IGNORE INTO opened (api, operation, payment, key) VALUES (?, ?, ?, ?)"
        self._many(statement, list(operations))

    def was_open(self, operation: OpenKey) -> bool:
        """Whether the journal had an operation open when the run began."""
        statement = "SELECT 1 FROM opened WHERE api = ? AND operation = ? AND payment = ? AND key = ?"
        return bool(self._all(statement, operation))

    def rows_open_before(self, api: str, operation: str) -> Iterator[BatchRow]:
        """Go through the rows that have not come up of payments of which such an operation was open before the run."""
        self._all("CREATE INDEX IF NOT EXISTS by_payment ON opened (payment, api, operation)")
        # Both names are constants of ours.
        opened = f"SELECT payment FROM opened WHERE api = '{api}' AND operation = '{operation}'"  # noqa: S608 - as it says
        where = f"(outcome IS NULL OR outcome = 'not begun') AND payment IN ({opened})"
        return (row for row, _ in self._batch_rows(where))

    def open_of_file(self, api: str, operation: str) -> int:
        """Count what was open of the rows of the file that have been looked at."""
        statement = f"SELECT count(*) FROM opened WHERE EXISTS (SELECT 1 FROM {_ITS_ROW})"  # noqa: S608 - constants only
        return int(self._all(statement, (api, operation))[0][0])

    def open_beside(self, api: str, operation: str) -> list[OpenKey]:
        """Return what was open and is counted with no row of this run, which went over this API with this operation."""
        counted = f"SELECT 1 FROM {_ITS_ROW} AND rows.outcome IN ('done', 'otherwise', 'found done')"  # noqa: S608 - as above
        opened = "SELECT api, operation, payment, key FROM opened"
        return self._all(f"{opened} WHERE NOT EXISTS ({counted}) ORDER BY number", (api, operation))

    # --- results ----------------------------------------------------------------------------------------------------

    def save(self, results: Iterable[RowResult]) -> None:
        """Note what became of rows that `rows` gave."""
        # What this very run could not finish at once, and found finished later, was done in this run.
        statement = (
            "UPDATE rows SET outcome = CASE WHEN outcome IS NOT NULL AND ?2 = 'done before' THEN 'done' "
            "WHEN outcome IS NOT NULL AND ?2 = 'otherwise before' THEN 'otherwise' ELSE ?2 END, "
            "moved = ?3, time = ?4, key = ?5, code = ?6, reason = ?7, cause = ?8 WHERE number = ?1"
        )
        values = (stored.result_values(result) for result in results)
        self._many(
            statement, [(*v[:3], v[3].isoformat() if isinstance(v[3], datetime) else None, *v[4:]) for v in values]
        )

    def has_come_up(self, row: BatchRow) -> bool:
        """Whether this run has noted something of a row."""
        number = None if row.origin is None else row.origin.number
        return bool(self._all("SELECT 1 FROM rows WHERE number = ? AND outcome IS NOT NULL", (number,)))

    def repeated_payments(self) -> frozenset[str]:
        """Return the payments that several good rows are about."""
        statement = "SELECT payment FROM rows WHERE violation IS NULL GROUP BY payment HAVING count(*) > 1"
        return frozenset(payment for (payment,) in self._all(statement))

    # --- the outcome -----------------------------------------------------------------------------------------------

    def invalid_rows(self, limit: int) -> list[tuple[int, str, str]]:
        """Return the first bad rows: line, payment as far as it could be read, and reason."""
        statement = "SELECT line, payment, violation FROM rows WHERE violation IS NOT NULL ORDER BY number LIMIT ?"
        return self._all(statement, (limit,))

    def unsuccessful_rows(self, limit: int) -> list[tuple[int, str, str | None, RowOutcome, str]]:
        """Return the first rows that were begun and are not done as asked: line, payment, reference, outcome, reason.

        Those whose money may have moved come first.
        """
        statement = (
            "SELECT line, payment, reference, outcome, coalesce(reason, '') FROM rows WHERE outcome IN ('unknown', "
            "'otherwise', 'otherwise before', 'refused', 'not done') ORDER BY outcome IN ('refused', 'not done'), "
            "number LIMIT ?"
        )
        found = self._all(statement, (limit,))
        return [
            (line, payment, reference, RowOutcome(outcome), reason)
            for line, payment, reference, outcome, reason in found
        ]

    def of_cause(self, cause: RowCause) -> tuple[int, int]:
        """Return how many rows ended so for this cause, and how much moved by them, in minor units."""
        statement = "SELECT count(*), coalesce(sum(moved), 0) FROM rows WHERE cause = ?"
        ((count, moved),) = self._all(statement, (cause.value,))
        return count, moved

    def requested_totals(self) -> RequestedTotals:
        """Add up what the good rows ask for."""
        statement = (
            "SELECT count(*), coalesce(sum(amount), 0), count(*) - count(amount) FROM rows WHERE violation IS NULL"
        )
        rows, amount, takes_all = self._all(statement)[0]
        return RequestedTotals(rows=rows, amount=amount, takes_all=takes_all)

    def totals(self) -> Totals:
        """Add everything up."""
        groups, refusals = (self._all(each.replace("{rows}", _ROWS)) for each in (stored.TOTALS, stored.REFUSALS))
        return stored.totals_of(groups, refusals)

    def report(self) -> Iterator[ReportRow]:
        """Go through all rows, bad ones included, in the file's order."""
        return map(stored.report_row, self._pages(stored.REPORT))

    # --- the database ----------------------------------------------------------------------------------------------

    def _pages(self, select: str) -> Iterator[Any]:
        statement = f"{select.replace('{rows}', _ROWS)} AND number > ? ORDER BY number LIMIT ?"
        after = 0
        while page := self._all(statement, (after, _PAGE)):
            yield from page
            after = page[-1][0]

    def _all(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _many(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        if not values:
            return
        with self._lock:
            self._database.execute("BEGIN")
            self._database.executemany(statement, values)
            self._database.execute("COMMIT")

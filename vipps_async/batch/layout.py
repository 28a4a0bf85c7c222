"""The layout of a batch file: its format, its columns, and the unit of its amounts, as given before it is read."""

from __future__ import annotations

import codecs
import difflib
import enum
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi, Unit
from vipps_async.errors import InvalidInputError, VippsError

#: How much of what cannot be read is kept to show it, in characters.
_SHOWN = 80
_AMOUNT = "amount"
#: Says of a row that another capture or refund of the same amount is meant.
ANOTHER = "another"
#: Encodings that a file may be said to have, by Python's name: one byte a character, or UTF-8; all end a line alike.
_ENCODINGS = {"utf-8": "UTF-8", "cp1252": "Windows-1252", "iso8859-1": "ISO-8859-1", "iso8859-15": "ISO-8859-15"}


class BatchFileError(VippsError, ValueError):
    """A batch file as a whole cannot be read; nothing was sent.

    Attributes:
        line: the line that it was found on; the first line is 1.
    """

    default_advice = "correct the file, then run the batch again"

    def __init__(self, message: str, *, line: int | None = None, advice: str | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", advice=advice)
        self.line = line


class FileFormat(enum.Enum):
    """How a batch file is written."""

    CSV = "csv"
    JSONL = "jsonl"


def reference_heading(api: PaymentApi) -> str:
    """Return the heading of a row's own name: `reference`, unless the API calls the payment's id so."""
    return "row_reference" if api.payment_heading == "reference" else "reference"


@frozen(kw_only=True)
class Layout:
    """The layout of a batch file, as given before it is read."""

    api: PaymentApi
    operation: BatchOperation
    #: None: JSON Lines if the file begins with ``{``, else CSV.
    format: FileFormat | None = None
    #: What a column `amount` is counted in; None: the heading has to say so, `amount_ore` for example.
    unit: Unit | None = None
    #: The text of every row, for a file that has none of its own.
    text: str | None = None
    #: What the file calls a column, by the name that it has here, such as ``{"reference": "Forsendelse"}``.
    columns: Mapping[str, str] = field(factory=dict)
    #: Whether columns that are not known are passed over.
    ignore_other_columns: bool = False
    #: Whether each row takes all that is left. Without it, so does a file that has no amounts, unless other columns of
    #: it are passed over: one of those may be the amounts under a name that is not known.
    takes_all: bool = False
    #: One of ``utf-8``, ``windows-1252``, ``iso-8859-1``, ``iso-8859-15``, under any name that Python knows.
    encoding: str = "utf-8"
    #: What to say of a heading that this file cannot have, but one over another API or in another currency could.
    elsewhere: Mapping[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        known = (*self.fields(), *(() if self.operation is BatchOperation.CANCEL else (_AMOUNT,)))
        for ours, theirs in self.columns.items():
            if ours not in known:
                raise InvalidInputError("columns", f"names of {', '.join(self.fields())}", value=ours)
            same = [each for each in self.columns.values() if _composed(each) == _composed(theirs)]
            if not _composed(theirs) or len(same) > 1:
                raise InvalidInputError("columns", f"a heading of its own for {ours}", value=theirs)
        if self.codec not in _ENCODINGS:
            raise InvalidInputError("encoding", f"one of {', '.join(_ENCODINGS.values())}", value=self.encoding)

    @property
    def codec(self) -> str:
        """Python's own name of the encoding; empty: it has none."""
        try:
            return codecs.lookup(self.encoding).name
        except LookupError:
            return ""

    @property
    def encoding_name(self) -> str:
        """What people call the encoding."""
        return _ENCODINGS[self.codec]

    def fields(self) -> tuple[str, ...]:
        """Return the fields that a row may have."""
        is_cancel, text = self.operation is BatchOperation.CANCEL, self.api.text_heading
        money = () if is_cancel else (_AMOUNT, *self._amount_in)
        texts = () if text is None else (text,)
        return (
            self.api.payment_heading,
            *money,
            *texts,
            reference_heading(self.api),
            *(() if is_cancel else (ANOTHER,)),
        )

    @property
    def _amount_in(self) -> dict[str, Unit]:
        """Columns of amounts that say what they are counted in."""
        return {f"{_AMOUNT}_{unit.name}": unit for unit in self.api.units}

    def amount_of(self, fields: Iterable[str]) -> tuple[str, Unit | None] | None:
        """Return the name of the field that has the amounts and what they are counted in; None: there is no such field.

        The unit is None where neither the heading nor the layout says it.
        """
        for name in fields:
            if name == _AMOUNT:
                return name, self.unit
            if name in self._amount_in:
                return name, self._amount_in[name]
        return None

    def names_of(self, headings: Iterable[str]) -> list[str | None]:
        """Return the field that each heading of a file names; None: another column."""
        known, renamed = (*self.fields(), _AMOUNT, *self._amount_in), self._renamed
        # What another heading was named for is not found under its own name as well.
        names = ((renamed.get(heading), heading) for heading in map(_composed, headings))
        return [ours or (name if name in known and name not in self.columns else None) for ours, name in names]

    @property
    def _renamed(self) -> dict[str, str]:
        return {_composed(theirs): ours for ours, theirs in self.columns.items()}

    def violation_of(self, headings: Sequence[str]) -> str | None:
        """Say what is wrong with the headings that a file has."""
        named = self.names_of(headings)
        others = [heading for heading, name in zip(headings, named, strict=True) if name is None]
        fields = [name for name in named if name is not None]
        others = without_own(others) if is_report(headings) else others
        if others and not self.ignore_other_columns:
            return self._unknown(others, fields)
        for name in fields:
            if fields.count(name) > 1:
                return f"the column {name} stands there {fields.count(name)} times"
        return self._violation_of_texts(fields) or self._violation_of_amounts(
            [name for name in fields if name == _AMOUNT or name in self._amount_in], others
        )

    def _unknown(self, others: Sequence[str], found: Sequence[str]) -> str:
        """Name all columns that are not known at once, each with the missing one that it is nearest to."""
        missing = [name for name in self.fields() if name not in found]
        near = {heading: self._nearest(heading, missing) for heading in others}
        told = [f'"{shown(heading)}"{f" (is it {name}?)" if name else ""}' for heading, name in near.items()]
        elsewhere = "".join(dict.fromkeys(self.elsewhere.get(_composed(heading), "") for heading in others))
        named = next((each for each in near.items() if each[1]), (others[0] or "NAME", self.api.payment_heading))
        many = "is no column" if len(others) == 1 else "are no columns"
        return (
            f"{', '.join(told)} {many} of a batch file; there are {', '.join(self.fields())}{elsewhere}; "
            f"--column {named[1]}={_quoted(shown(named[0]))} gives one another name, --ignore-other-columns skips all "
            "that are not known"
        )

    def _nearest(self, heading: str, known: Sequence[str]) -> str:
        """Return the one of these columns that a heading may mean; empty: none is near."""
        word = _composed(heading).lower()
        for norwegian, ours in self._norwegian.items():
            if norwegian in word and ours in known:
                return ours
        return next(iter(difflib.get_close_matches(word, known, n=1)), "")

    @property
    def _norwegian(self) -> dict[str, str]:
        """Which column is meant by what Norwegian headings have in them; the first one counts."""
        payment, row = self.api.payment_heading, reference_heading(self.api)
        main = f"{_AMOUNT}_{self.api.main_unit.name}"
        amounts = {f"i {unit.word}": f"{_AMOUNT}_{unit.name}" for unit in self.api.units} | dict.fromkeys(
            ("beløp", "belop", "sum"), main
        )
        texts = dict.fromkeys(("tekst", "beskrivelse", "melding"), self.api.text_heading or "")
        rows = dict.fromkeys(("forsendelse", "retur", "bilag"), row)
        return amounts | texts | rows | dict.fromkeys(("ordre", "bestilling", "order"), payment)

    def _violation_of_texts(self, fields: list[str]) -> str | None:
        text = self.api.text_heading
        if self.text is not None and text is None:
            return f"{self.api.name} takes no text: give none for all rows"
        needed = [self.api.payment_heading, *([] if text is None or self.text is not None else [text])]
        missing = [name for name in needed if name not in fields and name not in self.columns]
        missing += [f"{shown(theirs)} for {ours}" for ours, theirs in self.columns.items() if ours not in fields]
        if missing:
            remedy = " (--column NAME=HEADING says what the file calls it"
            remedy += "; --transaction-text TEXT stands for all rows)" if text in missing else ")"
            return f"there is no column {' and no column '.join(missing)}{remedy}"
        if self.text is not None and text in fields:
            return f"the file has a column {text}: give no text for all rows beside it"
        return None

    def _violation_of_amounts(self, names: list[str], others: list[str]) -> str | None:
        if names and self.operation is BatchOperation.CANCEL:
            return "a cancel has no amount: leave that column out"
        if names and self.takes_all:
            return f"the file has a column {names[0]}: it cannot take all that is left as well"
        if others and not names and not self.takes_all and self.operation is not BatchOperation.CANCEL:
            return (
                f"no column has the amounts, if {', '.join(map(shown, others))} are not looked at: name it, such as "
                f"--column {_AMOUNT}_{self.api.main_unit.name}={shown(others[-1])}, or say --all: take all that is left"
            )
        if len(names) > 1:
            return f"the amounts stand in {' and in '.join(names)}: which ones are meant?"
        if names and self.unit is not None and self.unit != self._amount_in.get(names[0], self.unit):
            return f"the column {names[0]} is not counted in {self.unit.name}: give no other unit beside it"
        return None


#: Columns of a report that no batch file needs, and what the names of others begin with. The first ones stand in every
#: report: a file that has them is one, which somebody has corrected and sends again.
_REPORTS_OWN = ("line", "api", "outcome", "idempotency_key")
_ALSO_OWN = ("money_moved", "what_happened", "what_to_do")
_OWN_PREFIXES = ("moved_", "would_move_", "time_")


def is_report(headings: Iterable[str]) -> bool:
    """Whether these are the headings of a report."""
    return set(_REPORTS_OWN) <= {_composed(heading) for heading in headings}


def without_own(headings: Iterable[str]) -> list[str]:
    """Return the headings that are none of a report's own."""
    own = {*_REPORTS_OWN, *_ALSO_OWN}
    return [each for each in headings if not (_composed(each) in own or _composed(each).startswith(_OWN_PREFIXES))]


def _composed(heading: str) -> str:
    """Return a heading as it is looked for: a Mac writes "å" as two characters, and blanks of all kinds creep in."""
    return " ".join(unicodedata.normalize("NFC", heading).split())


def _quoted(heading: str) -> str:
    return f'"{heading}"' if " " in heading else heading


def shown(text: str, longest: int = _SHOWN) -> str:
    """Make a text from a file fit for a terminal and a report: on one line, and not without end."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"

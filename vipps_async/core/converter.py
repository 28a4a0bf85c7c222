"""The one converter between JSON and models: names, number-or-string fields, times, open enums, money in decimals."""

from __future__ import annotations

import codecs
import contextlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from vipps_async.core.open_enum import OpenEnum
from vipps_async.core.operation import NoContent
from vipps_async.core.unread_fields import note_unread
from vipps_async.not_given import NotGiven

R = TypeVar("R")

_NAMES = "vipps_async.json_names"
_WRITE = "vipps_async.write"
#: How many lists and objects an answer may have. A payment's history has an entry for each thing that was done to it, a
#: handful; a body of a mebibyte with hundreds of thousands of them would hold the event loop for a tenth of a second.
_MOST_PARTS = 2_000
#: Nearly every answer begins so, and needs no look at the marks.
_HONEST_STARTS = frozenset({b"{", b"["})
#: Longest first: the mark of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: Metadata of a field that JSON never holds: it keeps its default when decoding and is left out when encoding.
NOT_IN_JSON: Final[Mapping[str, object]] = {"vipps_async.not_in_json": True}

#: Metadata of a bool that Vipps writes as ``"Y"`` or ``"N"``.
YES_NO: Final[Mapping[str, object]] = {"vipps_async.yes_no": True}

#: Metadata of a field that may be missing, but must be readable if it is there: of what tells whose money moved and how
#: much. Any other that may be None, or an empty list, is that if it cannot be read: an address never sinks a capture.
STRICT: Final[Mapping[str, object]] = {"vipps_async.strict": True}


def json_name(written: str, *also_read: str, strict: bool = False) -> Mapping[str, object]:
    """Return field metadata for a name in JSON that does not follow from the name in Python.

    Args:
        written: the name to write, and to read first.
        also_read: other names under which Vipps sends the same thing.
        strict: whether it is `STRICT` as well.
    """
    return {_NAMES: (written, also_read), **(STRICT if strict else {})}


def written_by(write: Callable[[Any], object]) -> Mapping[str, object]:
    """Return metadata for a field of requests that is written otherwise than its type is; `write` takes None too."""
    return {_WRITE: write}


class UnreadableAnswer(Exception):  # noqa: N818 - internal: the pipeline turns it into an UnexpectedResponseError
    """The bytes are not the JSON that a model wants.

    Attributes:
        reason: what is wrong: the path of the field and what it should be, never its value.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _UnfitError(Exception):
    """A value is not what its field wants: says what that is and where, and does not hold the value."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self._wanted = wanted
        self._path: list[str] = []

    def within(self, name: str) -> _UnfitError:
        """Add the field, or the place in a list such as ``[3]``, that the value stands in; returns itself."""
        self._path.append(name)
        return self

    def __str__(self) -> str:
        path = ".".join(reversed(self._path)).replace(".[", "[")
        return f"{path} is missing" if self._wanted == "missing" else f"{path or 'the answer'} is not {self._wanted}"


def encode(model: object) -> bytes:
    """Write a model as JSON. Fields that are None or `NOT_GIVEN` are left out."""
    return orjson.dumps(_converter.unstructure(model))


def load_json(body: bytes) -> Any:
    """Parse JSON in any Unicode form that begins with a byte order mark, else in UTF-8.

    Raises:
        UnreadableAnswer: it is none, or has more lists and objects than any honest answer.
    """
    plain = as_utf8(body)
    reason = "the body is not JSON"
    if len(plain) > _MOST_PARTS and plain.count(b"{") + plain.count(b"[") > _MOST_PARTS:
        reason = f"the body has more than {_MOST_PARTS:,} lists and objects"
    else:
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(plain)
    # Raised out here: orjson's exception holds on to the body, which may have a token or a name in it.
    raise UnreadableAnswer(reason)


def as_utf8(body: bytes) -> bytes:
    """Return a text's bytes in UTF-8 without the byte order mark that they began with, if they did with one."""
    if body[:1] in _HONEST_STARTS:
        return body
    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            rest = body[len(mark) :]
            return rest if encoding == "utf-8" else rest.decode(encoding, "replace").encode("utf-8", "replace")
    return body


def decode(body: bytes, cls: type[R]) -> R:
    """Read JSON into a model.

    Unknown fields are ignored, and a null is the same as a missing field. A field that may be None and cannot be read
    is None, and counted, unless it is `STRICT`. `NoContent` is read from any JSON or none, ``tuple[Model, ...]`` from a
    list.

    Raises:
        UnreadableAnswer: the body is not JSON, or lacks a required field, or a required or strict field cannot be read;
            it names the first such field. No other exception comes out of here, whatever the bytes.
    """
    if cls is NoContent and not body.strip():
        return cls()
    value = load_json(body)
    try:
        return cast("R", NoContent()) if cls is NoContent else _converter.structure(value, cls)
    except _UnfitError as fault:
        reason = str(fault)
    # Out here for the same reason.
    raise UnreadableAnswer(reason)


def _json_names(attribute: attrs.Attribute[Any]) -> tuple[str, tuple[str, ...]]:
    irregular = attribute.metadata.get(_NAMES)
    if irregular is not None:
        return cast("tuple[str, tuple[str, ...]]", irregular)
    first, *rest = attribute.name.split("_")
    return first + "".join(map(str.capitalize, rest)), ()


# ---- reading ----

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
#: Defaults of fields that need not be there.
_NOTHING = (None, ())
#: What the JSON parser makes of texts, whole numbers and bools: nothing is left to do.
_PLAIN_IN_JSON = frozenset({str, int, bool})
#: Up to here a float holds every whole number exactly.
_EXACT_FLOAT = 2.0**53


def _read_int(value: object, _cls: object = int) -> int:
    kind = type(value)
    if kind is int:
        return cast("int", value)
    if kind is str and _INTEGER.fullmatch(cast("str", value)):
        return int(cast("str", value))
    # 49900.0 is the same number in JSON as 49900, and some servers write it so.
    if kind is float and cast("float", value).is_integer() and abs(cast("float", value)) <= _EXACT_FLOAT:
        return int(cast("float", value))
    raise _UnfitError("a whole number")


def _read_str(value: object, _cls: object = str) -> str:
    if type(value) is str:
        return value
    # No floats: an id of 20 digits becomes one on its way through a JSON parser, and loses its last digits.
    if type(value) is int:
        return str(value)
    raise _UnfitError("a text")


_BOOLS: Final[Mapping[object, bool]] = {"true": True, "false": False}
_YES_NO: Final[Mapping[object, bool]] = {"Y": True, "N": False}


def _read_bool(value: object, _cls: object = bool) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise _UnfitError("true or false")


def _read_yes_no(value: object, _cls: object = bool) -> bool:
    if type(value) is str and value in _YES_NO:
        return _YES_NO[value]
    return _read_bool(value)


def _read_decimal(value: object, _cls: object = Decimal) -> Decimal:
    if type(value) is str and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if type(value) is int:
        return Decimal(value)
    if type(value) is float and math.isfinite(value):
        # The shortest text that means this float: 12.1, not 12.0999999999999996447.
        return Decimal(repr(value))
    raise _UnfitError("a decimal number")


def _read_datetime(value: object, _cls: object = datetime) -> datetime:
    if type(value) is not str or (match := _TIME.fullmatch(value)) is None:
        raise _UnfitError("a time")
    day, clock, fraction, zone = match.groups()
    try:
        if zone == "Z" and value[10] == "T":
            # Nearly every time that Vipps sends. Microseconds are the finest there is: fromisoformat drops the rest.
            return datetime.fromisoformat(value.replace(" ", ""))
        # No zone means UTC at Vipps.
        time = datetime.fromisoformat(f"{day}T{clock}{fraction or ''}{zone or 'Z'}")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _UnfitError("a time") from None


def _read_enum(value: object, cls: type[OpenEnum]) -> OpenEnum:
    if type(value) is not str:
        raise _UnfitError("a text")
    return cls(value)


_READERS: Final[Mapping[type, Callable[[Any, Any], object]]] = {
    int: _read_int,
    str: _read_str,
    bool: _read_bool,
    Decimal: _read_decimal,
    datetime: _read_datetime,
    # Its members are texts too, but the closest class of a type decides.
    OpenEnum: _read_enum,
}


def _tuple_reader(cls: Any, converter: Converter) -> Callable[[object, object], object]:
    wanted = get_args(cls)[0]
    read_item = converter.get_structure_hook(wanted)

    def read(value: object, _cls: object) -> object:
        # Otherwise an object would be read as the list of its keys, a text as the list of its letters.
        if type(value) is not list:
            raise _UnfitError("a list")
        items: list[object] = []
        try:
            for item in value:
                items.append(read_item(item, wanted))  # noqa: PERF401 - its length tells which one was refused
        except _UnfitError as fault:
            fault.within(f"[{len(items)}]")
            raise
        return tuple(items)

    return read


def _read_texts(value: object, _cls: object = None) -> Mapping[str, str]:
    if type(value) is not dict:
        raise _UnfitError("an object")
    return {name: _read_str(text) for name, text in value.items() if text is not None}


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value: in JSON a null is the same as a missing field."""
    if None in fields.values():
        return {name: value for name, value in fields.items() if value is not None}
    return fields


def _model_reader(cls: type[Any], converter: Converter) -> Callable[[object, object], object]:
    # Annotations are texts until somebody asks what they mean.
    attrs.resolve_types(cls)
    fields = attrs.fields(cls)
    overrides = {field.name: _read_override(cls, field, converter) for field in fields}
    read_fields = make_dict_structure_fn(cls, converter, **overrides)
    aliases = [(name, alias) for name, others in map(_json_names, fields) for alias in others]

    def read(value: object, _cls: object) -> object:
        if type(value) is not dict:
            raise _UnfitError("an object")
        given = _without_none(value)
        for name, alias in aliases:
            if alias in given:
                given = {name: given[alias], **given}
        try:
            return read_fields(given, cls)
        except KeyError as missing:
            raise _UnfitError("missing").within(missing.args[0]) from None
        except ValueError:
            # A model's own rules raise InvalidInputError, which is a ValueError.
            raise _UnfitError("readable") from None

    return read


def _read_override(cls: type[Any], attribute: attrs.Attribute[Any], converter: Converter) -> Any:
    if NOT_IN_JSON.keys() & attribute.metadata.keys():
        return override(omit=True)
    wanted: Any = attribute.type
    if NoneType in get_args(wanted):
        (wanted,) = (part for part in get_args(wanted) if part is not NoneType)
    is_yes_no = bool(YES_NO.keys() & attribute.metadata.keys())
    read_value = _read_yes_no if is_yes_no else converter.get_structure_hook(wanted)
    plain = wanted if wanted in _PLAIN_IN_JSON and not is_yes_no else None
    is_lenient = attribute.default in _NOTHING and not STRICT.keys() & attribute.metadata.keys()
    name = _json_names(attribute)[0]

    def read(value: object, _cls: object) -> object:
        if type(value) is plain:
            # Most fields: a call less for each.
            return value
        try:
            return read_value(value, wanted)
        except _UnfitError as fault:
            if not is_lenient:
                fault.within(name)
                raise
        note_unread(f"{cls.__name__}.{name}")
        return attribute.default

    return override(rename=name, struct_hook=read)


# ---- writing ----


def _write_decimal(value: Decimal) -> orjson.Fragment:
    # As text into the JSON, since a float could not hold it; "f" because JSON readers differ about 1E+2.
    return orjson.Fragment(format(value, "f"))


def _write_yes_no(value: bool | None) -> str | None:  # noqa: FBT001 - called by cattrs
    return None if value is None else "Y" if value else "N"


def _model_writer(cls: type[Any], converter: Converter) -> Callable[[Any], dict[str, object]]:
    overrides = {field.name: _write_override(field) for field in attrs.fields(cls)}
    write_fields = make_dict_unstructure_fn(cls, converter, **overrides)
    return lambda model: _without_none(write_fields(model))


def _write_override(attribute: attrs.Attribute[Any]) -> Any:
    is_yes_no = YES_NO.keys() & attribute.metadata.keys()
    write = _write_yes_no if is_yes_no else attribute.metadata.get(_WRITE)
    return override(
        omit=True if NOT_IN_JSON.keys() & attribute.metadata.keys() else None,
        rename=_json_names(attribute)[0],
        unstruct_hook=write,
    )


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _build() -> Converter:
    # What is wrong is told by _UnfitError: it stops at the first fault, and holds no value.
    converter = Converter(detailed_validation=False)
    for cls, read in _READERS.items():
        converter.register_structure_hook(cls, read)
    converter.register_structure_hook_func(lambda cls: cls == Mapping[str, str], _read_texts)
    converter.register_structure_hook_factory(_is_tuple, lambda cls: _tuple_reader(cls, converter))
    converter.register_structure_hook_factory(attrs.has, lambda cls: _model_reader(cls, converter))
    converter.register_unstructure_hook(Decimal, _write_decimal)
    converter.register_unstructure_hook(NotGiven, lambda _: None)
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _model_writer(cls, converter))
    return converter


_converter = _build()

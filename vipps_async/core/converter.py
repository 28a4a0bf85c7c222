"""The one converter between JSON and models: names, number-or-string fields, times, open enums, money in decimals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import GenericAlias, NoneType, UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin

import attrs
import orjson
from cattrs import AttributeValidationNote, BaseValidationError, Converter, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override

from vipps_async.core.compiled_models import FieldPlan, compile_reader, compile_writer
from vipps_async.core.open_enum import OpenEnum
from vipps_async.core.operation import NoContent

__all__ = ["NOT_IN_JSON", "YES_NO", "UnreadableAnswer", "decode", "encode", "json_name"]

R = TypeVar("R")

_NAMES = "vipps_async.json_names"

#: Metadata of a field that JSON never holds: it keeps its default when decoding and is left out when encoding.
NOT_IN_JSON: Final[Mapping[str, object]] = {"vipps_async.not_in_json": True}

#: Metadata of a bool that Vipps writes as ``"Y"`` or ``"N"``.
YES_NO: Final[Mapping[str, object]] = {"vipps_async.yes_no": True}


def json_name(written: str, *also_read: str) -> Mapping[str, object]:
    """Return field metadata for a name in JSON that does not follow from the name in Python.

    Args:
        written: the name to write, and to read first.
        also_read: other names under which Vipps sends the same thing.
    """
    return {_NAMES: (written, also_read)}


class UnreadableAnswer(Exception):  # noqa: N818 - internal: the pipeline turns it into an UnexpectedResponseError
    """The bytes are not what was promised.

    Attributes:
        reason: what is wrong: the path of the field and what it should be, never its value.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def encode(model: object) -> bytes:
    """Write a model as JSON. Fields that are None or `NOT_GIVEN` are left out."""
    return orjson.dumps(_written(model))


def decode(body: bytes, cls: type[R]) -> R:
    """Read JSON into a model.

    Unknown fields are ignored, and a null is the same as a missing field. `NoContent` is read from any JSON or none.

    Raises:
        UnreadableAnswer: the body is not JSON, or lacks a required field, or a field cannot be read. No other exception
            comes out of here, whatever the bytes.
    """
    # The errors are raised outside the except blocks: the exceptions of orjson and cattrs hold on to the body, which
    # may have a token or a name in it, and would travel along as __context__.
    if issubclass(cls, NoContent) and not body.strip():
        return cls()
    reason = "the body is not JSON"
    try:
        # Some servers put a byte order mark in front; orjson does not take it.
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
        return cls() if issubclass(cls, NoContent) else _structure(value, cls)
    except orjson.JSONDecodeError:
        pass
    except (_Unfit, BaseValidationError) as error:
        reason = _explain(error)
    raise UnreadableAnswer(reason)


def _structure(value: object, cls: type[R]) -> R:
    try:
        model: R = _reader_of(cls)(value, cls)
    except Exception:  # noqa: BLE001 - the other converter meets whatever it is again, and says where
        return _explainer.structure(value, cls)
    return model


#: How each class is read, once it has come up: the converter would look it up anew each time.
_readers: dict[type, Callable[[object, object], Any]] = {}


def _reader_of(cls: type) -> Callable[[object, object], Any]:
    read = _readers.get(cls)
    if read is None:
        read = _readers[cls] = _converter.get_structure_hook(cls)
    return read


class _Unfit(Exception):  # noqa: N818 - never leaves this file
    """A value is not what the field wants; says what it wants, and does not hold the value."""


def _explain(error: BaseException, path: str = "") -> str:
    """Name the first thing that is wrong, by its path in the JSON."""
    if isinstance(error, BaseValidationError):
        inner = error.exceptions[0]
        for note in getattr(inner, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                name = _json_names(attrs.fields_dict(error.cl)[note.name])[0]
                return _explain(inner, f"{path}.{name}" if path else name)
            if isinstance(note, IterableValidationNote):
                return _explain(inner, f"{path}[{note.index}]")
        return _explain(inner, path)
    if isinstance(error, KeyError):
        return f"{path} is missing"
    wanted = str(error) if isinstance(error, _Unfit) else "readable"
    return f"{path or 'the answer'} is not {wanted}"


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
#: Up to here a float holds every whole number exactly.
_EXACT_FLOAT = 2.0**53
#: What the JSON parser makes of texts, whole numbers and bools: nothing is left to do.
_PLAIN_IN_JSON = frozenset({str, int, bool})


def _read_int(value: object, _cls: object = int) -> int:
    kind = type(value)
    if kind is int:
        return cast("int", value)
    if kind is str and _INTEGER.fullmatch(cast("str", value)):
        return int(cast("str", value))
    # 49900.0 is the same number in JSON as 49900, and some servers write it so.
    if kind is float and cast("float", value).is_integer() and abs(cast("float", value)) <= _EXACT_FLOAT:
        return int(cast("float", value))
    raise _Unfit("a whole number")


def _read_str(value: object, _cls: object = str) -> str:
    if type(value) is str:
        return value
    # No floats: an id of 20 digits becomes one on its way through a JSON parser, and loses its last digits.
    if type(value) is int:
        return str(value)
    raise _Unfit("a text")


_BOOLS: Final[Mapping[object, bool]] = {"true": True, "false": False}
_YES_NO: Final[Mapping[object, bool]] = {"Y": True, "N": False}


def _read_bool(value: object, _cls: object = bool) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise _Unfit("true or false")


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
    raise _Unfit("a decimal number")


def _read_datetime(value: object, _cls: object = datetime) -> datetime:
    if type(value) is not str or (match := _TIME.fullmatch(value)) is None:
        raise _Unfit("a time")
    day, clock, fraction, zone = match.groups()
    try:
        if zone == "Z" and value[10] == "T":
            # Nearly every time that Vipps sends. Microseconds are the finest there is: fromisoformat drops the rest.
            return datetime.fromisoformat(value.replace(" ", ""))
        # No zone means UTC at Vipps.
        time = datetime.fromisoformat(f"{day}T{clock}{fraction or ''}{zone or 'Z'}")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Unfit("a time") from None


def _read_enum(value: object, cls: type[OpenEnum]) -> OpenEnum:
    if type(value) is not str:
        raise _Unfit("a text")
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
    items = GenericAlias(list, (get_args(cls)[0],))
    read_items = converter.get_structure_hook(items)

    def read(value: object, _cls: object) -> object:
        # Otherwise an object would be read as the list of its keys, a text as the list of its letters.
        if type(value) is not list:
            raise _Unfit("a list")
        return tuple(read_items(value, items))

    return read


def _optional_reader(cls: Any, converter: Converter) -> Callable[[object, object], object]:
    (inner,) = (part for part in get_args(cls) if part is not NoneType)
    read_inner = converter.get_structure_hook(inner)

    def read(value: object, _cls: object) -> object:
        return None if value is None else read_inner(value, inner)

    return read


def _model_reader(cls: type[Any], converter: Converter) -> Callable[[object, object], object]:
    # Annotations are texts until somebody asks what they mean.
    attrs.resolve_types(cls)
    attributes = [field for field in attrs.fields(cls) if not NOT_IN_JSON.keys() & field.metadata.keys()]
    return compile_reader(cls, [_plan(attribute, converter) for attribute in attributes], refuse=_Unfit)


def _plan(attribute: attrs.Attribute[Any], converter: Converter) -> FieldPlan:
    wanted: Any = attribute.type
    if _is_optional(wanted):
        # What is null counts as missing, and never comes to the reader.
        (wanted,) = (part for part in get_args(wanted) if part is not NoneType)
    is_yes_no = bool(YES_NO.keys() & attribute.metadata.keys())
    written, also_read = _json_names(attribute)
    return FieldPlan(
        argument=attribute.alias or attribute.name,
        names=(written, *also_read),
        wanted=wanted,
        plain=None if is_yes_no else wanted if wanted in _PLAIN_IN_JSON else None,
        read=_read_yes_no if is_yes_no else converter.get_structure_hook(wanted),
        default=attribute.default,
    )


def _explaining_model_reader(cls: type[Any], converter: Converter) -> Callable[[object, object], object]:
    overrides: dict[str, Any] = {}
    aliases: list[tuple[str, str]] = []
    for attribute in attrs.fields(cls):
        written, also_read = _json_names(attribute)
        aliases += [(alias, written) for alias in also_read]
        if NOT_IN_JSON.keys() & attribute.metadata.keys():
            overrides[attribute.name] = override(omit=True)
        elif YES_NO.keys() & attribute.metadata.keys():
            overrides[attribute.name] = override(rename=written, struct_hook=_read_yes_no)
        else:
            overrides[attribute.name] = override(rename=written)
    read_fields = make_dict_structure_fn(
        cls, converter, _cattrs_detailed_validation=True, _cattrs_forbid_extra_keys=False, **overrides
    )

    def read(value: object, _cls: object) -> object:
        if type(value) is not dict:
            raise _Unfit("an object")
        present = {key: item for key, item in value.items() if item is not None}
        for alias, written in aliases:
            if alias in present:
                present.setdefault(written, present[alias])
        return read_fields(present, cls)

    return read


# ---- writing ----

#: What the JSON writer takes as it is. A time is written with its offset, to the microsecond.
_PLAIN = frozenset({str, int, bool, datetime})


def _write_decimal(value: Decimal) -> orjson.Fragment:
    # As text into the JSON, since a float could not hold it; "f" because JSON readers differ about 1E+2.
    return orjson.Fragment(format(value, "f"))


#: How a value of each class is written, once it has come up: the converter would look it up anew each time.
_writers: dict[type, Callable[[Any], object]] = {}


def _written(value: object) -> object:
    kind = type(value)
    write = _writers.get(kind)
    if write is None:
        write = _writers[kind] = _converter.get_unstructure_hook(kind)
    return write(value)


def _model_writer(cls: type[Any]) -> Callable[[Any], dict[str, object]]:
    fields = [field for field in attrs.fields(cls) if not NOT_IN_JSON.keys() & field.metadata.keys()]
    return compile_writer(
        cls,
        {field.name: _json_names(field)[0] for field in fields},
        yes_no={field.name for field in fields if YES_NO.keys() & field.metadata.keys()},
        plain=_PLAIN,
        write=_written,
    )


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _is_optional(cls: Any) -> bool:
    return get_origin(cls) in {Union, UnionType} and len(get_args(cls)) == 2 and NoneType in get_args(cls)


def _build(*, explains: bool) -> Converter:
    converter = Converter(detailed_validation=explains, unstruct_collection_overrides={tuple: list})
    for cls, read in _READERS.items():
        converter.register_structure_hook(cls, read)
    converter.register_structure_hook_factory(_is_tuple, lambda cls: _tuple_reader(cls, converter))
    converter.register_structure_hook_factory(_is_optional, lambda cls: _optional_reader(cls, converter))
    read_model = _explaining_model_reader if explains else _model_reader
    converter.register_structure_hook_factory(attrs.has, lambda cls: read_model(cls, converter))
    converter.register_unstructure_hook(Decimal, _write_decimal)
    converter.register_unstructure_hook_factory(attrs.has, _model_writer)
    return converter


_converter = _build(explains=False)
#: Reads the same, and says where what is wrong stands; half as fast.
_explainer = _build(explains=True)

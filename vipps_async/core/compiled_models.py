"""Makes, for each model, the one function that reads it from JSON and the one that writes it: every call has both.

cattrs' own compiled hooks call a function for each field; in these a field that has its type already is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from attrs import NOTHING, frozen

from vipps_async.not_given import NOT_GIVEN

__all__ = ["FieldPlan", "Unfit", "compile_reader", "compile_writer"]


class Unfit(Exception):  # noqa: N818 - never leaves the converter
    """A value is not what the field wants; says what it wants and where, and does not hold the value."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self._wanted = wanted
        self._path: list[str] = []

    def within(self, name: str) -> Unfit:
        """Add the field, or the place in a list such as ``[3]``, that the value stands in; returns itself."""
        self._path.append(name)
        return self

    def __str__(self) -> str:
        path = ""
        for name in reversed(self._path):
            path += f".{name}" if path and not name.startswith("[") else name
        return f"{path} is missing" if self._wanted == "missing" else f"{path or 'the answer'} is not {self._wanted}"


@frozen(kw_only=True)
class FieldPlan:
    """How one field is read."""

    #: The argument of the class.
    argument: str
    #: Its names in JSON, the first one first.
    names: Sequence[str]
    #: What the function is called with beside the value.
    wanted: object
    #: Values of exactly this class are taken as they are; None: there is no such class.
    plain: type | None
    #: Reads any other value; called with the value and `wanted`.
    read: Callable[[Any, Any], object]
    #: What stands for a field that is missing or null; NOTHING: it must be there.
    default: object
    #: Whether that stands, too, for a value that cannot be read.
    is_lenient: bool = False


def compile_reader(
    cls: type[Any], plans: Sequence[FieldPlan], *, refuse: type[Unfit], unread: Callable[[str], None]
) -> Callable[[object, object], object]:
    """Write the function that makes a model from the dictionary that a JSON object became.

    Args:
        cls: the model.
        plans: its fields.
        refuse: the error for a value that is no object, or lacks a field, or that a field refuses.
        unread: called with class and name in JSON of each lenient field whose value could not be read.
    """
    known: dict[str, object] = {"cls": cls, "refuse": refuse, "unread": unread}
    lines = ["def read(value, _):", "    if type(value) is not dict: raise refuse('an object')", "    get = value.get"]
    for number, plan in enumerate(plans):
        known |= {f"plain{number}": plan.plain, f"read{number}": plan.read, f"wanted{number}": plan.wanted}
        factory = getattr(plan.default, "factory", None)
        known[f"default{number}"] = factory or plan.default
        field = f"field{number}"
        lines.append(f"    {field} = get({plan.names[0]!r})")
        lines += [f"    if {field} is None: {field} = get({name!r})" for name in plan.names[1:]]
        lines.append(f"    if {field} is None:")
        default = f"default{number}{'()' if factory else ''}"
        name = plan.names[0]
        if plan.default is NOTHING:
            lines.append(f"        raise refuse('missing').within({name!r})")
        else:
            lines.append(f"        {field} = {default}")
        otherwise = "else" if plan.plain is None else f"elif type({field}) is not plain{number}"
        lines += [f"    {otherwise}:", f"        try: {field} = read{number}({field}, wanted{number})"]
        if plan.is_lenient:
            label = f"{cls.__name__}.{name}"
            lines += ["        except refuse:", f"            {field} = {default}; unread({label!r})"]
        else:
            # A try costs nothing while nothing is raised.
            lines.append(f"        except refuse as fault: fault.within({name!r}); raise")
    arguments = ", ".join(f"{plan.argument}=field{number}" for number, plan in enumerate(plans))
    # A model's own rules raise InvalidInputError, which is a ValueError.
    lines += [f"    try: return cls({arguments})", "    except ValueError: raise refuse('readable') from None"]
    return _compiled(f"reader of {cls.__qualname__}", lines, known, "read")


def compile_writer(
    cls: type[Any],
    names: Mapping[str, str],
    *,
    yes_no: Container[str],
    plain: frozenset[type],
    write: Callable[[Any], object],
) -> Callable[[Any], dict[str, object]]:
    """Write the function that makes the dictionary of a JSON object from a model.

    Args:
        cls: the model.
        names: its fields and their names in JSON, in the order in which they are written.
        yes_no: those that are written as ``"Y"`` or ``"N"``.
        plain: the classes whose values are taken as they are.
        write: writes any other value.
    """
    known: dict[str, object] = {"absent": NOT_GIVEN, "plain": plain, "convert": write}
    lines = ["def write(model):", "    written = {}"]
    for field, name in names.items():
        lines += [f"    value = model.{field}", "    if value is not None and value is not absent:"]
        if field in yes_no:
            lines.append(f"        written[{name!r}] = 'Y' if value else 'N'")
        else:
            lines.append(f"        written[{name!r}] = value if type(value) in plain else convert(value)")
    lines.append("    return written")
    return _compiled(f"writer of {cls.__qualname__}", lines, known, "write")


def _compiled(title: str, lines: Sequence[str], known: dict[str, object], name: str) -> Callable[..., Any]:
    # The text is made of the names of our own classes' fields, written as literals; nothing of an answer is in it.
    exec(compile("\n".join(lines), f"<{title}>", "exec"), known)  # noqa: S102 - see above
    made = known[name]
    assert callable(made)  # noqa: S101 - it was defined just now
    return made

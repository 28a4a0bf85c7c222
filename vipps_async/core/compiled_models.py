"""Makes, for each model, the one function that reads it from JSON and the one that writes it: every call has both.

cattrs' own compiled hooks call a function for each field; in these a field that has its type already is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from attrs import NOTHING, frozen

from vipps_async.not_given import NOT_GIVEN

__all__ = ["FieldPlan", "compile_reader", "compile_writer"]


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


def compile_reader(
    cls: type[Any], plans: Sequence[FieldPlan], *, refuse: Callable[[str], Exception]
) -> Callable[[object, object], object]:
    """Write the function that makes a model from the dictionary that a JSON object became.

    Args:
        cls: the model.
        plans: its fields.
        refuse: makes the error for a value that is no object, or lacks a field.
    """
    known: dict[str, object] = {"cls": cls, "refuse": refuse}
    lines = ["def read(value, _):", "    if type(value) is not dict: raise refuse('an object')", "    get = value.get"]
    for number, plan in enumerate(plans):
        known |= {f"plain{number}": plan.plain, f"read{number}": plan.read, f"wanted{number}": plan.wanted}
        factory = getattr(plan.default, "factory", None)
        known[f"default{number}"] = factory or plan.default
        field = f"field{number}"
        lines.append(f"    {field} = get({plan.names[0]!r})")
        lines += [f"    if {field} is None: {field} = get({name!r})" for name in plan.names[1:]]
        lines.append(f"    if {field} is None:")
        if plan.default is NOTHING:
            lines.append("        raise refuse('complete')")
        else:
            lines.append(f"        {field} = default{number}{'()' if factory else ''}")
        otherwise = "else" if plan.plain is None else f"elif type({field}) is not plain{number}"
        lines.append(f"    {otherwise}: {field} = read{number}({field}, wanted{number})")
    arguments = ", ".join(f"{plan.argument}=field{number}" for number, plan in enumerate(plans))
    lines.append(f"    return cls({arguments})")
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

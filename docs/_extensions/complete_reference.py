"""Holds the reference to everything public: what it lacks (a name, field, member, method) is a warning of the build."""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator

import attrs
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

__all__ = ["setup"]

#: What users may import from.
_DOORS = (
    "vipps_async",
    "vipps_async.batch",
    "vipps_async.receiver",
    "vipps_async.sandbox",
    "vipps_async.testing",
    "vipps_async.testing.transport_conformance",
    "vipps_async.contrib.opentelemetry",
    "vipps_async.contrib.procrastinate",
)
_log = logging.getLogger(__name__)


def _public_names() -> Iterator[str]:
    told: set[object] = set()
    for door in _DOORS:
        module = importlib.import_module(door)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                # One that two of them hand out is described once, in the first.
                if value in told:
                    continue
                told.add(value)
            yield f"{door}.{name}"
            if inspect.isclass(value):
                yield from (f"{door}.{name}.{member}" for member in _members(value))


def _members(cls: type) -> Iterator[str]:
    if attrs.has(cls):
        yield from (field.name for field in attrs.fields(cls) if not field.name.startswith("_"))
    for base in cls.__mro__:
        if base.__module__.startswith("vipps_async"):
            for name, value in vars(base).items():
                function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
                is_word = issubclass(cls, enum.Enum) and isinstance(value, cls)
                is_part = is_word or inspect.isfunction(function) or isinstance(value, property)
                if not name.startswith("_") and is_part:
                    yield name


def _check(_app: Sphinx, env: BuildEnvironment) -> None:
    there = env.domaindata["py"]["objects"]
    for name in sorted({*_public_names()} - {*there}):
        _log.warning("the reference lacks %s: name it in docs/reference/, or give it a docstring", name)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Check each build."""
    app.connect("env-check-consistency", _check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Lets a package hand out its public names without loading their modules before one of them is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping

__all__ = ["names_on_demand"]


def names_on_demand(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the `__getattr__` and `__dir__` of a package (PEP 562).

    A name is looked up once: from then on it stands in the package as if it had been imported there. Python's own
    import lock keeps two threads that ask at the same time apart.

    Args:
        package: the package's name, its `__name__`.
        homes: each public name and the module that it comes from; a module of the package itself is its own home.
    """
    namespace = vars(sys.modules[package])

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        module = importlib.import_module(home)
        value = namespace[name] = module if home == f"{package}.{name}" else getattr(module, name)
        return value

    def names() -> list[str]:
        return sorted({*namespace, *homes})

    return load, names

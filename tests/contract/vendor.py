"""Loads the vendor's OpenAPI descriptions.

The descriptions belong to the vendor and are no part of this project: the environment variable `VIPPS_OPENAPI_DIR`
names a folder that holds `ecom-v2.yaml`, `ms_import.yaml` and so on. Without it the tests that need it are skipped;
those that go by `tests/contract/facts.py` run everywhere.
"""

from __future__ import annotations

import copy
import functools
import os
from pathlib import Path
from typing import Any

import yaml
from attrs import field, frozen

from tests.contract.schema import Schema, template_for
from tests.missing import skip_without

__all__ = ["Specification", "specification"]

_FOLDER_VARIABLE = "VIPPS_OPENAPI_DIR"


def _mend_address_express(schema: dict[str, Any]) -> None:
    # Declares zipCode and requires postCode, which it does not declare. What Vipps sends is zipCode.
    schema["required"] = ["zipCode" if name == "postCode" else name for name in schema["required"]]


def _mend_address_type(schema: dict[str, Any]) -> None:
    # The pattern escapes its own bracket and so refuses every value of the enumeration beside it.
    schema["properties"]["addressType"].pop("pattern")


def _mend_customer(schema: dict[str, Any]) -> None:
    # Offers exactly one of three, and requires nothing of any: each would keep all three.
    for one in schema["oneOf"]:
        one["required"] = list(one["properties"])


#: What is wrong in the descriptions themselves, by the name of the schema.
_MENDED = {
    "AddressExpress": _mend_address_express,
    "Customer": _mend_customer,
    "ShippingCostAndMethod": _mend_address_type,
}


@frozen
class Specification:
    """One OpenAPI description, its references followed into the files beside it."""

    #: The folder that the file and those it refers to stand in.
    folder: Path
    #: The file's name.
    name: str
    _documents: dict[str, dict[str, Any]] = field(factory=dict, repr=False)

    def paths(self) -> tuple[tuple[str, str], ...]:
        """Return every operation as path template and method in small letters."""
        return tuple(
            (path, method)
            for path, item in self._document(self.name)["paths"].items()
            for method in self._followed(item, self.name)[0]
            if method in {"get", "put", "post", "delete", "patch"}
        )

    def template_for(self, path: str) -> str:
        """Return the path template that a path of a request belongs to."""
        return template_for(path, self._document(self.name)["paths"])

    def request_body_schema(self, path: str, method: str) -> Schema:
        """Return the JSON schema of an operation's request body, all references resolved."""
        operation, name = self._operation(path, method)
        body, name = self._followed(operation["requestBody"], name)
        return self._content_schema(body, name)

    def response_schema(self, path: str, method: str, status: int) -> Schema:
        """Return the JSON schema of an operation's answer with this status, or else of its `default` answer.

        An answer that the description gives no body for has an empty schema.
        """
        operation, name = self._operation(path, method)
        responses = operation["responses"]
        response, name = self._followed(responses.get(str(status), responses.get("default")), name)
        return self._content_schema(response, name) if "content" in response else {}

    def schema(self, name: str) -> Schema:
        """Return one of `components.schemas` by its name, all references resolved."""
        resolved: Schema = self._resolved({"$ref": f"#/components/schemas/{name}"}, self.name)
        return resolved

    def header_rules(self, path: str, method: str) -> dict[str, tuple[bool, Schema]]:
        """Return the declared headers of an operation: name → (required, schema)."""
        item, name = self._followed(self._document(self.name)["paths"][path], self.name)
        declared = (*item.get("parameters", ()), *item[method.lower()].get("parameters", ()))
        parameters = (self._followed(parameter, name)[0] for parameter in declared)
        return {
            parameter["name"]: (bool(parameter.get("required", False)), self._resolved(parameter["schema"], name))
            for parameter in parameters
            if parameter["in"] == "header"
        }

    def _document(self, name: str) -> dict[str, Any]:
        if name not in self._documents:
            self._documents[name] = yaml.safe_load((self.folder / name).read_text(encoding="utf-8"))
        return self._documents[name]

    def _operation(self, path: str, method: str) -> tuple[dict[str, Any], str]:
        item, name = self._followed(self._document(self.name)["paths"][path], self.name)
        return item[method.lower()], name

    def _followed(self, node: Any, name: str) -> tuple[Any, str]:
        while isinstance(node, dict) and "$ref" in node:
            file, _, pointer = node["$ref"].partition("#")
            name = file or name
            node = self._document(name)
            for part in pointer.strip("/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
        return node, name

    def _content_schema(self, node: dict[str, Any], name: str) -> Schema:
        (media,) = node["content"].values()
        resolved: Schema = self._resolved(media["schema"], name)
        return resolved

    def _resolved(self, node: Any, name: str) -> Any:
        reference = node.get("$ref", "") if isinstance(node, dict) else ""
        node, name = self._followed(node, name)
        if isinstance(node, dict):
            node = {key: self._resolved(value, name) for key, value in node.items()}
            mend = _MENDED.get(reference.rpartition("/")[2])
            if mend is not None:
                node = copy.deepcopy(node)
                mend(node)
            return node
        return [self._resolved(value, name) for value in node] if isinstance(node, list) else node


@functools.cache
def _loaded(folder: str, name: str) -> Specification:
    return Specification(Path(folder), name)


def specification(name: str = "ecom-v2.yaml") -> Specification:
    """Return a description by its file name; skip the test if there is none here."""
    folder = os.environ.get(_FOLDER_VARIABLE)
    if not folder or not (Path(folder) / name).is_file():
        skip_without("openapi", f"{_FOLDER_VARIABLE} does not name a folder with the vendor's {name}")
    return _loaded(folder, name)

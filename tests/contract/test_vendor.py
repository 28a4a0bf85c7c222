"""The loader of the vendor's descriptions finds what is wrong, and never skips unseen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.schema import conform, undeclared_properties, validate
from tests.contract.vendor import specification
from tests.missing import MUST_VARIABLE

CAPTURE = "/ecomm/v2/payments/{orderId}/capture"


def _capture_body() -> dict[str, Any]:
    return {
        "merchantInfo": {"merchantSerialNumber": "123456"},
        "transaction": {"amount": 49900, "transactionText": "One pair of socks."},
    }


def test_a_right_body_conforms() -> None:
    """A body as the description wants it passes."""
    conform(_capture_body(), specification().request_body_schema(CAPTURE, "post"))


def test_a_misspelt_optional_field_is_found() -> None:
    """A field that the description does not name is a breach, though its schema forbids none."""
    schema = specification().request_body_schema(CAPTURE, "post")
    body = _capture_body()
    body["transaction"]["ammount"] = body["transaction"].pop("amount")
    validate(body, schema)
    assert undeclared_properties(body, schema) == ["/transaction/ammount"]
    with pytest.raises(AssertionError, match="/transaction/ammount"):
        conform(body, schema)


def test_a_wrong_value_is_found_with_its_place() -> None:
    """A value that breaks its schema is reported with the place it stands."""
    body = _capture_body()
    body["transaction"]["amount"] = 99
    with pytest.raises(AssertionError, match="transaction/amount"):
        conform(body, specification().request_body_schema(CAPTURE, "post"))


def test_references_into_the_second_file_are_followed() -> None:
    """The merchant's endpoints stand in a file of their own and are found through the first one."""
    schema = specification().request_body_schema("/callbackPrefix/v2/payments/{orderId}", "post")
    assert {"oneOf"} == set(schema)


def test_errors_are_told_apart_from_answers() -> None:
    """A status that is not listed has the schema of the error answer."""
    conform(
        [{"errorGroup": "Payment", "errorCode": "61", "errorMessage": "Captured amount exceeds the reserved amount"}],
        specification().response_schema(CAPTURE, "post", 400),
    )


def test_a_path_finds_its_template() -> None:
    """The path of a real request leads to the operation it belongs to."""
    spec = specification()
    assert spec.template_for("/ecomm/v2/payments/acme-1/capture") == CAPTURE
    assert (CAPTURE, "post") in spec.paths()
    with pytest.raises(AssertionError, match="no path"):
        spec.template_for("/nowhere")


def test_headers_of_an_operation_are_listed() -> None:
    """The declared headers come with whether they are required and their schema."""
    required, schema = specification().header_rules(CAPTURE, "post")["X-Request-Id"]
    assert required
    assert schema == {"type": "string"}


@pytest.mark.parametrize(("must", "ending"), [("", pytest.skip.Exception), ("openapi", pytest.fail.Exception)])
def test_without_a_folder_they_are_skipped(
    monkeypatch: pytest.MonkeyPatch, must: str, ending: type[BaseException]
) -> None:
    """Without the descriptions the test is skipped with a reason, on a build server too, unless they must be there."""
    monkeypatch.delenv("VIPPS_OPENAPI_DIR", raising=False)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv(MUST_VARIABLE, must)
    with pytest.raises(ending, match="VIPPS_OPENAPI_DIR"):
        specification()

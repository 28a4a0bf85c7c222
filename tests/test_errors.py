"""The tree of errors: its picture, its facts, its one-line texts, and what survives being pickled."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async import errors
from vipps_async.errors import (
    ApiError,
    CallbackError,
    CaptureError,
    ConfigurationError,
    Effect,
    ErrorInfo,
    InvalidInputError,
    OutcomeUnknown,
    RequestNotSent,
    UnexpectedResponseError,
    VippsError,
)

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, VippsError) and each.__module__ == errors.__name__
]
FACTS: dict[str, Any] = {
    "operation": "capture",
    "payment": "acme-1",
    "idempotency_key": "key-1",
    "effect": Effect.POSSIBLE,
    "advice": "do this",
}


def make(cls: type[VippsError]) -> VippsError:
    """Make an error of a class with every fact that it takes."""
    if issubclass(cls, InvalidInputError):
        return cls("amount", "at least 100", value=99)
    if issubclass(cls, CallbackError):
        return cls("no signature", status=401, payment="acme-1")
    if issubclass(cls, ApiError):
        infos = (ErrorInfo("Payment", "61", "Too much.", "ctx-1"), ErrorInfo("", "2", ""))
        return cls("it failed", status=400, errors=infos, retryable=True, retry_after=2.5, **FACTS)
    if issubclass(cls, UnexpectedResponseError):
        return cls("it failed", status=200, body="<html>", **FACTS)
    if issubclass(cls, OutcomeUnknown):
        return cls("it failed", status=200, **FACTS)
    return cls("it failed", **FACTS)


def drawn_tree() -> dict[str, str | None]:
    """Read the tree in the module's docstring: each class and the class it hangs on."""
    assert errors.__doc__ is not None
    found: dict[str, str | None] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        names = re.match(r"^ {4}([│├└─ ]*)((?:[A-Z]\w+(?:, )?)+)", line)
        if names is None:
            continue
        depth = len(names[1]) // 4
        for name in names[2].split(", "):
            path[depth:] = [name]
            found[name] = path[depth - 1] if depth else None
    return found


def test_the_drawn_tree_is_the_tree() -> None:
    """The tree in the docstring has every class, each under its base."""
    real = {
        cls.__name__: next((b.__name__ for b in cls.__bases__ if issubclass(b, VippsError)), None) for cls in CLASSES
    }
    assert real == drawn_tree()


def test_everything_public_is_listed() -> None:
    """What the module offers is what its __all__ names, in order."""
    assert set(errors.__all__) == {cls.__name__ for cls in CLASSES} | {"Effect", "ErrorInfo"}
    assert errors.__all__ == sorted(errors.__all__)


@each_row("cls", CLASSES)
@each_row("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])  # noqa: S301
def test_every_fact_survives(cls: type[VippsError], again: object) -> None:
    """An error that was pickled, copied or deep-copied is of the same class, with all its facts and its text."""
    assert callable(again)
    error = make(cls)
    error.add_note("a note")
    twin = again(error)
    assert type(twin) is cls
    assert twin is not error
    assert vars(twin) == vars(error)
    assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)


@each_row("cls", CLASSES)
def test_each_says_what_happened_and_what_to_do(cls: type[VippsError]) -> None:
    """The text is one line that holds what was tried, on which order, whether money may have moved, and the advice."""
    text = str(make(cls))
    assert len(text.splitlines()) == 1
    assert text.endswith(".")
    if issubclass(cls, InvalidInputError | CallbackError):
        return
    assert text == ("capture of payment acme-1 (idempotency key key-1): it failed; money may have moved; do this.")


@each_row("cls", [cls for cls in CLASSES if issubclass(cls, ApiError | errors.TransportError)])
def test_each_answer_and_failure_has_an_advice(cls: type[VippsError]) -> None:
    """No error of an exchange with Vipps leaves the reader without a next step."""
    assert cls.default_advice or cls is errors.TransportError


def test_the_effect_of_each() -> None:
    """Unless told otherwise, only two kinds of error leave it open whether money has moved."""
    assert {cls: cls.default_effect for cls in CLASSES if cls.default_effect is not Effect.NONE} == {
        OutcomeUnknown: Effect.POSSIBLE,
        UnexpectedResponseError: Effect.PROBABLE,
    }
    assert make(RequestNotSent).effect is Effect.POSSIBLE
    assert RequestNotSent("x").effect is Effect.NONE


def test_the_text_without_an_operation() -> None:
    """An error before any operation says no more than what is wrong and what to do."""
    assert str(ConfigurationError("VIPPS_CLIENT_ID is not set.", advice="set it.")) == (
        "VIPPS_CLIENT_ID is not set; set it."
    )
    assert str(VippsError("plain")) == "plain."
    assert repr(VippsError("plain")) == "VippsError('plain.')"


def test_an_invalid_input_is_a_value_error() -> None:
    """Bad input names parameter, rule and value, and can be caught as a ValueError."""
    error = InvalidInputError("amount", "at least 100", value=99)
    assert isinstance(error, ValueError)
    assert str(error) == "amount must be at least 100, not 99."
    assert (error.parameter, error.rule, error.value) == ("amount", "at least 100", 99)


def test_the_id_that_support_asks_for() -> None:
    """The first that an answer has; None where it has none."""
    found = (ErrorInfo("", "a", ""), ErrorInfo("", "b", "", "trace-1"), ErrorInfo("", "c", "", "trace-2"))
    assert ApiError("no", status=400, errors=found).trace_id == "trace-1"
    assert ApiError("no", status=400, errors=found[:1]).trace_id is None


def test_a_secret_value_is_not_shown() -> None:
    """A value that is secret stands neither in the text nor in the facts."""
    error = InvalidInputError("client_secret", "text", value="canary", secret=True)
    assert error.value is None
    assert "canary" not in f"{error!s} {error!r} {error.args} {vars(error)}"


@pytest.mark.parametrize("value", ["x" * 10_000, pytest.param(10**5000, id="5000 digits"), b"\n" * 500])
def test_a_long_value_is_shortened(value: object) -> None:
    """However long the value, the error stays readable."""
    assert len(str(InvalidInputError("order_id", "short", value=value))) < 130


@pytest.mark.parametrize(
    ("info", "shown"),
    [
        (ErrorInfo("Payment", "61", "Too much.", "ctx"), "Payment 61: Too much. (context id ctx)"),
        (ErrorInfo("Payment", "61", ""), "Payment 61"),
        (ErrorInfo("", "401", "Denied"), "401: Denied"),
        (ErrorInfo("", "", "Denied"), "Denied"),
        (ErrorInfo("", "", ""), ""),
    ],
)
def test_an_error_of_an_answer_on_one_line(info: ErrorInfo, shown: str) -> None:
    """Group, code, text and context id stand on one line, without gaps for what is missing."""
    assert shown == str(info)


@given(st.text(), st.text(), st.text())
@example("\x1b[2J", "\u202e", "\x00")
def test_any_text_stays_one_line(message: str, order_id: str, advice: str) -> None:
    """Whatever the parts hold, the text of an error has no line break and nothing that steers a terminal."""
    error = CaptureError(message, status=400, operation="capture", payment=order_id, advice=advice)
    assert len(str(error).splitlines()) == 1
    assert str(error).isprintable()


#: Classes whose errors may come without advice, and why.
_WITHOUT_ADVICE = {
    "VippsError": "a root, never raised itself",
    "TransportError": "a root, never raised itself",
    "InvalidInputError": "its text names the argument and the rule",
    "ConfigurationError": "its text names the setting; whoever raises it adds advice where there is more to say",
    "CallbackError": "it is about somebody else's request, and has the status to answer that with",
}


def test_every_other_class_says_what_to_do_by_itself() -> None:
    """Whoever catches an error that came from Vipps, the line or the journal reads what to do now."""
    assert {each.__name__ for each in CLASSES if not each.default_advice} == set(_WITHOUT_ADVICE)

"""What is taken out of text that came from outside."""

from __future__ import annotations

import functools
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async.core import redaction
from vipps_async.core.redaction import LONGEST, REDACTED
from vipps_async.ecom.dialect import ECOM

redact = functools.partial(redaction.redact, personal_keys=ECOM.personal_keys)

KEYS = [
    "access_token",
    "authToken",
    "token",
    "client_secret",
    "mobileNumber",
    "phoneNumber",
    "phone_number",
    "customerPhoneNumber",
    "email",
    "firstName",
    "lastName",
    "name",
    "given_name",
    "family_name",
    "address",
    "addressLine1",
    "addressLine2",
    "street_address",
    "postCode",
    "zipCode",
    "postal_code",
    "city",
    "birthdate",
    "birthDate",
    "nin",
    "sub",
    "userId",
    "passengerName",
    "bankIdentificationNumber",
    "region",
    "formatted",
    "sid",
    "other_addresses",
]


@each_row("key", KEYS)
@each_row("value", ["canary one", 'can"ary', "canary\\", {"a": ["canary }", 1]}, ["canary ]"], 987654])
def test_values_of_sensitive_keys(key: str, value: object) -> None:
    """The value of a sensitive key goes at any depth, and what follows it stays."""
    text = json.dumps({"errors": [{"before": 1, key: value, "after": "stays"}]})
    assert redact(text) == f'{{"errors": [{{"before": 1, "{key}": {REDACTED}, "after": "stays"}}]}}'


@each_row("key", KEYS)
def test_broken_json(key: str) -> None:
    """The value goes too when the JSON breaks off in it, or was never right."""
    assert redact(f'{{"a": [{{"{key}": "canary bi') == f'{{"a": [{{"{key}": {REDACTED}'
    assert redact(f'{{"{key}": {{"x": "canary", "y": [1') == f'{{"{key}": {REDACTED}'
    assert redact(f"oops '{key}': 'canary', 'x': 1") == f"oops '{key}': {REDACTED}, 'x': 1"
    assert redact(f'"{key.upper()}"  :\n"canary"') == f'"{key.upper()}"  :\n{REDACTED}'


def test_json_inside_json() -> None:
    """JSON that travels as text inside JSON is no hiding place."""
    inner = json.dumps({"firstName": 'can"ary', "x": "stays"})
    redacted = redact(json.dumps({"message": inner}))
    assert "ary" not in redacted
    assert "stays" in redacted
    assert "canary" not in redact(json.dumps({"message": inner.replace('\\"', "")})[:34])


def test_escaped_characters() -> None:
    """Characters written as escapes hide neither a key nor a value."""
    assert redact('{"em\\u0061il": "can\\u0061ry", "a": 1}') == f'{{"email":{REDACTED},"a":1}}'
    assert "hidden" not in redact('{"message": "mail hidden\\u0040example.com"}')
    assert redact('{"em\\u0061il": broken') == '{"em\\u0061il": broken'


@each_row(
    ("text", "expected"),
    [
        ("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.abc-_x here", f"got {REDACTED} here"),
        ("cut eyJhbGciOiJ", f"cut {REDACTED}"),
        ("Bearer abc.def/ghi+=", REDACTED),
        ("bearer%20abc", REDACTED),
        ("Authorization: Basic QWxhZGRpbjpv", f"Authorization: {REDACTED}"),
        ("https://api.vipps.no/x?v=2&token=abc.def&y=1", f"https://api.vipps.no/x?v=2&{REDACTED}&y=1"),
        (
            "client_secret=abc, Ocp-Apim-Subscription-Key: 0f14",
            f"client_secret={REDACTED}, Ocp-Apim-Subscription-Key: {REDACTED}",
        ),
        ("mail Ola.Nordmann+x@example.no!", f"mail {REDACTED}"),
        ("ole.bjørn@example.no, kari%40example.no", f"{REDACTED}, {REDACTED}"),
        ("call 91234567.", f"call {REDACTED}."),
        ("call +4791234567, 004791234567 or +47 912 34 567", f"call {REDACTED}, {REDACTED} or {REDACTED}"),
        ("call 91 23 45 67 or 912 34 567", f"call {REDACTED} or {REDACTED}"),
        ("msisdn 4791234567", f"msisdn {REDACTED}"),
        ("born 01019912345 or 010199 12345", f"born {REDACTED} or {REDACTED}"),
    ],
)
def test_forms_that_give_themselves_away(text: str, expected: str) -> None:
    """Tokens, addresses and numbers go wherever they stand."""
    assert expected == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        '[{"errorGroup":"Payment","errorCode":"61","errorMessage":"Captured amount exceeds the reserved amount"}]',
        "order acme-shop-91234567-1, context 91234567-c843-4bea-95d9-94725b19895f",
        "transaction 5001446662 of 49900 at 2018-12-12T11:18:38.246Z",
        "the word key is not the word keyJ, the name of the email field is missing",
        "a @ b, @, token",
        "",
    ],
)
def test_what_is_needed_to_understand_stays(text: str) -> None:
    """Codes, order ids, context ids, times and plain words are left alone."""
    assert text == redact(text)


@pytest.mark.parametrize("secret", ["s3cret/øre+1", 'quo"ted', "a&b<cd", "12345678", "x" * 300])
def test_confidential_values_in_every_dress(secret: str) -> None:
    """A value that is known to be secret goes as it is, percent-encoded, and escaped as in JSON."""
    for dressed in (
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ):
        assert redact(f"a{dressed}b{dressed}c", secrets=("", secret)) == f"a{REDACTED}b{REDACTED}c"


def test_confidential_half_of_a_surrogate_pair() -> None:
    """A secret that has no percent-encoding is taken out as it is."""
    assert redact("a\ud800canaryb", secrets=["\ud800canary"]) == f"a{REDACTED}b"


@pytest.mark.parametrize("secret", ["", "3", "35", "Pay", "canar"])
def test_a_short_value_is_not_cut_out(secret: str) -> None:
    """A value of fewer than six characters stands in codes and words by chance: it stays, and so do they."""
    text = "Payment 35: canary 335 canar"
    assert redact(text, secrets=[secret]) == text


def test_the_length_is_bounded() -> None:
    """A long text comes back cut, and says so."""
    assert redact("a" * LONGEST) == "a" * LONGEST
    for length in (LONGEST + 1, 20_000, 1_000_000):
        cut = redact("a" * length)
        assert len(cut) == LONGEST
        assert cut.endswith("…")


@pytest.mark.parametrize("secret", ["canary-secret-of-some-length", "canary-secret" * 200])
def test_no_secret_survives_at_the_edge_of_the_window(secret: str) -> None:
    """What is cut in two at the end of what is looked at does not come back half, wherever it is cut."""
    for offset in range(0, 3_000, 11):
        token = "eyJ" + "a" * (16_384 - offset)
        for tail in (
            f"{secret} ",
            f"ola.canary.nordmann.{'x' * (offset % 200)}@example.no ",
            f'{{"name": "{"canary" * 9}"}}',
        ):
            assert "canary" not in redact(f'{token} "x" {tail}{"z" * 5_000}', secrets=[secret])


HOSTILE = [
    '"name"' + " " * 20,
    "a",
    "@",
    "a@",
    '"name":{',
    '"name":"\\',
    "\\",
    "47",
    "2",
    "eyJ",
    "bearer ",
    "token=",
    "token: ",
]
HOSTILE += ['"name":[[', "00000 ", "47 2 3", '\\"name\\":\\"', '{"', '"address', '"name":""', "%40", " ", "Bearer\t"]


@each_row("piece", HOSTILE)
def test_hostile_megabytes_are_quick(piece: str) -> None:
    """A megabyte made to keep a pattern busy takes no longer than a plain one."""
    text = piece * (2**20 // len(piece))
    start = time.process_time()
    redact(text, secrets=("a" * 300, "aaaaaa"))
    # It takes some 20 ms at most on a slow machine; quadratic time would be minutes.
    assert time.process_time() - start < 2.0


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from([*HOSTILE, '"', "}", "]", ":", ",", "\\u00"]), max_size=60).map("".join),
    st.text("0123456789abcdef", min_size=12, max_size=40),
    st.text(max_size=300),
)
def test_a_known_secret_never_comes_back(before: str, secret: str, after: str) -> None:
    """Whatever stands around it, a known secret is not in the result, and nothing raises."""
    redacted = redact(before + secret + after, secrets=[secret])
    assert secret not in redacted
    assert len(redacted) <= LONGEST


json_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(KEYS), json_values, json_values, st.booleans(), st.data())
def test_a_personal_value_never_comes_back(
    key: str,
    around: object,
    value: object,
    ascii_only: bool,  # noqa: FBT001 - drawn by Hypothesis
    data: st.DataObject,
) -> None:
    """Whatever JSON stands around a sensitive key, and wherever it is cut off, its value is not in the result."""
    document = {"a": around, "list": [{key: ["canary", value, {"x": "canary"}]}]}
    text = json.dumps(document, ensure_ascii=ascii_only)
    assert "canary" not in redact(text)
    assert "canary" not in redact(text[: data.draw(st.integers(0, len(text)))])


@pytest.mark.parametrize("payment", ["47829163", "4747829163", "12345678901", "eyJabcdefgh"])
def test_the_payment_stays(payment: str) -> None:
    """Its id, though it looks like a phone number; not another number, a secret or what a key names."""
    text = f'order {payment} of 47829164, "phoneNumber": "{payment}"'
    assert redact(text, payment=payment) == f'order {payment} of [redacted], "phoneNumber": [redacted]'
    assert redact(f"order {payment}", payment=payment, secrets=[payment]) == "order [redacted]"

"""Whatever is sent to a merchant's callback paths, it is read or refused, and soon."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from attrs import evolve

from tests.ecom.callback_bodies import EXPRESS, NO_INFO, QUESTION, REGULAR, TOKEN, as_body
from tests.support.rows import each_row
from vipps_async.ecom.dialect import CALLBACK, CONSENT_REMOVAL
from vipps_async.errors import CallbackError
from vipps_async.receiver import ConsentRemoval, EcomCallbacks, PaymentUpdate, Receiver

#: How many requests: a taste for every run; `VIPPS_FUZZ_CALLBACKS=100000` for the whole meal.
REQUESTS = int(os.environ.get("VIPPS_FUZZ_CALLBACKS", "20000"))
SEED = int(os.environ.get("VIPPS_FUZZ_SEED", "20261122"))
#: Seconds of work that reading one request may take; others on the machine do not count. A usual one takes 50 µs.
LONGEST_WORK = 0.25

SOURCE: EcomCallbacks[Any] = EcomCallbacks(TOKEN)
CANARY = "Canary Birdsong 98765432"
ODD: list[Any] = [None, True, False, 0, -1, 1, 2**63, 2**64 - 1, 1e308, 0.1, "", " ", "0", CANARY, "\u0000", "é" * 50]
ODD += [[], {}, [[]], [None], {"": ""}, "9" * 400, "2026-13-45T99:99:99Z", "9999-12-31T23:59:59-23:59", "[Expired]"]
ODD += ["0001-01-01T00:00:00+23:59", "RESERVE\n", "NaN", "1e5", {"amount": {}}, [1, "a", {}], "\u202e", "a" * 5000]
SEEDS = [(REGULAR, ""), (EXPRESS, ""), (NO_INFO, ""), (QUESTION, "/shippingDetails")]


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        found += _places(item)
    return found


def _mutated(dice: random.Random, body: Any) -> bytes:
    body = copy.deepcopy(body)
    for _ in range(dice.randrange(4)):
        places = _places(body)
        if not places:
            break
        holder, key = dice.choice(places)
        action = dice.randrange(4)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[dice.choice(["orderId", "amount", "status", "zipCode", "x", CANARY])] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(dice.choice([*ODD, REGULAR, EXPRESS]))
    return orjson.dumps(body)


def _damaged(dice: random.Random, body: bytes) -> bytes:
    action = dice.randrange(8)
    at = dice.randrange(len(body) + 1)
    if action == 0:
        return body[:at]
    if action == 1:
        return body[:at] + dice.randbytes(dice.randrange(1, 9)) + body[at:]
    if action == 2:
        return body[:at] + dice.choice([b'"', b"\\", b"\\ud800", b"{", b"]", b"\xef\xbb\xbf", b"\x00"]) + body[at + 1 :]
    if action == 3:
        return dice.choice([b"[", b'{"a":', b'{"transactionInfo":', b"1", b'"']) * dice.randrange(20_000)
    return body


def _path(dice: random.Random, tail: str) -> str:
    if dice.random() < 0.8:
        return f"/vipps/v2/payments/acme-1{tail}"
    pieces = [
        "/v2/payments/",
        "/v2/consents/",
        "acme-1",
        "%2F",
        "%",
        "%25" * 9,
        "/",
        "?",
        "=",
        "+",
        CANARY,
        "\ud8ff",
        "é",
    ]
    pieces += ["shippingDetails", "a" * 3000, "%e6", "..", "\n", "\x00", "/v2/payments/" * 300, "%2525" * 500]
    return "".join(dice.choices(pieces, k=dice.randrange(8)))


def _headers(dice: random.Random) -> Any:
    if dice.random() < 0.9:
        return {"Authorization": TOKEN}
    values = [TOKEN, "", "é", "\udc80", TOKEN * 500, "\x00", CANARY]
    return [
        (dice.choice(["Authorization", "authorization", "", "é"]), dice.choice(values))
        for _ in range(dice.randrange(3))
    ]


def _request(dice: random.Random) -> tuple[str, str, Any, bytes]:
    seed, tail = dice.choice(SEEDS)
    body = _damaged(dice, _mutated(dice, seed))
    method = dice.choice(["POST"] * 18 + ["DELETE", "GET"])
    path = _path(dice, tail)
    return method if "consents" not in path else dice.choice(["DELETE", "POST"]), path, _headers(dice), body


def _use(event: Any) -> None:
    # What is read can be used: printed, recognised, and kept in the form that is read again.
    assert repr(event)
    if isinstance(event, PaymentUpdate):
        again = SOURCE.restore(CALLBACK, event.record)
        assert (again.payment, again.dedup_key) == (event.payment, event.dedup_key)
    elif isinstance(event, ConsentRemoval):
        assert SOURCE.restore(CONSENT_REMOVAL, event.record) == evolve(event, is_redelivered=True)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Keep the garbage of all tests before from being collected in the middle: that work is not the reader's."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_nothing_but_a_callback_error_comes_out() -> None:
    """Mutated requests are read, or refused with a status and a clean text; none takes long."""
    dice = random.Random(SEED)
    reader = Receiver(SOURCE)
    outcomes: Counter[int] = Counter()
    slowest = 0.0
    for number in range(REQUESTS):
        method, path, headers, body = _request(dice)
        started = time.process_time()
        try:
            event = reader.read(method, path, headers, body)
        except CallbackError as error:
            outcomes[error.status] += 1
            told = (CANARY in str(error), error.__cause__, error.__context__)
            if told != (False, None, None):
                pytest.fail(f"request {number} of seed {SEED} gives something away")
        else:
            outcomes[200] += 1
            _use(event)
        slowest = max(slowest, time.process_time() - started)
    print(f"{REQUESTS} requests, seed {SEED}: {dict(sorted(outcomes.items()))}; slowest {slowest * 1000:.2f} ms")  # noqa: T201 - the figure that a long run is for
    assert set(outcomes) == {200, 400, 401, 404, 405, 413}
    assert slowest < LONGEST_WORK


@each_row(
    ("path", "body"),
    [
        ("/v2/payments/" * 20_000 + "a", b"{}"),
        ("/v2/consents/" + "%25" * 100_000, b""),
        ("/v2/consents/" + "A" * 300_000, b""),
        ("/v2/payments/" + "%2f" * 100_000, b""),
        ("/v2/payments/acme-1", b'{"a":' * 13_000),
        ("/v2/payments/acme-1", b"[" * 65_000),
        ("/v2/payments/acme-1", b'{"orderId":"acme-1","errorInfo":{"errorMessage":"' + b"@" * 65_000 + b'"}}'),
        ("/v2/payments/acme-1", b'{"orderId":"acme-1","errorInfo":{"errorMessage":"' + b"4" * 64_000 + b'"}}'),
        ("/v2/payments/acme-1", b'{"orderId":"acme-1","errorInfo":{"errorMessage":"' + b"bearer " * 9_000 + b'"}}'),
        ("/v2/payments/acme-1", as_body({"orderId": "acme-1", "transactionInfo": {"amount": "9" * 60_000}})),
        ("/v2/payments/acme-1", b'{"orderId":"acme-1","transactionInfo":{"amount":' + b"9" * 65_000 + b"}}"),
        ("/v2/payments/acme-1", b'{"orderId":"acme-1",' + b'"a":1,' * 10_000 + b'"b":1}'),
    ],
    ids=range(12),
)
@pytest.mark.usefixtures("no_collection")
def test_no_slow_path(path: str, body: bytes) -> None:
    """What is made to be slow is not."""
    reader = Receiver(SOURCE)
    method = "DELETE" if "consents" in path else "POST"
    started = time.process_time()
    with contextlib.suppress(CallbackError):
        reader.read(method, path, {"Authorization": TOKEN}, body)
    assert time.process_time() - started < LONGEST_WORK

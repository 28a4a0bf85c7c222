"""Whatever is sent to a webhook's URL, it is read or refused, and nothing that is not signed is read."""

from __future__ import annotations

import copy
import os
import random
import time
from collections import Counter
from typing import Any

import orjson
import pytest

from tests.webhooks.delivered import AUTHORIZED, DATE, ID, SECRET, URL, headers_for, signature
from vipps_async import CallbackError
from vipps_async.receiver import OtherNotification, PaymentNotification, Receiver, Webhooks
from vipps_async.webhooks.operations import RECEIVED

#: How many deliveries: a taste for every run, all of them for `test_a_hundred_thousand_deliveries`.
DELIVERIES = int(os.environ.get("VIPPS_FUZZ_WEBHOOKS", "8000"))
SEED = int(os.environ.get("VIPPS_FUZZ_SEED", "20261128"))
#: Seconds of work that reading one delivery may take; a usual one takes 50 µs.
LONGEST_WORK = 0.25

OTHER_ID, OTHER_SECRET = "a3b0c442-98fc-4c14-9afb-f4c8996fb924", "090a478d-37ff-4e77-970e-d457aeb26a3a"
SECRETS = {ID: SECRET, OTHER_ID: OTHER_SECRET}
CANARY = "Canary Birdsong 98765432"
SOURCE: Webhooks[Any] = Webhooks(url=URL, secrets=SECRETS, on_event=lambda *_: None)
ODD: list[Any] = [None, True, 0, -1, 2**63, 2**64 - 1, 1e308, 0.1, "", "0", CANARY, "\u0000", "é" * 50, [], {}, [[]]]
ODD += ["9" * 400, "2026-13-45T99:99:99Z", "9999-12-31T23:59:59-23:59", "NaN", {"value": {}}, "\u202e", "a" * 5000]
TARGET, HOST = "/vipps/webhooks?shop=1", "shop.example.com"


def _places(value: Any) -> list[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((value, key), *_places(item))]


def _body(dice: random.Random) -> bytes:
    said = copy.deepcopy(AUTHORIZED)
    for _ in range(dice.randrange(4)):
        places = _places(said)
        if not places:
            break
        holder, key = dice.choice(places)
        if dice.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(dice.choice([*ODD, AUTHORIZED]))
    body = orjson.dumps(said)
    action, at = dice.randrange(10), dice.randrange(len(body) + 1)
    if action == 0:
        return body[:at] + dice.randbytes(dice.randrange(9)) + body[at:]
    if action == 1:
        return body[:at]
    if action == 2:
        return dice.choice([b"[", b'{"a":', b'{"reference":', b"1", b'"', b"\xef\xbb\xbf"]) * dice.randrange(12_000)
    return body


def _mutated(dice: random.Random, text: str) -> str:
    at = dice.randrange(len(text) + 1)
    action = dice.randrange(5)
    if action == 0:
        return text[:at]
    if action == 1:
        return text[:at] + dice.choice(["\ud8ff", "é", "\x00", " ", "=", "&", "A", "\r\n", CANARY]) + text[at:]
    if action == 2:
        return text.swapcase()
    if action == 3:
        return dice.choice(["", text * 2, text * 300, CANARY, "Signature=", "HMAC-SHA256 Signature="])
    return text[:at] + dice.choice("AZaz09+/=") + text[at + 1 :]


def _delivery(dice: random.Random) -> tuple[list[tuple[str, str]], bytes]:
    """Return a delivery that is signed and then, mostly, changed in body or headers."""
    body = _body(dice)
    webhook_id = dice.choice([ID, OTHER_ID, None, "unknown"])
    secret = dice.choice([SECRET] * 3 + [OTHER_SECRET] * 3 + ["", "wrong"])
    options = {
        "target": dice.choice([TARGET] * 5 + ["/vipps/webhooks", "/"]),
        "host": dice.choice([HOST] * 5 + ["x.no"]),
    }
    name = dice.choice(["Authorization"] * 5 + ["X-Vipps-Authorization"])
    headers = list(headers_for(body, secret=secret, webhook_id=webhook_id, name=name, **options).items())
    if dice.random() < 0.3:
        number = dice.randrange(len(headers))
        headers[number] = headers[number][0], _mutated(dice, headers[number][1])
    if dice.random() < 0.1:
        headers.pop(dice.randrange(len(headers)))
    if dice.random() < 0.1:
        headers.append(dice.choice(headers))
    if dice.random() < 0.2:
        at = dice.randrange(len(body) + 1)
        body = dice.choice([body[:at] + b" " + body[at:], body[:at], _body(dice), b""])
    return headers, body


def _is_signed(headers: list[tuple[str, str]], body: bytes) -> bool:
    """Say by the standard library alone whether Vipps can have signed it."""
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(value)
    given = named.get("authorization") or named.get("x-vipps-authorization") or []
    dates, hashes, ids = named.get("x-ms-date", []), named.get("x-ms-content-sha256", []), named.get("webhook-id", [])
    if not (len(given) == len(dates) == len(hashes) == 1 and len(ids) <= 1 and dates[0].isprintable()):
        return False
    if not dates[0].isascii() and any("\ud800" <= char <= "\udfff" for char in dates[0]):
        return False
    likely = [SECRETS[ids[0]]] if ids and ids[0] in SECRETS else list(SECRETS.values())
    for secret in likely:
        content, signed = signature(secret, target=TARGET, host=HOST, date=dates[0], body=body)
        if hashes == [content] and given[0].partition("Signature=")[2].partition("&")[0] == signed:
            return True
    return False


def _use(event: Any) -> None:
    # What is read can be used: printed, recognised, and kept in the form that is read again.
    assert isinstance(event, PaymentNotification | OtherNotification)
    assert CANARY not in repr(event) or isinstance(event, PaymentNotification)
    again: Any = SOURCE.restore(RECEIVED, event.record)
    assert (again.payment, again.dedup_key, again.is_redelivered) == (event.payment, event.dedup_key, True)


def fuzz(deliveries: int, seed: int) -> Counter[int]:
    """Read so many mutated deliveries, and return how many ended with which status; 200: read."""
    dice, reader = random.Random(seed), Receiver(SOURCE)
    outcomes: Counter[int] = Counter()
    slowest = 0.0
    for number in range(deliveries):
        headers, body = _delivery(dice)
        started = time.process_time()
        try:
            event = reader.read("POST", TARGET, headers, body)
        except CallbackError as error:
            outcomes[error.status] += 1
            if (CANARY in str(error), error.__cause__, error.__context__) != (False, None, None):
                pytest.fail(f"delivery {number} of seed {seed} gives something away")
        else:
            outcomes[200] += 1
            if not _is_signed(headers, body):
                pytest.fail(f"delivery {number} of seed {seed} was read, and is not signed")
            _use(event)
        slowest = max(slowest, time.process_time() - started)
    print(f"{deliveries} deliveries, seed {seed}: {dict(sorted(outcomes.items()))}; slowest {slowest * 1000:.2f} ms")  # noqa: T201 - the figure that a long run is for
    assert slowest < LONGEST_WORK
    return outcomes


def test_nothing_but_a_callback_error_comes_out() -> None:
    """Mutated deliveries are read if they are signed, or refused with a status and a clean text; none takes long."""
    assert set(fuzz(DELIVERIES, SEED)) == {200, 400, 401, 413}


@pytest.mark.long
def test_a_hundred_thousand_deliveries() -> None:
    """The same with 100,000 of another seed."""
    assert set(fuzz(100_000, SEED + 1)) == {200, 400, 401, 413}


def test_what_was_signed_is_read() -> None:
    """The refusals are not for want of good deliveries: unchanged ones are all read."""
    dice, reader = random.Random(SEED), Receiver(SOURCE)
    for number in range(500):
        body = orjson.dumps(AUTHORIZED | {"reference": f"acme-shop-{number}", "extra": dice.choice(ODD)})
        headers = headers_for(body, date=DATE)
        assert reader.read("POST", TARGET, headers, body).payment == f"acme-shop-{number}"

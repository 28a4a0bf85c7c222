"""Idempotency keys of ePayment: by sales unit and path; a repetition gets what the first request got."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.driver import Merchant
from tests.sandbox.epayment_driver import PAYMENTS, REFERENCE, Epayment, code, epayment_at, fields, values
from vipps_async.sandbox import Fault, SandboxServer


@pytest.fixture
def shop(merchant: Merchant) -> Epayment:
    """Talks to the sandbox by ePayment."""
    return Epayment(merchant)


async def test_a_repetition_gets_the_first_answer(sandbox: SandboxServer, shop: Epayment) -> None:
    """To the byte, whatever has happened since, and nothing happens again."""
    created = await shop.create(key="k")
    await sandbox.approve(REFERENCE)
    captured = await shop.capture(10_000, key="k")
    await shop.capture(5_000)
    refunded = await shop.refund(1_000, key="k")
    assert (await shop.create(key="k")).body == created.body
    assert (await shop.create(key="k")).status == 201
    assert (await shop.capture(10_000, key="k")).body == captured.body
    again = await shop.refund(1_000, key="k")
    assert (again.body, again.headers["Content-Type"]) == (refunded.body, refunded.headers["Content-Type"])
    snapshot = sandbox.payment(REFERENCE)
    assert (snapshot.captured, snapshot.refunded, len(sandbox.payments)) == (15_000, 1_000, 1)


async def test_the_same_payload_may_be_laid_out_otherwise(shop: Epayment) -> None:
    """White space and the order of names make no other payload."""
    await shop.create(key="k")
    body = dict(reversed(list(shop.creation().items())))
    assert (await shop.post(PAYMENTS, body, key="k")).status == 201


async def test_another_payload_under_a_key(sandbox: SandboxServer, shop: Epayment) -> None:
    """409 with a code for each operation; nothing moves, and the key goes on answering its first payload."""
    await shop.create(key="k")
    await sandbox.approve(REFERENCE)
    await shop.capture(10_000, key="k")
    await shop.refund(1_000, key="k")
    answers = [
        await shop.create("acme-shop-2", key="k"),
        await shop.capture(10_001, key="k"),
        await shop.refund(1_001, key="k"),
    ]
    assert [(answer.status, code(answer)) for answer in answers] == [(409, "4020"), (409, "4010"), (409, "4150")]
    assert (await shop.capture(10_000, key="k")).status == 200
    assert values(await shop.get()) == {"authorized": 49_900, "captured": 10_000, "refunded": 1_000}


async def test_a_used_reference(shop: Epayment) -> None:
    """409 with 4150, and the key keeps it though it never made a payment."""
    await shop.create(key="k")
    refused = await shop.create(key="other")
    assert (refused.status, code(refused)) == (409, "4150")
    assert (await shop.create("acme-shop-2", key="other")).body == refused.body


async def test_a_key_that_got_a_4xx_keeps_it(sandbox: SandboxServer, shop: Epayment) -> None:
    """Whatever is mended meanwhile: by time, in the body, at the payment. A fresh key goes through."""
    for key, body in (("a", {"value": 99}), ("b", {"userFlow": "NATIVE"}), ("c", {"returnUrl": None})):
        first = await shop.create(key=key, **body)
        assert first.status == 400
        assert (await shop.create(key=key)).body == first.body
    await shop.create()
    early = await shop.capture(10_000, key="k")
    await sandbox.approve(REFERENCE)
    assert (await shop.capture(10_000, key="k")).body == early.body
    assert len([name for name, _, _ in await shop.names() if name == "CAPTURED"]) == 1
    assert fields(await shop.post(f"{PAYMENTS}/{REFERENCE}/capture", {}, key="m")) == ["modificationAmount"]
    assert fields(await shop.capture(10_000, key="m")) == ["modificationAmount"]
    assert (await shop.capture(10_000)).status == 200


async def test_keys_of_what_made_no_payment_are_bounded(shop: Epayment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten: they hold no money."""
    monkeypatch.setattr("vipps_async.sandbox.wire.kept_answers._MAX_HOMELESS", 2)
    for key in "abc":
        assert (await shop.create(key=key, value=99)).status == 400
    assert [(await shop.create("acme-shop-2", key=key)).status for key in "cb"] == [400, 400]
    assert (await shop.create("acme-shop-2", key="a")).status == 201


async def test_what_passes_by_itself_does_not_stick(sandbox: SandboxServer, shop: Epayment) -> None:
    """A lock, a failed capture, a limit and an unknown reference: the same key succeeds later."""
    assert code(await shop.capture(100, key="k")) == "5090"
    await shop.create()
    await sandbox.approve(REFERENCE)
    sandbox.faults.script("capture", Fault.LOCKED_94, Fault.FAILED_ENTRY, Fault.REFUSAL_WITH_BOM, Fault.HTTP_429)
    locked = await shop.capture(100, key="k")
    assert (locked.status, code(locked)) == (423, "6160")
    failed = await shop.capture(100, key="k")
    assert (failed.status, code(failed)) == (400, "6280")
    assert [(await shop.capture(100, key="k")).status for _ in range(3)] == [423, 429, 200]
    names = [(name, success) for name, _, success in await shop.names()][2:]
    assert names == [("CAPTURED", False), ("CAPTURED", True)]


async def test_one_key_for_everything(sandbox: SandboxServer, shop: Epayment) -> None:
    """So a plug-in of the vendor's own does, and cancels every order by the key 1."""
    for reference in ("acme-shop-1", "acme-shop-2"):
        assert (await shop.create(reference, key=reference)).status == 201
        await sandbox.approve(reference)
        assert (await shop.capture(10_000, reference, key=reference)).status == 200
        assert (await shop.refund(1_000, reference, key=reference)).status == 200
        assert (await shop.cancel(reference, key="1")).status == 200


async def test_a_cancel_does_not_go_by_its_key(sandbox: SandboxServer, shop: Epayment) -> None:
    """It needs none; a repetition is refused; one that is too long is refused, too."""
    await shop.create()
    path = f"{PAYMENTS}/{REFERENCE}/cancel"
    assert fields(await shop.cancel(key="k" * 51)) == ["Idempotency-Key"]
    assert (await shop.merchant.call("POST", path)).status == 200
    assert code(await shop.cancel(key="k")) == "6190"


async def test_keys_and_their_answers_survive_a_restart(tmp_path: Path) -> None:
    """Those of payments; events are told in the same order with the same ids."""
    file = tmp_path / "state.db"
    async with SandboxServer(state=file, rate_limits=False) as sandbox, epayment_at(sandbox.url) as shop:
        created = await shop.create(key="k", metadata={"a": "b"})
        await sandbox.approve(REFERENCE)
        captured = await shop.capture(10_000, key="k")
        events = (await shop.events()).body
    async with SandboxServer(state=file, rate_limits=False) as sandbox, epayment_at(sandbox.url) as shop:
        assert (await shop.create(key="k", metadata={"a": "b"})).body == created.body
        assert (await shop.capture(10_000, key="k")).body == captured.body
        assert (await shop.events()).body == events
        assert (await shop.get()).json["metadata"] == {"a": "b"}
        assert code(await shop.capture(10_001, key="k")) == "4010"


async def test_limits_for_each_reference() -> None:
    """Five creates and adjustments a minute, 120 reads; all creates without a reference count as one."""
    async with SandboxServer() as sandbox, epayment_at(sandbox.url) as shop:
        assert (await shop.create()).status == 201
        assert [(await shop.create()).status for _ in range(5)] == [409] * 4 + [429]
        assert (await shop.create("acme-shop-2")).status == 201
        assert [(await shop.create(None)).status for _ in range(6)] == [400] * 5 + [429]
        await sandbox.approve(REFERENCE)
        captures = [await shop.capture(100) for _ in range(6)]
        assert [answer.status for answer in captures] == [200] * 5 + [429]
        throttled = captures[-1]
        assert throttled.json.keys() == {"statusCode", "message"}
        assert 50 < int(throttled.headers["Retry-After"]) <= 60
        assert (await shop.refund(100)).status == 200
        assert [(await shop.get()).status for _ in range(121)] == [200] * 120 + [429]
        assert (await shop.events()).status == 200
        # What another reference does counts by itself.
        assert (await shop.get("acme-shop-2")).status == 200
        assert code(await shop.capture(100, "acme-shop-2")) == "6080"
        sandbox.clock.advance(61)
        assert (await shop.capture(100, key="k")).status == (await shop.get()).status == 200
        assert sandbox.payment(REFERENCE).captured == 600

"""The state file: what it brings back, that it is whole or not at all, and what it refuses to touch."""

# ruff: noqa: ASYNC240 - small files, and nobody waits

from __future__ import annotations

import base64
import hmac
import sqlite3
import stat
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.driver import METHOD, merchant_at, shop
from tests.sandbox.epayment_driver import REFERENCE, Epayment
from vipps_async.sandbox import SandboxClock, SandboxServer, SandboxSettings, SandboxStateError, State
from vipps_async.sandbox.ledger import state_file as state_module
from vipps_async.sandbox.ledger.orders import OrderBook
from vipps_async.sandbox.ledger.registrations import Registrations
from vipps_async.sandbox.ledger.state_file import StateFile, UnreadableOrderError, read_order

METHODS = [METHOD]
HOOKS = "/webhooks/v1/webhooks"


def _server(file: Path) -> SandboxServer:
    return SandboxServer(settings=SandboxSettings(sub_delay=0.0), rate_limits=False, state=file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the state goes."""
    return tmp_path / "state.db"


async def test_everything_is_back_after_a_restart(file: Path) -> None:
    """Sums, history, details, the landing page's link, personal data and the answer to a key are the same as before."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate(
            "acme-1", transaction={"scope": "name email"}, customerInfo={"mobileNumber": "91234567"}
        )
        await sandbox.approve("acme-1")
        first = (await merchant.capture("acme-1", 10_000, key="key-1")).json
        await merchant.capture("acme-1", 90_000, key="key-2")
        await merchant.refund("acme-1", 4_000, key="key-3")
        express = {
            "paymentType": "eComm Express Payment",
            "consentRemovalPrefix": "https://example.com/c",
            "staticShippingDetails": METHODS,
        }
        await merchant.initiate("acme-2", merchantInfo={**express, "authToken": "shop-token"})
        await sandbox.approve("acme-2")
        waiting = (await merchant.initiate("acme-3")).json["url"]
        before = sandbox.payments
        details = [(await merchant.details(order_id)).json for order_id in ("acme-1", "acme-2")]
        token = waiting.partition("token=")[2]
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        assert sandbox.payments == before
        assert [(await merchant.details(order_id)).json for order_id in ("acme-1", "acme-2")] == details
        assert (await merchant.capture("acme-1", 10_000, key="key-1")).json == first
        assert (await merchant.capture("acme-1", 10_001, key="key-1")).codes == [("Payment", "93")]
        assert (await merchant.capture("acme-1", 90_000, key="key-2")).codes == [("Payment", "61")]
        assert (await merchant.call("GET", f"/vipps-userinfo-api/userinfo/{details[0]['sub']}")).status == 200
        assert sandbox.landing_url("acme-3").endswith(f"token={token}")
        assert (await merchant.initiate("acme-1")).codes == [("Merchant", "34")]
        await merchant.initiate("acme-4")
        ids = [entry.transaction_id for payment in sandbox.payments for entry in payment.history]
        # An approval keeps the id of its initiate; beyond that no two transactions share one.
        assert len(set(ids)) >= len(sandbox.payments) + 3
        assert sandbox.payment("acme-4").history[0].transaction_id not in {
            entry.transaction_id for payment in before for entry in payment.history
        }


async def test_registered_webhooks_are_back_after_a_restart(file: Path) -> None:
    """With ids, order and secrets: what happens next is delivered to them once; what was deleted stays away."""
    async with shop() as place:
        events = [f"epayments.payment.{name}.v1" for name in ("created", "authorized")]
        async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
            made = [
                (await merchant.call("POST", HOOKS, {"url": f"{place.url}/{path}", "events": events})).json
                for path in ("kept", "deleted", "kept-too")
            ]
            listed = (await merchant.call("GET", HOOKS)).json["webhooks"]
            assert (await merchant.call("DELETE", f"{HOOKS}/{made[1]['id']}")).status == 204
            assert (await Epayment(merchant).create()).status == 201
            await sandbox.callbacks_delivered()
        assert sorted(path for _, path, _, _ in place.received) == ["/kept", "/kept-too"]
        place.received.clear()
        async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
            assert (await merchant.call("GET", HOOKS)).json["webhooks"] == [listed[0], listed[2]]
            await sandbox.approve(REFERENCE)
            await sandbox.callbacks_delivered()
            # Closed, without its file, and opened again: it knows them still, and writes them.
            await sandbox.aclose()
            file.unlink()
            await sandbox.start()
        received = {path: (headers, body) for _, path, headers, body in place.received}
        assert (len(place.received), set(received)) == (2, {"/kept", "/kept-too"})
        for secret, path in ((made[0]["secret"], "/kept"), (made[2]["secret"], "/kept-too")):
            headers, body = received[path]
            assert body["name"] == "AUTHORIZED"
            text = f"POST\n{path}\n{headers['x-ms-date']};{place.url[7:]};{headers['x-ms-content-sha256']}"
            signature = base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()
            assert headers["Authorization"].endswith(f"&Signature={signature}")
        async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
            assert (await merchant.call("GET", HOOKS)).json["webhooks"] == [listed[0], listed[2]]


async def test_a_damaged_webhook_is_named(file: Path) -> None:
    """Not its URL or secret, which may be a key to something."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        body = {"url": "https://example.com/hunter2", "events": ["epayments.payment.created.v1"]}
        assert (await merchant.call("POST", HOOKS, body)).status == 201
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE registrations SET data = CAST(replace(CAST(data AS TEXT), 'secret', 'key') AS BLOB)")
    connection.close()
    with pytest.raises(SandboxStateError, match="damaged: a registered webhook cannot be read") as raised:
        await _server(file).start()
    assert "hunter2" not in str(raised.value)


async def test_the_clock_goes_on_where_it_was(file: Path) -> None:
    """What the clock was ahead it is ahead again, and what came due meanwhile happens."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        sandbox.clock.advance(timedelta(days=30))
        await merchant.log_in()
        await merchant.initiate("acme-2")
        now = sandbox.clock.now()
    sandbox = _server(file)
    sandbox.clock.advance(3600)
    async with sandbox:
        assert now <= sandbox.clock.now() < now + timedelta(minutes=5)
        sandbox.clock.advance(600)
        assert sandbox.payment("acme-1").state is State.CANCEL
        assert sandbox.payment("acme-2").state is State.CANCEL


async def test_what_was_answered_is_in_the_file(file: Path) -> None:
    """Without any close: a copy of the files at the moment of the answer holds what was answered."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        await sandbox.approve("acme-1")
        assert (await merchant.capture("acme-1", 10_000)).status == 200
        copy = file.parent / "copy.db"
        for end in ("", "-wal"):
            (file.parent / f"copy.db{end}").write_bytes(file.with_name(file.name + end).read_bytes())
    async with _server(copy) as sandbox:
        assert sandbox.payment("acme-1").captured == 10_000


async def test_reads_are_not_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking changes nothing, and costs no write."""
    commits: list[int] = []
    commit = StateFile._commit

    def counted(self: StateFile, connection: Any, rows: Any, *rest: Any) -> None:
        commits.append(len(rows))
        commit(self, connection, rows, *rest)

    monkeypatch.setattr(StateFile, "_commit", counted)
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
        before = len(commits)
        for _ in range(5):
            await merchant.details("acme-1")
        assert len(commits) == before == 1


async def test_only_the_owner_may_read_it(file: Path) -> None:
    """The file holds the shops' tokens."""
    async with _server(file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_started_again_it_keeps_to_its_file(file: Path) -> None:
    """The same sandbox started twice writes on, also what happened in between."""
    sandbox = _server(file)
    async with sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")
    await sandbox.approve("acme-1")
    async with sandbox:
        assert sandbox.payment("acme-1").reserved == 49_900
    async with _server(file) as other:
        assert other.payment("acme-1").reserved == 49_900


async def test_two_sandboxes_do_not_share_a_file(file: Path) -> None:
    """The second one says that the file is in use, and the first goes on."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        with pytest.raises(SandboxStateError, match="another process uses it"):
            await _server(file).start()
        assert (await merchant.initiate("acme-1")).status == 200


async def test_a_taken_port_gives_the_file_back(file: Path) -> None:
    """A start that fails leaves the file to the next one."""
    async with SandboxServer() as first:
        with pytest.raises(OSError, match="address"):
            await SandboxServer(port=int(first.url.rpartition(":")[2]), state=file).start()
    async with _server(file):
        pass


def _other_program(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE accounts (name TEXT)")
    connection.close()


def _newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA application_id = {state_module.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {state_module.VERSION + 1}")
        connection.execute("CREATE TABLE payments (id TEXT)")
    connection.close()


def _older(file: Path) -> None:
    _newer(file)
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {state_module.VERSION - 1}")
    connection.close()


def _text(file: Path) -> None:
    file.write_text("no database at all " * 200)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_other_program, "another program"),
        (_newer, "a newer sandbox"),
        (_older, "an older sandbox"),
        (_text, "damaged"),
    ],
)
async def test_a_file_of_others_is_named_and_left_alone(file: Path, make: Any, message: str) -> None:
    """Not a byte of it changes."""
    make(file)
    before = file.read_bytes()
    with pytest.raises(SandboxStateError, match=message) as raised:
        await _server(file).start()
    assert str(file) in str(raised.value)
    assert file.read_bytes() == before


async def test_a_damaged_order_is_named(file: Path) -> None:
    """Which order it is, and no word of what it holds."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1", transaction={"transactionText": "For Kari"})
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE orders SET data = CAST(replace(CAST(data AS TEXT), 'INITIATE', 'NONSENSE') AS BLOB)")
    connection.close()
    with pytest.raises(SandboxStateError, match="order 'acme-1' of sales unit '123456'") as raised:
        await _server(file).start()
    assert "Kari" not in str(raised.value)


async def test_damaged_pages_are_found_before_use(file: Path) -> None:
    """A file whose pages are broken is refused as a whole."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        for number in range(30):
            await merchant.initiate(f"acme-{number}")
    data = bytearray(file.read_bytes())
    data[4096:-4096] = b"\xff" * (len(data) - 8192)
    file.write_bytes(data)
    with pytest.raises(SandboxStateError, match="damaged"):
        await _server(file).start()
    assert file.read_bytes() == bytes(data)


async def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    """The system's own reason, and the file's name."""
    with pytest.raises(SandboxStateError, match="No such file or directory"):
        await _server(tmp_path / "nowhere" / "state.db").start()


async def test_a_write_that_fails_is_no_success(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is an error, as it is not sure to be remembered; the next write takes it along."""
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        await merchant.initiate("acme-1")

        def full(self: StateFile, *arguments: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(StateFile, "_commit", full)
            assert (await merchant.initiate("acme-2")).status == 500
        assert "disk is full" in caplog.text
        assert (await merchant.initiate("acme-3")).status == 200
    async with _server(file) as sandbox:
        assert [payment.order_id for payment in sandbox.payments] == ["acme-1", "acme-2", "acme-3"]


def test_bytes_that_are_no_order() -> None:
    """Every kind of nonsense is one error."""
    for data in (b"", b"[]", b"{}", b'{"payment": {}, "seen": [], "order": {}}', b"\xff"):
        with pytest.raises(UnreadableOrderError):
            read_order(data, lambda: "1")


async def test_an_order_that_was_offered_shipping(file: Path) -> None:
    """What the shop offered is kept, so that it is not asked again."""
    async with shop() as place, _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        place.answer = {"addressId": 100, "orderId": "acme-1", "shippingDetails": METHODS}
        express = {
            "paymentType": "eComm Express Payment",
            "consentRemovalPrefix": place.url,
            "shippingDetailsPrefix": place.url,
        }
        url = (await merchant.initiate("acme-1", merchantInfo=express)).json["url"]
        async with merchant.session.get(url.replace("vippsgateway?v=2&", "vippsgateway/app?")) as page:
            assert "Parcel" in await page.text()
    async with _server(file) as sandbox:
        await sandbox.approve("acme-1", shipping_method_id="parcel")
        assert sandbox.payment("acme-1").state is State.RESERVE


async def test_an_error_in_the_writer_is_seen(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that ends by a mistake of the sandbox's own makes requests and closing fail, instead of hanging."""

    def broken(order: object) -> bytes:
        raise LookupError("broken on purpose")

    sandbox = _server(file)
    await sandbox.start()
    async with merchant_at(sandbox.url) as merchant:
        monkeypatch.setattr(state_module, "written_order", broken)
        assert (await merchant.initiate("acme-1")).status == 500
    with pytest.raises(LookupError, match="on purpose"):
        await sandbox.aclose()


async def test_a_file_that_was_never_opened(file: Path) -> None:
    """Closing it makes no file and starts no thread, also if something has changed by then."""
    state, threads = StateFile(file, OrderBook(), Registrations(), SandboxClock()), threading.active_count()
    state.note(None)
    await state.settled()
    await state.aclose()
    assert list(file.parent.iterdir()) == []
    assert threading.active_count() == threads


async def test_how_a_payment_ended_and_who_forced_it_are_kept(file: Path) -> None:
    """Status after a time-out, the way back of who declined, and the key of a force approve are the same as before."""
    path = "/ecomm/v2/integration-test/payments/acme-2/approve"
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        for order_id in ("acme-1", "acme-2"):
            await merchant.initiate(order_id)
        await sandbox.expire("acme-1")
        assert (await merchant.call("POST", path, {}, headers={"X-Request-Id": "k"})).status == 200
    async with _server(file) as sandbox, merchant_at(sandbox.url) as merchant:
        assert (await merchant.status("acme-1")).json["transactionInfo"]["status"] == "REJECTED"
        assert (await merchant.call("POST", path, {}, headers={"X-Request-Id": "k"})).status == 200
        assert (await merchant.call("POST", path, {}, headers={"X-Request-Id": "k2"})).codes == [("VippsError", "92")]

"""The FastAPI examples in one process, by `TestClient`, with callbacks and signed webhooks of the sandbox."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import queue
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from examples import fastapi_one_process, fastapi_webhooks
from vipps_async import (
    EventName,
    JournalError,
    OutcomeUnknown,
    RecoveryReport,
    RetryPolicy,
    SqliteJournal,
    VippsError,
    VippsSession,
    nok,
)
from vipps_async.receiver import PaymentNotification, PaymentUpdate
from vipps_async.testing import Fault, SandboxThread

URL = "https://shop.example"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what the examples read."""
    own = {"URL": URL, "CALLBACK_TOKEN": "a-token", "SECRETS": str(tmp_path / "secrets.json")}
    for name, value in own.items():
        monkeypatch.setenv(f"SHOP_{name}", value)


def _opener(sandbox: SandboxThread, tmp_path: Path) -> VippsSession:
    return sandbox.session(journal=SqliteJournal(tmp_path / "journal.db"), retry=RetryPolicy(attempts=1))


async def _leave_a_capture_open(sandbox: SandboxThread, tmp_path: Path) -> None:
    """Do as a process whose capture is answered by nothing, and that ends."""
    async with _opener(sandbox, tmp_path) as vipps:
        await vipps.ecom.initiate(
            order_id="order-0",
            amount=nok("499.00"),
            transaction_text="Socks.",
            callback_prefix=f"{URL}/vipps",
            fall_back=URL,
        )
        await asyncio.to_thread(sandbox.approve, "order-0")
        sandbox.faults.randomise(rate=1.0, seed=1, kinds=[Fault.RESET_AFTER_EFFECT])
        with pytest.raises(OutcomeUnknown):
            await vipps.ecom.capture("order-0", transaction_text="Shipped.")
    sandbox.faults.clear()


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[RecoveryReport]:
    """Collect what each recovery of an example has found."""
    found: queue.Queue[RecoveryReport] = queue.Queue()
    recover = VippsSession.recover

    async def recover_and_tell(vipps: VippsSession) -> RecoveryReport:
        found.put(report := await recover(vipps))
        return report

    monkeypatch.setattr(VippsSession, "recover", recover_and_tell)
    return found


def test_recovery_callbacks_and_readiness_in_one_lifespan(
    vipps_sandbox_thread: SandboxThread, tmp_path: Path, reports: queue.Queue[RecoveryReport]
) -> None:
    """What an earlier process left open is settled at the start; an order that is told of twice is captured once."""
    sandbox = vipps_sandbox_thread
    asyncio.run(_leave_a_capture_open(sandbox, tmp_path))
    with TestClient(fastapi_one_process.make_app(lambda: _opener(sandbox, tmp_path))) as client:
        report = reports.get(timeout=10)
        assert (report.proven, report.stays_open) == (1, 0)
        sandbox.deliver_to(client.request)
        assert client.get("/ready").status_code == 200
        assert client.post("/buy/order-1").json() == sandbox.landing_url("order-1")
        sandbox.faults.script("callback", Fault.CALLBACK_TWICE)
        sandbox.approve("order-1")
        sandbox.callbacks_delivered()
        assert client.get("/thanks/order-1").json() == "Thank you!"
    assert [callback.status for callback in sandbox.callbacks][-2:] == [200, 200]
    assert [len(sandbox.payment(order).moved("CAPTURE")) for order in ("order-0", "order-1")] == [1, 1]


def test_a_second_click_and_a_refusal_by_the_bank_are_told_in_words(
    vipps_sandbox_thread: SandboxThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who buys the same order again is sent to its result, and a bank's no is not told as the end of the payment."""
    sandbox = vipps_sandbox_thread
    monkeypatch.setattr(fastapi_one_process, "nok", lambda _: nok("1.51"))  # the test amount for: insufficient funds
    with TestClient(fastapi_one_process.make_app(lambda: _opener(sandbox, tmp_path))) as client:
        sandbox.deliver_to(client.request)
        assert client.post("/buy/order-1").json() == sandbox.landing_url("order-1")
        assert client.post("/buy/order-1").json() == f"{URL}/thanks/order-1"
        sandbox.approve("order-1")
        sandbox.callbacks_delivered()
        assert client.get("/thanks/order-1").json().startswith("Your bank refused the payment")
    assert sandbox.payment("order-1").captured == 0


@pytest.mark.parametrize("example", [fastapi_one_process, fastapi_webhooks], ids=["eCom", "ePayment"])
def test_a_customer_whose_payment_was_given_back_is_not_thanked(
    vipps_sandbox_thread: SandboxThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: Any
) -> None:
    """An approval that the shop has cancelled pays for nothing, so the result page says so."""
    sandbox = vipps_sandbox_thread

    async def cancel_payment(event: PaymentUpdate, vipps: VippsSession) -> None:
        await vipps.ecom.cancel(event.order_id, transaction_text="Sold out.")

    async def cancel_authorized(event: PaymentNotification, vipps: VippsSession) -> None:
        if event.name == EventName.AUTHORIZED:
            await vipps.epayment.cancel(event.reference)

    monkeypatch.setattr(fastapi_one_process, "on_payment", cancel_payment)
    monkeypatch.setattr(fastapi_webhooks, "on_event", cancel_authorized)
    with TestClient(example.make_app(lambda: _opener(sandbox, tmp_path))) as client:
        sandbox.deliver_to(client.request)
        client.post("/buy/acme-shop-1")
        sandbox.approve("acme-shop-1")
        sandbox.callbacks_delivered()
    # Leaving TestClient has waited for the handler.
    with TestClient(example.make_app(lambda: _opener(sandbox, tmp_path))) as client:
        assert client.get("/thanks/acme-shop-1").json() == "Another time, then."


def test_a_shop_does_not_start_beside_a_sandbox_that_is_down(
    vipps_sandbox_thread: SandboxThread, tmp_path: Path
) -> None:
    """It is not known which sandbox the journal would belong to, so nothing is begun."""
    app = fastapi_one_process.make_app(lambda: _opener(vipps_sandbox_thread, tmp_path))
    with (
        vipps_sandbox_thread.refusing_connections(),
        pytest.raises(JournalError, match="not known which sandbox"),
        TestClient(app),
    ):
        pass


def test_a_shop_that_is_not_ready_says_why(vipps_sandbox_thread: SandboxThread, tmp_path: Path) -> None:
    """Where no token can be had the probe is answered 503 with the reason, and the shop ends in order."""
    app = fastapi_one_process.make_app(lambda: _opener(vipps_sandbox_thread, tmp_path))
    with TestClient(app) as client, vipps_sandbox_thread.refusing_connections():
        answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()


def test_a_webhook_captures_once(vipps_sandbox_thread: SandboxThread, tmp_path: Path) -> None:
    """The URL is registered once over two starts, its secret kept, and each signed event that comes is taken.

    Who clicks again after that is sent to the result.
    """
    sandbox = vipps_sandbox_thread
    for number in (1, 2):
        with TestClient(fastapi_webhooks.make_app(lambda: _opener(sandbox, tmp_path))) as client:
            sandbox.deliver_to(client.request)
            assert client.post(f"/buy/acme-shop-{number}").json().startswith(sandbox.url)
            sandbox.approve(f"acme-shop-{number}")
            sandbox.callbacks_delivered()
            assert client.get(f"/thanks/acme-shop-{number}").json() == "Thank you!"
            again = client.post(f"/buy/acme-shop-{number}").json()
            assert again == f"{URL}/thanks/acme-shop-{number}"
            refused = client.post("/vipps/webhooks", json={"name": "AUTHORIZED", "reference": "acme-shop-9"})
            assert refused.status_code == 401
        assert sandbox.payment(f"acme-shop-{number}").captured == 49_900
    assert len(json.loads((tmp_path / "secrets.json").read_text())) == 1
    assert [request.operation for request in sandbox.requests].count("capture") == 2


def test_the_shop_with_webhooks_settles_what_an_earlier_process_left(
    vipps_sandbox_thread: SandboxThread, tmp_path: Path, reports: queue.Queue[RecoveryReport]
) -> None:
    """A capture that nobody answered before the process ended is settled at the next start."""
    asyncio.run(_leave_a_capture_open(vipps_sandbox_thread, tmp_path))
    with TestClient(fastapi_webhooks.make_app(lambda: _opener(vipps_sandbox_thread, tmp_path))):
        report = reports.get(timeout=10)
    assert (report.proven, report.stays_open) == (1, 0)


def test_a_shop_with_a_secret_starts_while_vipps_is_in_trouble(
    vipps_sandbox_thread: SandboxThread, tmp_path: Path
) -> None:
    """A first start needs Vipps, for no delivery could be verified without a secret; a later one does not."""
    sandbox = vipps_sandbox_thread

    def app() -> FastAPI:
        return fastapi_webhooks.make_app(lambda: _opener(sandbox, tmp_path))

    sandbox.faults.script("list_webhooks", Fault.HTTP_503_BEFORE)
    with pytest.raises(VippsError), TestClient(app()):
        pass
    with TestClient(app()):
        pass
    sandbox.faults.script("list_webhooks", Fault.HTTP_503_BEFORE)
    with TestClient(app()) as client:
        sandbox.deliver_to(client.request)
        client.post("/buy/acme-shop-1")
        sandbox.approve("acme-shop-1")
        sandbox.callbacks_delivered()
    assert sandbox.payment("acme-shop-1").captured == 49_900


def _functions(code: str) -> dict[str, str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, functions)}


@pytest.mark.parametrize(
    ("page", "example", "shown"),
    [
        ("fastapi.md", fastapi_one_process, {"recover_for_ever", "make_app", "lifespan", "ready"}),
        ("webhooks.md", fastapi_webhooks, {"on_event", "make_app", "lifespan"}),
    ],
)
def test_the_pages_show_what_runs(page: str, example: ModuleType, shown: set[str]) -> None:
    """A function that a page shows of an example is the example's, but for its docstring and routes left out."""
    program = _functions(inspect.getsource(example))
    text = (DOCS / page).read_text("utf-8")
    found: dict[str, str] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if f"# examples/{Path(inspect.getfile(example)).name}" in block:
            found |= _functions(block)
    assert set(found) >= shown
    for name, code in found.items():
        lines = [line.strip() for line in program[name].splitlines()]
        assert [line for line in map(str.strip, code.splitlines()) if line not in {"...", *lines}] == [], name

"""What the how-to guides show does what they say, on one sandbox."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs

from vipps_async import Credentials, RetryPolicy, VippsSession
from vipps_async.testing import Sandbox, SandboxSettings

DOCS = Path(__file__).parents[2] / "docs"
MSN = "123456"


def _names_of(page: str) -> dict[str, Any]:
    """Execute all blocks of a page, one after the other, and return what they define."""
    names: dict[str, Any] = {"__name__": "snippet"}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
        exec(compile(block, page, "exec", dont_inherit=True), names)  # noqa: S102 - our own pages
    return names


async def test_a_push_message_that_is_not_allowed_becomes_a_landing_page() -> None:
    """The order id of a refused push message is free, and the payment is made with the page."""
    ask_by_phone = _names_of("keys.md")["ask_by_phone"]
    async with Sandbox() as sandbox, sandbox.session() as vipps:
        url = await ask_by_phone(vipps, "order-1", "91234567")
        assert url == sandbox.landing_url("order-1")
        await sandbox.approve("order-1")
        assert (await vipps.ecom.details("order-1")).is_reserved
    async with Sandbox(settings=SandboxSettings(skip_landing_page={MSN})) as sandbox, sandbox.session() as vipps:
        await ask_by_phone(vipps, "order-1", "91234567")
        assert [request.status for request in sandbox.requests if request.operation == "initiate"] == [200]


async def test_keys_from_a_secret_store_open_a_session(monkeypatch: Any) -> None:
    """The page's session has the sales unit that it was given, and talks to the test environment unless told."""
    names = _names_of("keys.md")
    secrets = {"id": "a", "secret": "b", "subscription": "c", "msn": MSN}
    session = names["open_session"](secrets)
    assert (session.merchant_serial_number, session.base_url) == (MSN, "https://apitest.vipps.no")
    monkeypatch.setenv("STAGE", "live")
    assert names["open_session"](secrets).base_url == "https://api.vipps.no"


async def test_customers_tell_who_they_are_and_airlines_what_they_sell() -> None:
    """User info has what scope asked for, and a payment with airline data is made."""
    names = _names_of("customer-data.md")
    async with Sandbox(settings=SandboxSettings(sub_delay=0)) as sandbox, sandbox.session() as vipps:
        await names["begin"](vipps, "order-1")
        await sandbox.approve("order-1")
        who = await names["who_paid"](vipps, "order-1")
        assert who.email
        assert who.address is not None
        assert await names["sell_ticket"](vipps, "acme-ticket-1")


async def test_a_job_that_runs_twice_captures_once() -> None:
    """The worker's capture has the same key each time, and a refusal is told, not raised."""
    names = _names_of("workers.md")
    async with Sandbox() as sandbox, sandbox.session() as vipps:
        await _names_of("customer-data.md")["begin"](vipps, "order-1")
        job = {"order_id": "order-1", "shipment": "1", "amount": 20_000}
        assert "refused" in await names["capture_shipment"](vipps, **job)
        await sandbox.approve("order-1")
        job["shipment"] = "2"
        assert [await names["capture_shipment"](vipps, **job) for _ in range(2)] == ["captured"] * 2
        assert sandbox.payment("order-1").captured == 20_000


async def test_a_session_with_settings_and_certificates_of_its_own(tmp_path: Path) -> None:
    """The page's session has the settings that it names, and closes the transport that was made for it."""
    import trustme  # noqa: PLC0415 - takes long to load

    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    keys = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number=MSN)
    async with _names_of("settings.md")["open_session"](keys, own_ca=str(tmp_path / "ca.pem")) as vipps:
        assert isinstance(vipps, VippsSession)


def test_the_table_of_the_retry_policy_has_its_defaults() -> None:
    """Each field of RetryPolicy stands in its table, with the default that it has."""
    text = (DOCS / "settings.md").read_text("utf-8")
    rows = dict(
        re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", text[text.index("## RetryPolicy") :], re.MULTILINE)
    )
    told = {
        name: float(value.removesuffix(" s"))
        for names, values in rows.items()
        if names.startswith(("`attempts", "`deadline", "`base", "`throttled", "`budget"))
        for name, value in zip(re.findall(r"\w+", names), values.split(", "), strict=True)
    }
    policy = RetryPolicy()
    assert told == {name: float(value) for name, value in attrs.asdict(policy).items()}

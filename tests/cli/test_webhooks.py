"""`vipps-async webhooks`: what a person types and reads, against a sandbox."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator

import orjson
import pytest

from tests.cli.inline import inline
from tests.cli.processes import Finished, environment
from tests.cli.shell import env
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

URL = "https://shop.example.com/hooks"
CAPTURED = "epayments.payment.captured.v1"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox() as running:
        yield running


async def _run(sandbox: Sandbox, *arguments: str, stdout: io.StringIO | None = None) -> Finished:
    return await inline("webhooks", *arguments, env=env(sandbox), stdout=stdout)


async def test_register_list_delete(sandbox: Sandbox) -> None:
    """The secret is printed once, to standard output alone; the list shows id, URL and events."""
    made = await _run(sandbox, "register", URL, CAPTURED)
    assert (made.status, made.err) == (0, "")
    (_, name), (_, secret) = (line.split() for line in made.out.splitlines())
    assert (str(uuid.UUID(name)), len(secret)) == (name, 88)
    listed = await _run(sandbox, "list")
    assert (listed.status, listed.err) == (0, "")
    assert listed.out.split() == [name, URL, CAPTURED]
    assert (await _run(sandbox, "delete", name)).out == f"deleted {name}\n"
    assert (await _run(sandbox, "list")).out == "no webhooks\n"
    again = await _run(sandbox, "delete", name)
    assert (again.status, again.out) == (1, "")
    assert "no such registration" in again.err


async def test_as_json(sandbox: Sandbox) -> None:
    """Each command prints one object; without events, all eight of ePayment are registered."""
    made = orjson.loads((await _run(sandbox, "register", URL, "--json")).out)
    assert made.keys() == {"id", "url", "events", "secret"}
    assert len(made["events"]) == 8
    listed = orjson.loads((await _run(sandbox, "list", "--json")).out)
    assert listed == {"webhooks": [{key: made[key] for key in ("id", "url", "events")}]}
    assert orjson.loads((await _run(sandbox, "delete", made["id"], "--json")).out) == {"deleted": made["id"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("register", URL, "epayment.payment.captured.v1"), f"did you mean '{CAPTURED}'"),
        (("register", "http://shop.example.com/"), "url must be"),
        (("delete", "x"), "webhook_id must be the UUID"),
        (("delete",), "Missing argument 'ID'"),
    ],
)
async def test_wrong_use(sandbox: Sandbox, arguments: tuple[str, ...], said: str) -> None:
    """It ends with 2, says what is wrong, and sends nothing."""
    finished = await _run(sandbox, *arguments)
    assert (finished.status, finished.out) == (2, "")
    assert said in finished.err
    assert sandbox.requests == ()


async def test_wrong_settings(sandbox: Sandbox) -> None:
    """Without keys, or in production at another host, nothing is sent."""
    assert (await inline("webhooks", "list", env=environment())).status == 2
    elsewhere = env(sandbox, VIPPS_BASE_URL="https://vipps.example.com", VIPPS_ENVIRONMENT="production")
    finished = await inline("webhooks", "list", env=elsewhere)
    assert (finished.status, "--allow-host" in finished.err) == (2, True)


async def test_it_is_not_known(sandbox: Sandbox) -> None:
    """A lost answer ends with 3 and says what may stand at Vipps; a list that is refused, with 1."""
    sandbox.faults.script("register_webhook", Fault.RESET_AFTER_EFFECT)
    finished = await _run(sandbox, "register", URL)
    assert (finished.status, finished.out) == (3, "")
    assert "whose secret nobody has" in finished.err
    name = orjson.loads((await _run(sandbox, "list", "--json")).out)["webhooks"][0]["id"]
    sandbox.faults.script("delete_webhook", Fault.RESET_AFTER_EFFECT)
    # The list proves it done.
    assert (await _run(sandbox, "delete", name)).status == 0


async def test_vipps_refuses_or_is_not_reached(sandbox: Sandbox) -> None:
    """What is refused, and a list without an answer, changed nothing: 1."""
    refused = await _run(sandbox, "register", URL, "donations.x.v1", *["donations.y.v1"] * 2)
    assert refused.status == 0
    for _ in range(25):
        finished = await _run(sandbox, "register", URL, CAPTURED)
    finished = await _run(sandbox, "register", URL, CAPTURED)
    assert (finished.status, "limit" in finished.err) == (1, True)
    await sandbox.aclose()
    assert (await _run(sandbox, "list")).status == 1


async def test_it_is_cut_off(sandbox: Sandbox) -> None:
    """Cut off under way, it says how to find out whether it was done."""
    sandbox.faults.stall_seconds = 30.0
    sandbox.faults.script("register_webhook", Fault.STALL_BEFORE_EFFECT)
    err = io.StringIO()
    task = asyncio.create_task(inline("webhooks", "register", URL, env=env(sandbox), stderr=err))
    async with asyncio.timeout(10):
        while not sandbox.faults.counts:  # noqa: ASYNC110 - the other side is a real socket
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "To find out: vipps-async webhooks list" in err.getvalue()


class _Full(io.StringIO):
    """A standard output that takes nothing."""

    def write(self, _: str) -> int:
        """Fail."""
        raise OSError(28, "No space left on device")


async def test_what_cannot_be_printed(sandbox: Sandbox) -> None:
    """A secret that cannot be printed is not written elsewhere; the status tells that it was done."""
    finished = await _run(sandbox, "register", URL, stdout=_Full())
    assert finished.status == 8
    assert "is lost: delete the registration" in finished.err
    assert not [word for word in finished.err.split() if len(word) == 88]
    name = orjson.loads((await _run(sandbox, "list", "--json")).out)["webhooks"][0]["id"]
    assert (await _run(sandbox, "list", stdout=_Full())).status == 8
    assert (await _run(sandbox, "delete", name, stdout=_Full())).status == 8

"""A journal knows its world: the facts of one Vipps are never taken for those of another one."""

from __future__ import annotations

import pytest

from tests.core.samples import CREDENTIALS
from vipps_async import (
    Environment,
    JournalError,
    MemoryJournal,
    OutcomeUnknown,
    RequestNotSent,
    VippsSession,
    World,
    nok,
)
from vipps_async.testing import Sandbox, ScriptedTransport, answer

LOCAL = "http://127.0.0.1:8080"


async def world_of(transport: ScriptedTransport, **settings: object) -> World | None:
    """Open a session with a journal, and return what the journal is bound to."""
    journal = MemoryJournal()
    await journal.open()
    async with VippsSession(CREDENTIALS, transport=transport, journal=journal, **settings):  # type: ignore[arg-type]
        return await journal.world()


@pytest.mark.parametrize("environment", Environment)
async def test_vipps_own_hosts_are_one_world_an_environment(environment: Environment) -> None:
    """Vipps itself is not asked: nothing is sent when the session opens."""
    transport = ScriptedTransport()
    assert await world_of(transport, environment=environment) == World(environment=environment.value, host="vipps")
    assert transport.requests == []


async def test_another_host_that_is_not_on_this_machine_is_not_asked() -> None:
    """A gateway of one's own is known by its name: it is sent nothing that Vipps does not know."""
    transport = ScriptedTransport()
    found = await world_of(transport, base_url="https://gateway.example:8443")
    assert found == World(environment="test", host="gateway.example:8443")
    assert transport.requests == []


@pytest.mark.parametrize(
    ("reply", "instance"),
    [
        (answer(200, {"instance": "abc"}), "abc"),
        (answer(404, b"Not found"), ""),
        (answer(200, b"<html>"), ""),
        (answer(200, {"other": 1}), ""),
        (answer(200, [1]), ""),
    ],
)
async def test_a_host_on_this_machine_is_asked_which_sandbox_it_is(reply: object, instance: str) -> None:
    """A sandbox names itself; what is no sandbox is known by its address alone."""
    transport = ScriptedTransport().on("/sandbox/instance", reply)  # type: ignore[arg-type]
    found = await world_of(transport, base_url=LOCAL)
    assert found == World(environment="test", host="127.0.0.1:8080", instance=instance)


async def test_a_sandbox_that_is_slow_to_start_is_asked_again() -> None:
    """A refused connection is no answer; the next one counts."""
    transport = ScriptedTransport().on("/sandbox/instance", RequestNotSent("refused"), answer(200, {"instance": "a"}))
    found = await world_of(transport, base_url=LOCAL)
    assert found is not None
    assert found.instance == "a"


async def test_a_sandbox_that_does_not_answer_opens_no_journal() -> None:
    """Which sandbox it is cannot be known: the session does not open, and the journal is closed again."""
    transport = ScriptedTransport().on("/sandbox/instance", then=OutcomeUnknown("silence"))
    journal = MemoryJournal()
    with pytest.raises(JournalError, match="does not answer"):
        async with VippsSession(CREDENTIALS, base_url=LOCAL, transport=transport, journal=journal):
            pass
    assert not journal.is_open


async def test_a_journal_of_another_sandbox_is_refused_before_anything_is_sent() -> None:
    """A sandbox that was started anew has forgotten the payments: a journal of the old one is refused by both names."""
    journal = MemoryJournal()
    await journal.open()
    async with Sandbox() as first, first.session(journal=journal) as vipps:
        await vipps.journal.flush()  # type: ignore[union-attr]
    async with Sandbox() as second:
        vipps = second.session(journal=journal)
        with pytest.raises(JournalError, match="another Vipps"):
            await vipps.ecom.capture("order-1", amount=nok(1), transaction_text="Shipped")
        await vipps.aclose()
        assert [record for record in second.requests if record.path.endswith("/capture")] == []


async def test_a_journal_of_production_is_refused_by_a_test_session() -> None:
    """The environments are worlds of their own, whatever else is equal."""
    journal = MemoryJournal()
    await journal.open()
    async with VippsSession(
        CREDENTIALS, environment=Environment.PRODUCTION, transport=ScriptedTransport(), journal=journal
    ):
        pass
    with pytest.raises(JournalError, match=r"production at vipps.*test at vipps"):
        async with VippsSession(CREDENTIALS, transport=ScriptedTransport(), journal=journal):
            pass

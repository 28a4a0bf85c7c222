"""What is logged, where it goes, and what never stands in it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from tests.core.fake_clock import FakeClock
from tests.core.samples import KEY, ORDER, SECRETS, Sum, call_of, details, done, pipeline, settings, vipps_error
from tests.support.rows import each_row
from vipps_async.core.events import CallListener, EventLog
from vipps_async.core.operation import Call, Repeat
from vipps_async.errors import CaptureError, OutcomeUnknown, RequestNotSent, VippsError
from vipps_async.testing import Reply, ScriptedTransport, answer, token_answer


@pytest.fixture
def configured() -> Iterator[LogCapture]:
    """Configure structlog as an application does, and put it back."""
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


def facts(record: logging.LogRecord) -> dict[str, str]:
    """Read a line of key=value pairs; a value may have spaces in it."""
    found: dict[str, str] = {}
    name = ""
    for word in record.getMessage().split():
        if "=" in word:
            name, _, found[name] = word.partition("=")
        else:
            found[name] += f" {word}"
    return found


def _without_times(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in {"event", "duration_ms", "level"}}


async def test_one_event_an_attempt_and_one_an_operation(caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt is a DEBUG event, a success an INFO event, with names, numbers and times."""
    caplog.set_level(logging.DEBUG, "vipps_async")
    transport = ScriptedTransport().on("/capture", answer(503), RequestNotSent("refused"), done())
    await pipeline(transport).run(call_of(Repeat.KEYED))
    records = [(record.levelno, facts(record)) for record in caplog.records if record.name == "vipps_async"]
    about = {"operation": "ecom.capture", "payment": ORDER, "idempotency_key": KEY}
    events = [(level, fields["event"], _without_times(fields)) for level, fields in records]
    well = {"outcome": "done", "settled_by": "answer"}
    assert events == [
        (logging.DEBUG, "vipps.attempt", {"operation": "token.get", "attempt": "1", "status": "200"}),
        (logging.INFO, "vipps.operation", {"operation": "token.get", **well, "attempts": "1"}),
        (logging.DEBUG, "vipps.attempt", {**about, "attempt": "1", "status": "503"}),
        (logging.DEBUG, "vipps.attempt", {**about, "attempt": "2", "failure": "not sent"}),
        (logging.DEBUG, "vipps.attempt", {**about, "attempt": "3", "status": "200"}),
        (logging.INFO, "vipps.operation", {**about, **well, "attempts": "3"}),
    ]
    assert all(float(fields["duration_ms"]) >= 0 for _, fields in records)


async def test_a_failure_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A failed operation is a WARNING event with the error's class, effect and status, but not its text."""
    transport = ScriptedTransport().on("/capture", vipps_error(400, "Payment", "61", "canary text"))
    with pytest.raises(VippsError):
        await pipeline(transport).run(call_of(Repeat.KEYED))
    (record,) = caplog.records
    fields = facts(record)
    assert record.levelno == logging.WARNING
    assert (fields["outcome"], fields["effect"], fields["status"]) == ("CaptureError", "no money moved", "400")
    assert "canary" not in record.getMessage()


async def test_what_details_settled_is_marked(configured: LogCapture) -> None:
    """An operation that details proved says so."""
    transport = ScriptedTransport().on("/details", details("yes")).on("/cancel", OutcomeUnknown("cut"))
    await pipeline(transport).run(call_of(Repeat.CONFIRM))
    assert configured.entries[-1]["settled_by"] == "history"


async def test_a_cancelled_call_is_told(configured: LogCapture) -> None:
    """A call whose task was cancelled leaves an event that says so."""
    begun = asyncio.Event()

    async def stall(_request: object) -> Any:
        begun.set()
        await asyncio.Event().wait()

    transport = ScriptedTransport().on("/capture", stall)
    task = asyncio.create_task(pipeline(transport).run(call_of(Repeat.KEYED)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    last = configured.entries[-1]
    assert (last["outcome"], last["idempotency_key"], last["log_level"]) == ("cancelled", KEY, "warning")


async def test_a_failed_renewal_is_told(configured: LogCapture) -> None:
    """A token that could not be renewed in the background leaves a warning, and no call fails for it."""
    clock = FakeClock()
    transport = ScriptedTransport().on("/get", token_answer(), then=answer(403)).on("", then=done())
    line = pipeline(transport, clock=clock)
    await line.run(call_of(Repeat.SAFE))
    clock.advance(3400)
    await line.run(call_of(Repeat.SAFE))
    for _ in range(20):
        await asyncio.sleep(0)
    assert {"event": "vipps.token_renewal_failed", "error": "PermissionDeniedError", "log_level": "warning"} in (
        configured.entries
    )
    await line.aclose()


async def test_an_applications_structlog_is_used(configured: LogCapture, caplog: pytest.LogCaptureFixture) -> None:
    """If the application has configured structlog, events go there as fields, and not to standard logging as well."""
    caplog.set_level(logging.DEBUG, "vipps_async")
    await pipeline(ScriptedTransport().on("", then=done())).run(call_of(Repeat.KEYED))
    assert [entry["event"] for entry in configured.entries] == ["vipps.attempt", "vipps.operation"] * 2
    assert configured.entries[-1]["attempts"] == 1
    assert [record for record in caplog.records if record.name == "vipps_async"] == []


@pytest.mark.parametrize(
    "wrapper", [structlog.BoundLogger, structlog.stdlib.BoundLogger, structlog.make_filtering_bound_logger(0)]
)
async def test_every_kind_of_structlog_logger_will_do(configured: LogCapture, wrapper: type[Any]) -> None:
    """Whichever logger class the application has chosen, events reach it."""
    structlog.configure(processors=[configured], wrapper_class=wrapper, logger_factory=structlog.ReturnLoggerFactory())
    await pipeline(ScriptedTransport().on("", then=done())).run(call_of(Repeat.KEYED))
    assert len(configured.entries) == 4


async def test_when_off_a_call_costs_one_level_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """With logging off nothing is put together: each call asks once whether anybody listens."""
    asked: list[int] = []
    logger = logging.getLogger("vipps_async")

    def is_enabled_for(level: int) -> bool:
        asked.append(level)
        return False

    def fail(*_arguments: object, **_named: object) -> None:
        pytest.fail("an event was put together though nobody wants it")

    monkeypatch.setattr(logger, "isEnabledFor", is_enabled_for)
    monkeypatch.setattr(EventLog, "_write", fail)
    await pipeline(ScriptedTransport().on("", then=done())).run(call_of(Repeat.KEYED))
    assert asked == [logging.INFO] * 2


async def test_when_off_failures_cost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """With logging off a failed, a cancelled and a renewing call write no line either."""
    logger = logging.getLogger("vipps_async")
    monkeypatch.setattr(logger, "isEnabledFor", lambda _level: False)
    monkeypatch.setattr(logger, "log", lambda *_arguments: pytest.fail("an event that nobody wants"))
    clock = FakeClock()
    transport = ScriptedTransport().on("/get", token_answer(), then=answer(403)).on("", answer(403), then=done())
    line = pipeline(transport, clock=clock)
    with pytest.raises(VippsError):
        await line.run(call_of(Repeat.SAFE))
    clock.advance(3400)
    await line.run(call_of(Repeat.SAFE))
    for _ in range(20):
        await asyncio.sleep(0)
    task = asyncio.create_task(line.run(call_of(Repeat.SAFE, payment=None)))
    clock.advance(3600)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await line.aclose()


def test_silent_by_default() -> None:
    """In a program that configures nothing, not even a failing call writes to stdout or stderr."""
    program = textwrap.dedent("""
        import asyncio
        from tests.core.samples import call_of, pipeline
        from vipps_async.core.operation import Repeat
        from vipps_async.errors import VippsError
        from vipps_async.testing import ScriptedTransport, answer

        async def main():
            try:
                await pipeline(ScriptedTransport().on("", then=answer(403))).run(call_of(Repeat.KEYED))
            except VippsError:
                return
            raise SystemExit(3)

        asyncio.run(main())
    """)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


# --- listeners -------------------------------------------------------------------------------------------------------


class Listener(CallListener):
    """Keeps what it is told of calls."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def attempted(self, call: Call[Any], **facts: Any) -> None:
        """Keep it."""
        assert facts.pop("seconds") >= 0
        self.told.append((call.operation.name, *facts.values()))

    def ended(self, call: Call[Any], **facts: Any) -> None:
        """Keep it."""
        assert facts.pop("seconds") >= 0
        self.told.append((call.operation.name, facts))


async def test_listeners_are_told_of_calls_and_attempts() -> None:
    """Each attempt is told with its number, status or failure; each end with its outcome, attempts and error."""
    transport = ScriptedTransport().on("/capture", RequestNotSent("refused"), answer(503), done())
    line, listener = pipeline(transport.on("/status", vipps_error(403, "Payment", "41"))), Listener()
    received: list[Any] = []
    line.log.listeners.append(listener)
    with line.log.listening(lambda *facts: received.append((facts[0], facts[2]))):
        await line.run(call_of(Repeat.KEYED))
        with pytest.raises(VippsError) as caught:
            await line.run(call_of(Repeat.SAFE))
    assert line.log.listeners == [listener]
    well: dict[str, Any] = {"outcome": "done", "settled_by": "answer", "error": None}
    assert listener.told == [
        ("token.get", 1, 200, None),
        ("token.get", well | {"attempts": 1}),
        ("ecom.capture", 1, None, "not sent"),
        ("ecom.capture", 2, 503, None),
        ("ecom.capture", 3, 200, None),
        ("ecom.capture", well | {"attempts": 3}),
        ("ecom.status", 1, 403, None),
        ("ecom.status", {"outcome": "PaymentRefusedError", "attempts": 1, "settled_by": None, "error": caught.value}),
    ]
    assert received == [
        ("token.get", 200),
        ("ecom.capture", None),
        ("ecom.capture", 503),
        ("ecom.capture", 200),
        ("ecom.status", 403),
    ]


async def test_listeners_are_told_of_a_cancelled_call() -> None:
    """The end of a call whose task was cancelled is told, too."""
    begun = asyncio.Event()

    async def stall(_request: object) -> Any:
        begun.set()
        await asyncio.Event().wait()

    line, listener = pipeline(ScriptedTransport().on("/capture", stall)), Listener()
    line.log.listeners.append(listener)
    task = asyncio.create_task(line.run(call_of(Repeat.KEYED)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert listener.told[-1] == (
        "ecom.capture",
        {"outcome": "cancelled", "attempts": None, "settled_by": None, "error": None},
    )


class Broken(CallListener):
    """A listener that is a mistake."""

    def __init__(self) -> None:
        self.asked = 0

    def attempted(self, *_arguments: Any, **_facts: Any) -> None:
        """Fail."""
        self.asked += 1
        raise RuntimeError("canary of a listener")

    ended = attempted


def _raise(*_arguments: Any) -> Any:
    raise RuntimeError("canary of a listener")


TROUBLE = "event=vipps.listening_failed what=a listener error=RuntimeError place=test_events.py:"


@pytest.mark.parametrize("kind", ["attempts", "calls"])
async def test_a_listener_that_raises_changes_nothing(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call ends as Vipps has answered, the others are told, and the log tells once, without the error's text."""
    transport = ScriptedTransport().on("/capture", answer(503), done(), vipps_error(400, "Payment", "61"))
    line, listener, broken = pipeline(transport), Listener(), Broken()
    listening = line.log.listening(broken.attempted) if kind == "attempts" else line.log.listening_to_calls(broken)
    with listening, line.log.listening_to_calls(listener):
        assert (await line.run(call_of(Repeat.KEYED))).status == "Captured"
        with pytest.raises(CaptureError):
            await line.run(call_of(Repeat.KEYED))
    assert broken.asked == (4 if kind == "attempts" else 7)
    assert len(listener.told) == 7
    (told, _failure) = caplog.records
    assert (told.name, told.levelno) == ("vipps_async", logging.ERROR)
    assert told.getMessage().startswith(TROUBLE)
    assert "canary" not in caplog.text


async def test_a_log_processor_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does the application's own structlog configuration: its first failure is told where it is not used."""
    structlog.configure(processors=[_raise])
    try:
        transport = ScriptedTransport().on("/capture", done(), vipps_error(400, "Payment", "61"))
        line = pipeline(transport)
        assert (await line.run(call_of(Repeat.KEYED))).status == "Captured"
        with pytest.raises(CaptureError):
            await line.run(call_of(Repeat.KEYED))
    finally:
        structlog.reset_defaults()
    (told,) = caplog.records
    assert told.getMessage().startswith(TROUBLE.replace("a listener", "logging"))


async def test_a_log_filter_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does a filter of standard logging, though there is nobody left to tell of it."""
    caplog.set_level(logging.DEBUG, "vipps_async")
    logger = logging.getLogger("vipps_async")
    logger.addFilter(_raise)
    try:
        line = pipeline(ScriptedTransport().on("/capture", done()))
        assert (await line.run(call_of(Repeat.KEYED))).status == "Captured"
    finally:
        logger.removeFilter(_raise)
    assert caplog.records == []


async def test_a_listener_may_leave_while_it_is_told() -> None:
    """A listener that takes itself off the list does not keep the next one from being told."""
    line, listener = pipeline(ScriptedTransport().on("/status", done())), Listener()

    class Leaving(Listener):
        def attempted(self, call: Call[Any], **facts: Any) -> None:
            line.log.listeners.remove(self)

    line.log.listeners += [Leaving(), listener]
    await line.run(call_of(Repeat.SAFE))
    assert [told[0] for told in listener.told] == ["token.get", "token.get", "ecom.status", "ecom.status"]


def test_structlog_is_not_loaded_to_see_that_it_is_not_configured() -> None:
    """An application without structlog gets the same lines, and does not pay for loading it."""
    program = textwrap.dedent("""
        import asyncio, logging, sys
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
        from tests.core.samples import call_of, done, pipeline
        from vipps_async.core.operation import Repeat
        from vipps_async.testing import ScriptedTransport
        asyncio.run(pipeline(ScriptedTransport().on("", then=done())).run(call_of(Repeat.KEYED)))
        print("structlog" in sys.modules)
    """)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    token, capture, loaded = ended.stdout.splitlines()
    assert token.startswith("INFO event=vipps.operation operation=token.get outcome=done attempts=1 duration_ms=")
    assert capture.startswith(
        "INFO event=vipps.operation operation=ecom.capture payment=acme-1 idempotency_key=key-1 outcome=done "
        "attempts=1 "
    )
    assert capture.endswith(" settled_by=answer level=info")
    assert (loaded, ended.stderr) == ("False", "")


def test_an_import_under_way_is_no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another thread is halfway through importing structlog, events go to standard logging."""
    monkeypatch.setitem(sys.modules, "structlog", ModuleType("structlog"))
    log = EventLog()
    assert log._wants(logging.WARNING) == logging.getLogger("vipps_async").isEnabledFor(logging.WARNING)
    log.renewal_failed(OutcomeUnknown("cut"))


# --- canaries --------------------------------------------------------------------------------------------------------

PHONE, NAME, TOKEN = "48059990", "Canary Nordmann", "canary-token-value"
CANARIES = (*SECRETS.values(), PHONE, NAME, TOKEN, "canary")
EVERYTHING = f"{SECRETS} mobileNumber {PHONE} Bearer {TOKEN}"

ANSWERS: dict[str, Reply] = {
    "errors": answer(400, [{"errorGroup": TOKEN, "errorCode": PHONE, "errorMessage": EVERYTHING, "contextId": TOKEN}]),
    "gateway": answer(403, {"statusCode": 403, "message": EVERYTHING}),
    "oauth": answer(400, {"error": SECRETS["client_id"], "error_description": EVERYTHING, "trace_id": PHONE}),
    "problem": answer(422, {"title": EVERYTHING, "type": TOKEN, "extraDetails": [{"name": PHONE, "reason": TOKEN}]}),
    "html": answer(200, f"<p>{EVERYTHING}</p>".encode()),
    "html 502": answer(502, f"<p>{EVERYTHING}</p>".encode()),
    "names": answer(200, {"userDetails": {"firstName": NAME, "mobileNumber": PHONE}, "access_token": TOKEN}),
    "redirect": answer(302, EVERYTHING.encode(), headers={"location": f"https://evil.example/{TOKEN}"}),
    "unauthorized": answer(401, {"statusCode": 401, "message": EVERYTHING}),
    "headers": answer(429, headers={"retry-after": TOKEN, "x-request-id": PHONE}),
    "lost": OutcomeUnknown("cut"),
}


def all_of(error: BaseException | None) -> str:
    """Write down all that an error and those behind it tell about themselves."""
    text = ""
    while error is not None:
        text += "".join(traceback.format_exception(error))
        text += f"{error!s} {error!r} {error.args!r} {error.__dict__!r}"
        error = error.__cause__ or error.__context__
    return text


@each_row("where", ["call", "token", "details"])
@each_row("name", ANSWERS)
@each_row("repeat", Repeat)
async def test_no_secret_gets_out(
    name: str, where: str, repeat: Repeat, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets and personal data of requests and answers are in no log record, error, traceback or repr."""
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    transport = ScriptedTransport()
    if where == "token":
        transport.on("/get", then=ANSWERS[name])
    transport.on("/get", then=token_answer(TOKEN))
    if where == "details":
        transport.on("/details", then=ANSWERS[name]).on("", then=OutcomeUnknown("cut"))
    transport.on("/details", then=details("no")).on("", then=ANSWERS[name])
    call = call_of(repeat, body=Sum(amount=49900, text=NAME), secrets=(PHONE, NAME))
    line = pipeline(transport)
    with pytest.raises(VippsError) as caught:
        await line.run(call)
    shown = all_of(caught.value) + repr(call) + repr(line) + repr(transport) + repr(transport.requests)
    shown += repr(settings()) + repr(transport.token_requests) + "".join(capsys.readouterr())
    for record in caplog.records:
        shown += f"{record.getMessage()} {record.args!r} {record.exc_info!r} {record.__dict__!r}"
    found = [canary for canary in CANARIES if canary in shown]
    assert found == []
    assert len(caplog.records) >= 2

"""Registering webhooks: names and URLs checked before anything is sent, one registration for one URL."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from tests.support.rows import each_row
from vipps_async import (
    PAYMENT_EVENTS,
    ApiError,
    ConfigurationError,
    Credentials,
    Effect,
    InvalidInputError,
    OutcomeUnknown,
    RegisteredWebhook,
    Request,
    RequestNotSent,
    RetryPolicy,
    UnexpectedResponseError,
    VippsError,
    VippsSession,
    WebhookEvent,
)
from vipps_async.testing import ScriptedTransport, answer

URL = "https://shop.example.com/vipps/webhooks"
OTHER = "https://other.example.com/hooks"
CAPTURED = "epayments.payment.captured.v1"
REFUNDED = "epayments.payment.refunded.v1"
KEYS = Credentials(client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456")
FAST = RetryPolicy(deadline=2.0, base=0.001, throttled_base=0.001)


class Vipps(ScriptedTransport):
    """Registrations at Vipps, and what goes wrong next: a callable before or after the effect of a request."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        #: Method → what is answered in place of the right answer, one for each request; the effect comes first.
        self.lost: dict[str, list[Any]] = {"POST": [], "DELETE": [], "GET": []}
        self.on("", then=self._answer)

    def has(self, url: str, *events: str) -> str:
        """Have a registration, and return its id."""
        name = str(uuid.uuid4())
        self.hooks[name] = {"id": name, "url": url, "events": list(events)}
        self.secrets[name] = f"s3cret-{len(self.secrets)}-" + "A" * 70
        return name

    def _answer(self, request: Request) -> Any:
        reply = self._right_answer(request)
        instead = self.lost[request.method]
        if instead:
            wrong = instead.pop(0)
            if isinstance(wrong, Exception):
                raise wrong
            return wrong
        return reply

    def _right_answer(self, request: Request) -> Any:
        if request.method == "GET":
            return answer(200, {"webhooks": list(self.hooks.values())})
        if request.method == "DELETE":
            gone = self.hooks.pop(request.url.rpartition("/")[2], None)
            return answer(204) if gone else answer(404, {"title": "Not Found", "status": 404})
        asked = orjson.loads(request.body or b"")
        name = self.has(asked["url"], *asked["events"])
        return answer(201, {"id": name, "secret": self.secrets[name]})

    @property
    def sent(self) -> list[str]:
        """What was asked of it: method and, of a delete, whose."""
        return [f"{one.method} {one.url.rpartition('/')[2]}" for one in self.requests]


@pytest.fixture
def transport() -> Vipps:
    """Return a Vipps without registrations."""
    return Vipps()


@pytest_asyncio.fixture
async def vipps(transport: Vipps) -> AsyncIterator[VippsSession]:
    """Return a session over it."""
    async with VippsSession(KEYS, transport=transport, retry=FAST) as session:
        yield session


# -- register, list, delete --------------------------------------------------------------------------------------------


async def test_register(vipps: VippsSession, transport: Vipps) -> None:
    """URL and events go out as they are, and the answer's id and secret come back with them."""
    hook = await vipps.webhooks.register(URL, [WebhookEvent.PAYMENT_CAPTURED, CAPTURED, REFUNDED])
    assert orjson.loads(transport.requests[0].body or b"") == {"url": URL, "events": [CAPTURED, REFUNDED]}
    assert transport.requests[0].headers["Merchant-Serial-Number"] == "123456"
    assert hook == RegisteredWebhook(
        id=hook.id,
        url=URL,
        events=(WebhookEvent.PAYMENT_CAPTURED, WebhookEvent.PAYMENT_REFUNDED),
        secret=transport.secrets[hook.id],
    )


async def test_list(vipps: VippsSession, transport: Vipps) -> None:
    """All are listed, also one for an event that this version does not know."""
    transport.has(OTHER, "new.thing.v9")
    (hook,) = await vipps.webhooks.list()
    assert (hook.url, hook.events, hook.events[0].known) == (OTHER, ("new.thing.v9",), False)


async def test_delete(vipps: VippsSession, transport: Vipps) -> None:
    """A registration is deleted by its id; one that is not there is told of as such, and no money is spoken of."""
    name = transport.has(URL, CAPTURED)
    await vipps.webhooks.delete(name)
    assert transport.hooks == {}
    with pytest.raises(ApiError, match=r"no money moved; there is no such registration") as caught:
        await vipps.webhooks.delete(name)
    assert caught.value.status == 404


@pytest.mark.parametrize("given", ["", "../x", "1", None, 7, "*"])
async def test_only_a_uuid_is_deleted(vipps: VippsSession, transport: Vipps, given: Any) -> None:
    """What is no id never becomes a path."""
    with pytest.raises(InvalidInputError, match="webhook_id must be the UUID"):
        await vipps.webhooks.delete(given)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("epayment.payment.captured.v1", CAPTURED),
        ("epayments.payment.canceled.v1", "epayments.payment.cancelled.v1"),
        ("recurring.charge-cancelled.v1", "recurring.charge-canceled.v1"),
        ("CAPTURED", None),
        (CAPTURED + "\n", CAPTURED),
        (7, None),
    ],
)
async def test_an_unknown_event(vipps: VippsSession, transport: Vipps, given: Any, meant: str | None) -> None:
    """An event that Vipps does not know is refused before sending, with the one that may have been meant."""
    with pytest.raises(InvalidInputError, match="events must be names of events") as caught:
        await vipps.webhooks.register(URL, [REFUNDED, given])
    assert (f"did you mean {meant!r}?" in str(caught.value)) == (meant is not None)
    assert transport.requests == []


@pytest.mark.parametrize("given", [[], CAPTURED, b"x", None, 5])
async def test_events_are_a_list(vipps: VippsSession, given: Any) -> None:
    """One text is not taken for a list of its letters, and nothing is not taken for everything."""
    with pytest.raises(InvalidInputError, match="at least one event"):
        await vipps.webhooks.ensure(url=URL, events=given)


async def test_events_of_donations(vipps: VippsSession, transport: Vipps) -> None:
    """Their names are not published in full, so one of their shape is sent as it is."""
    await vipps.webhooks.register(URL, ["donations.agreement-created.v1"])
    assert transport.sent == ["POST webhooks"]


def test_the_eight_events_of_a_payment() -> None:
    """The word is in the plural, and there are eight."""
    words = ("created", "authorized", "aborted", "expired", "terminated", "cancelled", "captured", "refunded")
    assert [str(event) for event in PAYMENT_EVENTS] == [f"epayments.payment.{word}.v1" for word in words]


@each_row(
    "url",
    [
        "http://shop.example.com/hooks",
        "http://127.0.0.1:8000/hooks",
        "https://localhost/hooks",
        "https://192.168.0.4/hooks",
        "https://shop.internal/hooks",
        "https://shop.example.com:8443/hooks",
        "https://user:pass@shop.example.com/",
        "https://shop.example.com/#x",
        "https:///hooks",
        "ftp://shop.example.com",
        "https://shop.example.com/a b",
        "",
        None,
    ],
)
async def test_a_url_that_vipps_does_not_reach(url: Any) -> None:
    """At Vipps' own hosts, a URL must be https, public and on a usual port; else nothing is sent."""
    transport = Vipps()
    async with VippsSession(KEYS, transport=transport) as vipps:
        with pytest.raises(InvalidInputError, match="url must be"):
            await vipps.webhooks.register(url, [CAPTURED])
    assert transport.requests == []


async def test_a_url_on_loopback() -> None:
    """A sandbox may deliver to this machine by http, and a query stays as it is."""
    transport = Vipps()
    async with VippsSession(KEYS, transport=transport, base_url="http://127.0.0.1:9") as vipps:
        hook = await vipps.webhooks.register("http://127.0.0.1:8000/hooks/?k=v", [CAPTURED])
    assert hook.url == "http://127.0.0.1:8000/hooks/?k=v"
    assert "k=v" not in repr(hook)


async def test_what_vipps_refuses(vipps: VippsSession, transport: Vipps) -> None:
    """A problem is read with its fields and trace id, and said to have moved no money."""
    problem = {
        "type": "00-bb84-01",
        "title": "Bad Request",
        "status": 400,
        "detail": "One or more validation errors occurred.",
        "traceId": "00-bb84-01",
        "extraDetails": [{"name": "Events", "reason": "Unsupported values: donations.x.v1"}],
    }
    transport.lost["POST"] = [answer(400, problem)]
    with pytest.raises(ApiError) as caught:
        await vipps.webhooks.register(URL, ["donations.x.v1"])
    assert [(one.code, one.message, one.context_id) for one in caught.value.errors] == [
        ("400", "Bad Request: One or more validation errors occurred.", "00-bb84-01"),
        ("Events", "Unsupported values: donations.x.v1", None),
    ]
    assert caught.value.effect is Effect.NONE


# -- lost answers ------------------------------------------------------------------------------------------------------


async def test_a_lost_answer_is_not_repeated_blindly(vipps: VippsSession, transport: Vipps) -> None:
    """If the list shows the registration, no second one is made, and it is said that its secret is lost."""
    transport.lost["POST"] = [OutcomeUnknown("the line went dead")]
    with pytest.raises(OutcomeUnknown) as caught:
        await vipps.webhooks.register(URL, [CAPTURED])
    assert transport.sent == ["POST webhooks", "GET webhooks"]
    assert "whose secret nobody has" in caught.value.advice
    assert "no money moved" in str(caught.value)


async def test_a_request_that_never_arrived_is_sent_again(vipps: VippsSession, transport: Vipps) -> None:
    """If the list shows no such registration, it is sent again."""
    transport.has(OTHER, CAPTURED)
    first = transport._right_answer
    transport._right_answer = lambda request: (  # type: ignore[method-assign]
        answer(503) if request.method == "POST" and len(transport.requests) == 1 else first(request)
    )
    hook = await vipps.webhooks.register(URL, [CAPTURED])
    assert transport.sent == ["POST webhooks", "GET webhooks", "POST webhooks"]
    assert transport.hooks[hook.id]["url"] == URL


async def test_ids_in_capitals(vipps: VippsSession, transport: Vipps) -> None:
    """A list that writes ids in capitals does not make a registration look deleted that is there."""
    name = transport.has(URL, CAPTURED)
    transport.hooks[name] |= {"id": name.upper()}
    transport.lost["DELETE"] = [answer(503)]
    right = transport._right_answer
    transport._right_answer = lambda request: (  # type: ignore[method-assign]
        answer(503) if request.method == "DELETE" and len(transport.requests) == 1 else right(request)
    )
    await vipps.webhooks.delete(name)
    assert transport.sent == [f"DELETE {name}", "GET webhooks", f"DELETE {name}"]
    assert transport.hooks == {}


async def test_a_lost_answer_to_delete(vipps: VippsSession, transport: Vipps) -> None:
    """The list proves a delete done whose answer got lost."""
    name = transport.has(URL, CAPTURED)
    transport.lost["DELETE"] = [OutcomeUnknown("the line went dead")]
    await vipps.webhooks.delete(name)
    assert transport.sent == [f"DELETE {name}", "GET webhooks"]


@pytest.mark.parametrize(
    "reply",
    [
        answer(201, b'{"id":"x","secret":"s3cret-canary-0123456789"'),
        answer(201, {"secret": "s3cret-canary-0123456789"}),
        answer(201, {"id": ["s3cret-canary-0123456789"], "secret": "s3cret-canary-0123456789"}),
    ],
)
async def test_the_secret_shows_nowhere(
    vipps: VippsSession, transport: Vipps, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither logs nor errors nor reprs hold a secret, whatever becomes of the answer."""
    caplog.set_level(logging.DEBUG)
    hook = await vipps.webhooks.register(OTHER, [CAPTURED])
    ensured = await vipps.webhooks.ensure(url="https://third.example.com/", events=[CAPTURED])
    assert hook.secret not in repr(hook)
    assert ensured.secret is not None
    assert ensured.secret not in repr(ensured)
    transport.lost["POST"] = [reply]
    with pytest.raises(UnexpectedResponseError) as caught:
        await vipps.webhooks.register(URL, [CAPTURED])
    error: BaseException | None = caught.value
    assert "canary" not in caught.value.body
    while error is not None:
        assert "canary" not in repr(error)
        error = error.__cause__ or error.__context__
    logged = caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    assert not [secret for secret in ("canary", hook.secret, ensured.secret) if secret in logged]


# -- ensure ------------------------------------------------------------------------------------------------------------


async def test_ensure_registers_once(vipps: VippsSession, transport: Vipps) -> None:
    """The first run registers and hands the secret out; the second finds it there and changes nothing."""
    other = transport.has(OTHER, CAPTURED)
    first = await vipps.webhooks.ensure(url=URL, events=PAYMENT_EVENTS)
    second = await vipps.webhooks.ensure(url=URL, events=reversed(PAYMENT_EVENTS))
    assert first.secret == transport.secrets[first.id]
    assert (second.id, second.secret, second.deleted, second.left_over) == (first.id, None, (), ())
    assert set(transport.hooks) == {other, first.id}


async def test_ensure_replaces(vipps: VippsSession, transport: Vipps) -> None:
    """Other events make a new registration first, which is saved, and only then are the old ones deleted."""
    old = [transport.has(URL, CAPTURED), transport.has("https://SHOP.example.com/vipps/webhooks", REFUNDED)]
    saved: list[RegisteredWebhook] = []

    async def save(hook: RegisteredWebhook) -> None:
        assert set(old) < set(transport.hooks)
        saved.append(hook)

    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED, REFUNDED], save=save)
    assert transport.sent == ["GET webhooks", "POST webhooks", *(f"DELETE {name}" for name in old)]
    assert hook.deleted == tuple(old)
    assert [(one.id, one.secret) for one in saved] == [(hook.id, hook.secret)]
    assert list(transport.hooks) == [hook.id]


async def test_ensure_removes_duplicates(vipps: VippsSession, transport: Vipps) -> None:
    """Of several that fit one is kept."""
    names = [transport.has(URL, CAPTURED) for _ in range(14)]
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED])
    assert (hook.id, hook.secret, hook.deleted) == (names[0], None, tuple(names[1:]))
    assert list(transport.hooks) == names[:1]


async def test_ensure_replaces_what_has_no_known_secret(vipps: VippsSession, transport: Vipps) -> None:
    """With the ids whose secrets are known, one that is kept is one of them, or a new one is made."""
    first, second = transport.has(URL, CAPTURED), transport.has(URL, CAPTURED)
    kept = await vipps.webhooks.ensure(url=URL, events=[CAPTURED], known_ids=[second])
    assert (kept.id, kept.deleted) == (second, (first,))
    new = await vipps.webhooks.ensure(url=URL, events=[CAPTURED], known_ids=set())
    assert (new.secret is None, new.deleted) == (False, (second,))
    assert list(transport.hooks) == [new.id]


@pytest.mark.parametrize("known", ["id", 5])
async def test_known_ids_are_a_collection(vipps: VippsSession, known: Any) -> None:
    """A single id is not taken for a collection of its letters."""
    with pytest.raises(InvalidInputError, match="known_ids"):
        await vipps.webhooks.ensure(url=URL, events=[CAPTURED], known_ids=known)


@pytest.mark.parametrize("reply", [OutcomeUnknown("the line went dead"), answer(201, b"<html>")])
async def test_ensure_cleans_up_after_a_lost_answer(vipps: VippsSession, transport: Vipps, reply: Any) -> None:
    """A registration whose secret got lost with the answer is replaced by one more, and deleted."""
    transport.lost["POST"] = [reply]
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED])
    assert hook.secret == transport.secrets[hook.id]
    assert len(hook.deleted) == 1
    assert list(transport.hooks) == [hook.id]


async def test_ensure_hands_the_secret_out_though_deleting_fails(vipps: VippsSession, transport: Vipps) -> None:
    """What could not be deleted is named, what was gone already counts as deleted, and the secret is not lost by it."""
    old = [transport.has(URL, REFUNDED) for _ in range(3)]
    transport.lost["DELETE"] = [
        answer(403, {"title": "No", "status": 403, "extraDetails": ["odd"]}),
        answer(404, {"title": "Not Found", "status": 404}),
        *[RequestNotSent("unplugged")] * FAST.attempts,
    ]
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED])
    assert hook.secret == transport.secrets[hook.id]
    assert (hook.left_over, hook.deleted) == ((old[0], old[2]), (old[1],))


async def test_a_listed_url_that_is_none(vipps: VippsSession, transport: Vipps) -> None:
    """A registration whose URL cannot be taken apart is another URL's."""
    odd = transport.has("https://[bad", CAPTURED)
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED])
    assert set(transport.hooks) == {odd, hook.id}


async def test_a_lost_answer_and_no_list(vipps: VippsSession, transport: Vipps) -> None:
    """If the list is refused too, nothing is sent again."""
    transport.lost["POST"] = [OutcomeUnknown("the line went dead")]
    transport.lost["GET"] = [answer(403, {"title": "No", "status": 403})]
    with pytest.raises(OutcomeUnknown, match="the list was refused with HTTP status 403"):
        await vipps.webhooks.register(URL, [CAPTURED])
    assert transport.sent == ["POST webhooks", "GET webhooks"]


async def test_ensure_that_is_cancelled_between(vipps: VippsSession, transport: Vipps) -> None:
    """Cancelled after registering, it leaves old and new; what was saved is kept by the next run, the old one goes."""
    old = transport.has(URL, REFUNDED)
    saved: list[str] = []

    async def save(hook: RegisteredWebhook) -> None:
        saved.append(hook.id)
        task.cancel()
        await asyncio.sleep(0)

    task = asyncio.ensure_future(vipps.webhooks.ensure(url=URL, events=[CAPTURED], save=save))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(transport.hooks) == {old, saved[0]}
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED], known_ids=saved)
    assert (hook.id, hook.secret, hook.deleted) == (saved[0], None, (old,))


async def test_the_limit_is_said_before_it_is_hit(vipps: VippsSession, transport: Vipps) -> None:
    """With 25 registrations of an event for other URLs nothing is sent but the list, and nothing is deleted."""
    for number in range(25):
        transport.has(f"https://shop{number}.example.com/", CAPTURED)
    transport.has(URL, REFUNDED)
    with pytest.raises(ConfigurationError, match=f"25 registrations for {CAPTURED}, and Vipps takes no more"):
        await vipps.webhooks.ensure(url=URL, events=[REFUNDED, CAPTURED])
    assert transport.sent == ["GET webhooks"]
    assert len(transport.hooks) == 26


async def test_room_is_made_where_there_is_none(vipps: VippsSession, transport: Vipps) -> None:
    """If this URL's own leftovers fill the limit, as many go first as it takes, and the others afterwards."""
    names = [transport.has(URL, CAPTURED) for _ in range(25)]
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED, REFUNDED])
    assert transport.sent[:3] == ["GET webhooks", f"DELETE {names[0]}", "POST webhooks"]
    assert hook.deleted == tuple(names)
    assert list(transport.hooks) == [hook.id]


async def test_one_registration_for_check_ins(vipps: VippsSession, transport: Vipps) -> None:
    """Of QR check-ins there may be one only."""
    transport.has(OTHER, "user.checked-in.v1")
    with pytest.raises(ConfigurationError, match="1 registrations for user"):
        await vipps.webhooks.ensure(url=URL, events=["user.checked-in.v1"])


async def test_ensure_without_an_answer_says_so(vipps: VippsSession, transport: Vipps) -> None:
    """If the answer gets lost twice, it is given up, and said what may stand at Vipps."""
    transport.lost["POST"] = [OutcomeUnknown("dead"), OutcomeUnknown("dead again")]
    with pytest.raises(VippsError, match="whose secret nobody has"):
        await vipps.webhooks.ensure(url=URL, events=[CAPTURED])
    assert len(transport.hooks) == 2
    hook = await vipps.webhooks.ensure(url=URL, events=[CAPTURED], known_ids=[])
    assert list(transport.hooks) == [hook.id]

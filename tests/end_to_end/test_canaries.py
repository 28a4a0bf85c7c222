"""Secrets and personal data are planted in a run full of failures, and looked for wherever anything can be read."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NoReturn

import orjson
import pytest
import structlog
from attrs import define, field

from tests.end_to_end.checkout import FAST
from tests.support.payments import initiate
from vipps_async import (
    AiohttpTransport,
    AirlineData,
    Credentials,
    ExpressCheckout,
    OutcomeUnknown,
    RequestNotSent,
    Scope,
    ShippingDetails,
    Timeouts,
    VippsError,
    VippsSession,
    nok,
)
from vipps_async.sandbox import Address, Customer
from vipps_async.testing import Sandbox
from vipps_async.testing.transport_conformance.raw_server import Connection, raw_server
from vipps_async.transports.protocol import Request, Response

#: Nothing else in a run looks like these.
KEYS = {
    "client_id": "canary-client-id-5b1f",
    "client_secret": "canary-client-secret-9c2e",
    "subscription_key": "canary-subscription-key-77d0",
}
AUTH_TOKEN = "canary-auth-token-31aa"
PHONE, NIN, BORN = "47829163", "13097248022", "1972-09-13"
FIRST, LAST, STREET, CITY = "Zebulonia", "Kvakkestad", "Hemmeligveien 77", "Gjemmested"
MAIL = "zebulonia@kvakkestad.example"
PASSENGER, TICKET = "KVAKKESTAD / ZEBULONIA MS.", "canary-ticket-4410"
CUSTOMER = Customer(
    first_name=FIRST,
    last_name=LAST,
    email=MAIL,
    mobile_number=PHONE,
    birth_date=BORN,
    nin=NIN,
    address=Address(line1=STREET, city=CITY),
)
PLANTED = [*KEYS.values(), AUTH_TOKEN, PHONE, NIN, BORN, FIRST, LAST, STREET, CITY, MAIL, PASSENGER, TICKET]
ECHO = ["400", "404", "409", "429", "500", "502", "200", "307", "page", "problem", "gateway", "oauth"]


@define
class Echo:
    """A transport that now and then answers, instead of Vipps, with everything it was sent: the worst of proxies."""

    inner: AiohttpTransport = field(factory=AiohttpTransport)
    #: What to do with the coming requests; None lets one pass, and so does an empty queue.
    plan: deque[str | None] = field(factory=deque)
    reprs: list[str] = field(factory=list)

    async def send(self, request: Request) -> Response:
        """See Transport."""
        kind = self.plan.popleft() if self.plan else None
        response = await self.inner.send(request) if kind is None else _echo(kind, request)
        self.reprs += [repr(request), repr(response), str(request), str(response)]
        return response

    async def aclose(self) -> None:
        """See Transport."""
        await self.inner.aclose()


def _echo(kind: str, request: Request) -> Response:
    body = (request.body or b"").decode()
    text = f"cannot read {body} with {dict(request.headers)}; {MAIL} called from +47 {PHONE} about {NIN}"
    if kind == "page":
        return Response(status=200, headers={"content-type": "text/html"}, body=f"<html>{text}</html>".encode())
    answers: dict[str, Any] = {
        "problem": {
            "type": "about:blank",
            "title": "Bad",
            "detail": text,
            "extraDetails": [{"name": "x", "reason": text}],
        },
        "gateway": {"responseInfo": {"responseCode": 400, "responseMessage": "Bad"}, "result": {"message": text}},
        "oauth": {"error": "invalid_client", "error_description": text, "trace_id": "1"},
    }
    answer = answers.get(kind, [{"errorGroup": "InvalidRequest", "errorCode": "mobileNumber", "errorMessage": text}])
    status = int(kind) if kind.isdecimal() else 400
    return Response(status=status, headers={"content-type": "application/json"}, body=orjson.dumps(answer))


@define
class Net:
    """Collects every text that somebody could read afterwards."""

    texts: list[str] = field(factory=list)
    errors: int = 0

    def show(self, *values: object) -> None:
        """Take in what printing a value would show."""
        for value in values:
            self.texts += [repr(value), str(value)]

    def catch(self, error: VippsError) -> None:
        """Take in all that an error shows, its causes included."""
        self.errors += 1
        self.show(error, error.args, vars(error))
        self.texts += traceback.format_exception(error)
        self.texts.append(pickle.dumps(error).decode("latin-1"))
        link: BaseException | None = error
        while link is not None:
            self.show(link, link.args, vars(link))
            link = link.__cause__ or link.__context__

    async def run(self, call: Callable[[], Any]) -> Any:
        """Carry out a call and take in its result or its error."""
        try:
            result = await call()
        except VippsError as error:
            self.catch(error)
            return None
        self.show(result)
        return result


class _Records(logging.Handler):
    def __init__(self, net: Net) -> None:
        super().__init__(logging.DEBUG)
        self._net = net
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self._net.show(record.__dict__)
        self._net.texts.append(logging.Formatter("%(message)s").format(record))


@pytest.fixture
def net() -> Net:
    """A net, empty."""
    return Net()


@pytest.fixture(params=["standard logging", "structlog"])
def events(request: pytest.FixtureRequest, net: Net) -> Iterator[Callable[[], int]]:
    """Log everything at DEBUG into the net, one way or the other; tells how many events there were."""
    handler = _Records(net)
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "vipps_async", "aiohttp", "asyncio")}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    through_structlog = 0

    def take(_logger: object, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        nonlocal through_structlog
        through_structlog += 1
        net.show(dict(event))
        raise structlog.DropEvent

    if request.param == "structlog":
        structlog.configure(processors=[structlog.processors.format_exc_info, take])
    try:
        yield lambda: through_structlog if request.param == "structlog" else handler.count
    finally:
        structlog.reset_defaults()
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


async def _live_through(net: Net, sandbox: Sandbox, vipps: VippsSession, echo: Echo) -> None:
    """Everything that a session does, with what is planted in all of its places, failing in between."""
    ecom = vipps.ecom
    airline = AirlineData(
        passenger_name=PASSENGER,
        airline_code="074",
        airline_designator_code="KL",
        ticket_number=TICKET,
        agency_invoice_number="1",
    )
    net.show(airline)

    async def pay(order_id: str, **further: Any) -> Any:
        return await net.run(lambda: initiate(vipps, order_id, mobile_number=PHONE, auth_token=AUTH_TOKEN, **further))

    echo.plan += ["oauth", "400"]
    await pay("no-token")
    for number, kind in enumerate(ECHO):
        await _token_at_hand(vipps)
        echo.plan.append(kind)
        await pay(f"echo-{number}", airline_data=airline)
        echo.plan.clear()
    payment = await pay("order", scope=[scope for scope in Scope if scope is not Scope.NIN], airline_data=airline)
    token = payment.token
    other = await pay("approved-by-api")
    for kind in ECHO:
        echo.plan.append(kind)
        await net.run(lambda: ecom.approve("approved-by-api", mobile_number=PHONE, token=other.token))
        echo.plan.clear()
    await sandbox.approve("order", customer=CUSTOMER)
    sandbox.clock.advance(1)
    details = await net.run(lambda: ecom.details("order"))
    sub = details.sub
    for kind in ECHO:
        echo.plan.append(kind)
        await net.run(lambda: vipps.userinfo.get(sub))
        echo.plan.clear()
    user = await net.run(lambda: vipps.userinfo.get(sub))
    assert user.email == MAIL, "the canaries must be there, or nothing is shown"
    net.show(user.address)
    for kind in ECHO:
        echo.plan.append(kind)
        await net.run(lambda: ecom.capture("order", amount=100, transaction_text="Part."))
        echo.plan.clear()
        echo.plan += [kind] * 4
        await net.run(lambda: ecom.details("order"))
        echo.plan.clear()
    method = ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost=nok(79), is_default=True)
    express = ExpressCheckout(consent_removal_prefix="https://example.com/consents", static_shipping_details=[method])
    await pay("express", express=express)
    await sandbox.approve("express", customer=CUSTOMER)
    details = await net.run(lambda: ecom.details("express"))
    assert details.user_details.first_name == FIRST
    net.show(details.user_details, details.shipping_details, details.shipping_details.address)
    # The sandbox's own records name paths, and the path of user info is the customer's sub: it is left out here.
    net.show([record for record in sandbox.requests if record.operation != "userinfo"], sandbox.callbacks)
    net.show(vipps, echo.inner)
    net.texts += echo.reprs
    secrets = {request.headers.get("Authorization", "").removeprefix("Bearer ") for request in sandbox.requests}
    _assert_absent(net, [*PLANTED, token, other.token, sub, details.user_details.user_id, *(secrets - {""})])


async def _token_at_hand(vipps: VippsSession) -> None:
    """See to it that a token is at hand, so that the next request is the call's own."""
    try:
        await vipps.ecom.details("nobody-knows-it")
    except VippsError:
        return


def _assert_absent(net: Net, secrets: list[str]) -> None:
    assert all(len(secret) >= 8 for secret in secrets)
    for secret in secrets:
        found = [text for text in net.texts if secret in text]
        assert not found, f"{secret!r} in {found[0][:2_000]}"


async def test_nothing_that_was_planted_is_seen(events: Callable[[], int], net: Net) -> None:
    """No log record, error, traceback, pickle or repr of a whole run holds a secret or a personal datum."""
    echo = Echo()
    credentials = Credentials(**KEYS, merchant_serial_number="123456")
    net.show(credentials)
    async with (
        Sandbox(rate_limits=False) as sandbox,
        sandbox.session(credentials, transport=echo, retry=FAST) as vipps,
    ):
        await _live_through(net, sandbox, vipps, echo)
    await echo.aclose()
    assert events() > 100, "a run that logs nothing proves nothing"
    assert net.errors > 30, "a run in which nothing fails proves nothing"


_ANSWERS = {
    "garbage": b"\x16\x03\x01 " + PHONE.encode() + b"\r\n\r\n",
    "cut headers": b"HTTP/1.1 200 OK\r\nX-Echo: " + AUTH_TOKEN.encode(),
    "cut body": b"HTTP/1.1 400 Bad\r\nContent-Length: 900\r\n\r\n" + MAIL.encode(),
    "bad header": b"HTTP/1.1 200 OK\r\nX-Echo " + KEYS["client_secret"].encode() + b"\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", _ANSWERS)
async def test_broken_connections_show_nothing_either(events: Callable[[], int], net: Net, answer: str) -> None:
    """The causes of a broken exchange, foreign exceptions that carry requests and answers, come out clean."""

    async def script(connection: Connection) -> None:
        await connection.answer(_ANSWERS[answer])

    credentials = Credentials(**KEYS, merchant_serial_number="123456")
    async with raw_server(script) as server:
        session = VippsSession(
            credentials, base_url=server.url, retry=FAST, timeouts=Timeouts(connect=2, read=2, total=3)
        )
        async with session as vipps:
            await net.run(lambda: initiate(vipps, mobile_number=PHONE, auth_token=AUTH_TOKEN))
            net.show(vipps)
    assert net.errors == 1
    assert events() > 0
    _assert_absent(net, PLANTED)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("mobile_number", f"+47{PHONE}"),
        ("auth_token", f"{AUTH_TOKEN}\r\nX-Evil: 1"),
        ("callback_prefix", f"https://{FIRST}:{AUTH_TOKEN}@example.com/"),
    ],
)
async def test_refused_arguments_are_not_quoted(
    net: Net, sandbox: Sandbox, vipps: VippsSession, parameter: str, value: str
) -> None:
    """A secret or personal argument that breaks its rule is named, and its value is not."""
    arguments: dict[str, Any] = {parameter: value}
    await net.run(lambda: initiate(vipps, **arguments))
    assert net.errors == 1
    assert any(parameter in text for text in net.texts)
    _assert_absent(net, PLANTED)
    assert sandbox.requests == ()


@pytest.mark.parametrize("name", KEYS)
def test_refused_keys_are_not_quoted(net: Net, name: str) -> None:
    """A key with a line break is refused without being shown."""
    with pytest.raises(VippsError) as caught:
        Credentials(**(KEYS | {name: f"{KEYS[name]}\n"}), merchant_serial_number="123456")
    net.catch(caught.value)
    assert name in str(caught.value)
    _assert_absent(net, PLANTED)


async def test_the_canaries_would_be_found(net: Net) -> None:
    """The control: an error that does quote a secret is caught by the net."""
    for error in (OutcomeUnknown(f"it said {PHONE}"), RequestNotSent("x", advice=AUTH_TOKEN)):
        net.texts.clear()
        net.catch(error)
        with pytest.raises(AssertionError):
            _assert_absent(net, PLANTED)

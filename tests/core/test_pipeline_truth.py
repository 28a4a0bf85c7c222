"""Does the end of a call tell the truth? A small Vipps that remembers what it did is asked afterwards."""

from __future__ import annotations

import copy

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.samples import Receipt, call_of, details, done, pipeline, vipps_error
from vipps_async.core.operation import Repeat
from vipps_async.errors import (
    DuplicateOrderError,
    Effect,
    OutcomeUnknown,
    PaymentUrlLostError,
    RequestNotSent,
    VippsError,
)
from vipps_async.testing import Reply, ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response

HTML = b"<html>Sorry</html>"
#: Failures before anything was done.
HARMLESS: list[Reply] = [
    RequestNotSent("refused"),
    answer(401),
    answer(403),
    answer(423),
    answer(429),
    vipps_error(423, "VippsError", "94"),
    vipps_error(400, "VippsError", "98"),
    vipps_error(400, "Payment", "61"),
]
#: Failures that leave it open whether it was done.
OPEN: list[Reply] = [
    OutcomeUnknown("cut"),
    answer(200, HTML),
    answer(200, b'{"orderId":"ac'),
    answer(204),
    answer(307),
    answer(404, HTML),
    answer(408),
    answer(409),
    vipps_error(400, "VippsError", "99"),
    answer(500),
    answer(502, HTML),
    answer(504),
]
#: What happens to one request: None is an honest answer; otherwise a failure, and whether it was done all the same.
Fate = tuple[Reply | None, bool]
fates: st.SearchStrategy[Fate] = st.one_of(
    st.just((None, True)),
    st.tuples(st.sampled_from(HARMLESS), st.just(False)),  # noqa: FBT003 - a strategy's value
    st.tuples(st.sampled_from(OPEN), st.booleans()),
)


@define
class Vipps:
    """Does what it is asked at most once a key, or once an order, and answers as fate will have it."""

    repeat: Repeat
    fates: list[Fate]
    questions: list[Reply | None]
    #: How often it was done, for each key; without keys under None.
    effects: dict[str | None, int] = field(factory=dict)

    def act(self, request: Request) -> Response:
        """Do it, unless fate strikes first, and answer, unless fate strikes last."""
        failure, effective = self.fates.pop(0) if self.fates else (None, True)
        key = request.headers.get("X-Request-Id")
        repeated = key in self.effects
        if effective and not repeated:
            self.effects[key] = 1
        if failure is not None:
            return _fail(failure)
        if repeated and self.repeat is Repeat.ONCE:
            return _fail(vipps_error(400, "Merchant", "34"))
        if repeated and self.repeat is Repeat.CONFIRM:
            return _fail(vipps_error(400, "Payment", "51"))
        return done()

    def tell(self, _request: Request) -> Response:
        """Tell whether it was done, unless fate strikes."""
        failure = self.questions.pop(0) if self.questions else None
        return details("yes" if self.effects else "no") if failure is None else _fail(failure)


def _fail(failure: Reply) -> Response:
    if isinstance(failure, Response):
        return failure
    assert isinstance(failure, VippsError)
    raise copy.copy(failure)


@settings(max_examples=500)
@given(
    st.sampled_from([Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE]),
    st.lists(fates, max_size=6),
    st.lists(st.none() | st.sampled_from([*HARMLESS, *OPEN]), max_size=6),
)
async def test_the_end_of_a_call_is_true(repeat: Repeat, story: list[Fate], questions: list[Reply | None]) -> None:
    """A result means that it was done, "no money moved" that it was not, and it was never done twice."""
    vipps = Vipps(repeat, list(story), list(questions))
    transport = ScriptedTransport().on("/details", then=vipps.tell).on("", then=vipps.act)
    end: Receipt | VippsError
    try:
        end = await pipeline(transport).run(call_of(repeat))
    except VippsError as error:
        end = error
    times = sum(vipps.effects.values())
    assert times <= 1
    if isinstance(end, PaymentUrlLostError):
        assert times == 1
    elif isinstance(end, DuplicateOrderError) or (isinstance(end, VippsError) and end.effect is Effect.NONE):
        assert times == 0
    elif isinstance(end, Receipt):
        assert times == 1

"""Answers kept by idempotency key, for APIs that give a repetition the first answer."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from vipps_async.sandbox.ledger.orders import KeptAnswer, Order
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.wire.face import Answer

#: Answers that are kept of requests that made no payment; the oldest are forgotten beyond that.
_MAX_HOMELESS = 10_000


class KeptAnswers:
    """Keeps answers with the payment that they are about, else in memory alone.

    Args:
        passes: whether an answer is one that the same request may get otherwise the next time: it is not kept.
    """

    def __init__(self, passes: Callable[[Answer], bool]) -> None:
        self._passes = passes
        #: The oldest first.
        self._homeless: dict[str, KeptAnswer] = {}

    def once(self, name: str, body: bytes, find: Callable[[], Order | None], act: Callable[[], Answer]) -> Answer:
        """Answer a request: as the first time, if it is a repetition, else by acting.

        A key that got a 4xx keeps it, whatever comes under it next.

        Args:
            name: tells the key from every other one of the API.
            body: the request's body; its layout does not count.
            find: gives the payment that the request is about, before or after acting; None: there is none.
            act: carries the request out.

        Raises:
            Refused: KEY_REUSED, if the key was used for another payload.
        """
        fingerprint, order = _fingerprint(body), find()
        kept = (self._homeless if order is None else order.answers).get(name)
        if kept is not None:
            if kept.status < 400 and kept.fingerprint != fingerprint:
                raise Refused(Reason.KEY_REUSED)
            return Answer(kept.status, kept.body.encode(), {"Content-Type": kept.media})
        answer = act()
        if not self._passes(answer):
            order = find()
            media = answer.headers["Content-Type"]
            (self._homeless if order is None else order.answers)[name] = KeptAnswer(
                fingerprint=fingerprint, status=answer.status, body=answer.body.decode(), media=media
            )
            if len(self._homeless) > _MAX_HOMELESS:
                del self._homeless[next(iter(self._homeless))]
        return answer


def _fingerprint(body: bytes) -> str:
    # The same payload, however its JSON was laid out.
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS).decode()
    except ValueError:
        return body.decode("latin-1")

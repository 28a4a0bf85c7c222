"""Looks payments up for a reconciliation: each lookup is sent once, within the rate of all workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, mutable

from vipps_async.apis import APIS, session_api
from vipps_async.core.batch_client import BatchClient
from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.core.operation import Call, Inconclusive
from vipps_async.core.payment_api import HistoryEntry
from vipps_async.core.refusal import is_about_payment
from vipps_async.core.token import is_about_token
from vipps_async.errors import ApiError, AuthenticationError, ConfigurationError, VippsError
from vipps_async.session import VippsSession


@mutable(eq=False)
class Lookups:
    """What was looked up of one payment: the same question is asked once."""

    session: VippsSession
    #: Shared by the lookups of all payments.
    limiter: BatchLimiter
    #: Tells the time in monotonic seconds.
    now: Callable[[], float]
    answers: dict[str, Any] = field(factory=dict)

    async def evidence(self, call: Call[Any], client: BatchClient) -> Any:
        """Return the evidence of a call: what the history says of it."""
        reconciliation = call.reconciliation
        if reconciliation is None:
            return Inconclusive("there is no way to look it up")
        answer = await self._answer(reconciliation.lookup, client)
        if isinstance(answer, Inconclusive):
            return answer
        return (
            reconciliation.interpret_refusal(answer)
            if isinstance(answer, ApiError)
            else reconciliation.interpret(answer)
        )

    async def history(self, api: str, payment: str) -> Sequence[HistoryEntry] | None:
        """Return all that happened to a payment; None: it could not be read."""
        history = APIS[api].history
        answer = await self._answer(history.lookup(payment), session_api(self.session, APIS[api]).batch)
        return None if isinstance(answer, Inconclusive | ApiError) else history.read(payment, answer)

    async def _answer(self, lookup: Call[Any], client: BatchClient) -> Any:
        """Return what `_asked` brings, from memory if it was asked before."""
        name = f"{lookup.operation.name} {lookup.path}"
        if name not in self.answers:
            self.answers[name] = await self._asked(lookup, client)
        return self.answers[name]

    async def _asked(self, lookup: Call[Any], client: BatchClient) -> Any:
        """Return the answer, a refusal of the question, or why there is neither."""
        limiter, now = self.limiter, self.now
        if limiter.is_closed or not await limiter.acquire():
            return Inconclusive("not looked up: Vipps gave no usable answer any more")
        began = now()
        try:
            answer = await client.runner.run(lookup)
        except ConfigurationError:
            raise
        except VippsError as error:
            if isinstance(error, ApiError) and not is_about_token(error) and is_about_payment(error):
                limiter.row_answered()
                return error
            limiter.row_failed(began, now(), keys_refused=isinstance(error, AuthenticationError))
            if limiter.circuit_open:
                limiter.close()
            return Inconclusive(f"the payment could not be looked up ({error.message})")
        finally:
            limiter.release()
        limiter.row_answered()
        return answer

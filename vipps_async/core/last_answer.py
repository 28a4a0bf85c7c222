"""Keeps the last answer of each task, and redacts what is shown of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

from vipps_async.answers import LastAnswer
from vipps_async.core.operation import Operation
from vipps_async.core.redaction import redact
from vipps_async.core.token import Token
from vipps_async.transports.protocol import Response

#: Headers that may be shown. All others may hold anything: cookies, tokens in redirects, names.
_SHOWN: Final = re.compile(
    r"(?:[a-z]+-)*(?:request|correlation|trace|operation|activity)-?id|traceparent"
    r"|age|cache-control|content-length|content-type|date|retry-after|server|via|x-azure-ref"
)
_LONGEST_VALUE: Final = 200


class _Shows(Protocol):
    """An `AnswerReader`, as far as it is needed here."""

    def shown_answer(
        self, operation: Operation[Any], secrets: tuple[str, ...], token: Token | None, response: Response
    ) -> LastAnswer: ...


#: What a task was answered last, with what `_Shows` needs to show it: it is redacted only for who asks, and hardly
#: anybody does. Of the call itself nothing is kept.
LAST: ContextVar[tuple[_Shows, Operation[Any], tuple[str, ...], Token | None, Response] | None] = ContextVar(
    "LAST", default=None
)


def last_answer() -> LastAnswer | None:
    """Return the last response of Vipps in the current task: ``await vipps.ecom.capture(...)``, then `last_answer()`.

    It is the response to the last request that a call in this task has sent, of any session; also of a lookup, if the
    call had to find out whether it took effect. A new task inherits that of the task that made it. Calls in other tasks
    (in `asyncio.gather`, in a batch, and the reads of `wait_for`) do not change it here; their errors have
    `VippsError.response`.

    Returns:
        The answer, redacted; None: there was none.
    """
    last = LAST.get()
    if last is None:
        return None
    answers, operation, secrets, token, response = last
    return answers.shown_answer(operation, secrets, token, response)


def shown_headers(headers: Mapping[str, str], show: Callable[[str], str] = redact) -> dict[str, str]:
    """Return the headers of an answer that may be shown, with redacted values.

    Args:
        headers: all of them, names in lower case.
        show: redacts a value.
    """
    return {name: show(value)[:_LONGEST_VALUE] for name, value in headers.items() if _SHOWN.fullmatch(name)}

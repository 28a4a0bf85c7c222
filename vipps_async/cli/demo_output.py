"""The output of the demo: text while it runs, or one JSON document at the end."""

from __future__ import annotations

import re
import textwrap
import time
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import asdict, field, frozen, mutable

from vipps_async.apis import APIS
from vipps_async.cli.output import COLUMNS, plain, say, show, wrapped
from vipps_async.core.redaction import redact
from vipps_async.errors import VippsError
from vipps_async.money import format_nok
from vipps_async.transports.protocol import Request, Response, Transport

#: How much of a body is shown, in characters.
_WIDEST_BODY = 240


@frozen(kw_only=True)
class Exchange:
    """One request and what came back, secrets and personal data taken out."""

    method: str
    path: str
    sent: str
    #: The HTTP status; None if no answer came.
    status: int | None
    answered: str
    milliseconds: float
    #: Whether it was the fetch of a token rather than a step of its own.
    token: bool


@frozen(kw_only=True)
class MoneyRow:
    """What moved on one payment, in øre."""

    payment: str
    reserved: int
    captured: int
    refunded: int
    left: int


@mutable
class _Step:
    title: str
    exchanges: list[Exchange] = field(factory=list)
    checks: list[dict[str, Any]] = field(factory=list)


class Output:
    """Where the walk reports to: text as it happens, or one JSON document at the end, whose amounts are øre."""

    def __init__(self, api: str, *, is_json: bool) -> None:
        self._api = api
        self._is_json = is_json
        self._steps: list[_Step] = []
        self._rows: list[MoneyRow] = []

    def _show(self, text: str) -> None:
        if not self._is_json:
            show(text)

    def step(self, title: str) -> None:
        """Announce the next step."""
        self._steps.append(_Step(title))
        self._show(f"\n{len(self._steps):2}. {wrapped(title, 4)}")

    def exchange(self, exchange: Exchange) -> None:
        """Show one request and its answer."""
        self._steps[-1].exchanges.append(exchange)
        status = "no answer" if exchange.status is None else exchange.status
        note = " (a token first; it is kept for all calls to come)" if exchange.token else ""
        self._show(f"    → {wrapped(f'{exchange.method} {exchange.path}{note}', 6)}")
        if exchange.sent:
            self._show(_body(exchange.sent))
        self._show(f"    ← {status} in {exchange.milliseconds} ms")
        if exchange.answered and not exchange.token:
            self._show(_body(exchange.answered))

    def check(self, what: str, *, holds: bool) -> None:
        """Show whether what should be so is so."""
        self._steps[-1].checks.append({"what": what, "holds": holds})
        self._show(f"    {'✓' if holds else '✗'} {what}")

    def money(self, row: MoneyRow) -> None:
        """Keep what moved on one payment for the end."""
        self._rows.append(row)

    def failed(self, why: str) -> None:
        """End because a step went wrong."""
        if self._is_json:
            self._print(error=why)
        else:
            say(f"\nThe demo stopped: {plain(why)}")

    def done(self) -> None:
        """End with the table of money moved."""
        if self._is_json:
            self._print(error=None)
            return
        columns = ("reserved", "captured", "refunded", "left")
        width = max(len(row.payment) for row in self._rows)
        show(f"\nMoney moved\n    {'payment':<{width}}" + "".join(f"{name:>14}" for name in columns))
        for row in self._rows:
            sums = "".join(f"{format_nok(getattr(row, name)):>14}" for name in columns)
            show(f"    {row.payment:<{width}}{sums}")
        show("\nEvery step did what it should.")

    def _print(self, *, error: str | None) -> None:
        document = {
            "api": self._api,
            "succeeded": error is None,
            "error": error,
            "steps": [asdict(step) for step in self._steps],
            "money": [asdict(row) for row in self._rows],
        }
        show(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


class RecordingTransport:
    """Lets requests pass through another transport and shows each with its answer."""

    def __init__(self, inner: Transport, output: Output) -> None:
        self._inner = inner
        self._output = output

    async def send(self, request: Request) -> Response:
        """See Transport."""
        started = time.perf_counter()
        try:
            response = await self._inner.send(request)
        except VippsError as error:
            self._show(request, None, str(error), started)
            raise
        self._show(request, response.status, response.body.decode("utf-8", "replace"), started)
        return response

    def _show(self, request: Request, status: int | None, answered: str, started: float) -> None:
        path = urlsplit(request.url).path
        personal = tuple(key for api in APIS.values() for key in api.dialect.personal_keys)
        self._output.exchange(
            Exchange(
                method=request.method,
                path=path,
                sent=redact((request.body or b"").decode(), personal_keys=personal),
                status=status,
                answered=redact(answered, personal_keys=personal),
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
                token=path.lower() == "/accesstoken/get",
            )
        )

    async def aclose(self) -> None:
        """See Transport."""
        await self._inner.aclose()


def _body(text: str) -> str:
    flat = " ".join(text.split())
    shortened = flat if len(flat) <= _WIDEST_BODY else f"{flat[: _WIDEST_BODY - 1]}…"
    # A blank between two fields, where a line may end.
    spaced = re.sub(r'(?<=[\]}"0-9a-z]),(?=["{\[])', ", ", shortened)
    return textwrap.fill(spaced, COLUMNS, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)

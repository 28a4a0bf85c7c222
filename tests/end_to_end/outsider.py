"""Makes requests just as data says them: what clients of another make send, without any of their code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import field, frozen

from vipps_async.sandbox import SandboxCredentials

__all__ = ["KEYS", "Outsider", "Sent", "outsider_at"]

#: The keys of a sandbox that looks at them.
KEYS = SandboxCredentials(
    client_id="client-id", client_secret="client-secret", subscription_key="key", merchant_serial_numbers={"123456"}
)


@frozen
class Sent:
    """A request: its headers but for those that every HTTP client sets, and its body."""

    method: str
    path: str
    headers: Mapping[str, str]
    #: What is sent as JSON, or bytes as they are; None: no body.
    body: Any = None


@frozen
class Outsider:
    """Sends what it is told to; no header is added but those of HTTP itself."""

    session: aiohttp.ClientSession = field(repr=False)
    url: str

    async def send(self, sent: Sent) -> tuple[int, Any]:
        """Make a request, and return status and JSON; None for an answer without a body."""
        body: Any = sent.body
        if body is None:
            body = b""
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = dict(sent.headers)
        async with self.session.request(
            sent.method,
            self.url + sent.path,
            data=body,
            headers=headers,
            # aiohttp takes no such header, but sends it.
            chunked=headers.pop("Transfer-Encoding", None) == "chunked" or None,
            skip_auto_headers=("Content-Type", "User-Agent"),
        ) as answer:
            told = await answer.read()
        return answer.status, json.loads(told) if told else None


@asynccontextmanager
async def outsider_at(url: str) -> AsyncIterator[Outsider]:
    """Open one that talks to a sandbox."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Outsider(session, url)

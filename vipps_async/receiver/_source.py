"""The protocol of a `Source`: authenticates the requests of one API, and reads them as events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

from vipps_async.session import VippsSession

#: A request's headers: a mapping, or pairs of name and value as they came.
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
#: What is called with an event and the session: a coroutine function, or a plain one, which runs in a thread.
Handler = Callable[..., object]


class Notification(Protocol):
    """An event that has happened: handled in the background, and redelivered until its handler succeeds."""

    @property
    def payment(self) -> str | None:
        """The payment that it is about, as its API names it; None: it is about none."""
        ...

    @property
    def dedup_key(self) -> str | None:
        """The same for each delivery of the same news, at most 40 characters, nothing personal in it.

        None: nothing tells a second delivery from later news, so each one is handled.
        """
        ...

    @property
    def record(self) -> bytes:
        """The event as the journal stores it, for `Source.restore`; without personal data wherever possible."""
        ...

    @property
    def is_pending(self) -> bool:
        """Whether its handler has found that the API does not show it yet: then it is redelivered."""
        ...


@runtime_checkable
class Query(Protocol):
    """A request that Vipps makes while a customer waits: answered with what its handler returns."""

    @property
    def payment(self) -> str | None:
        """The payment that it is about, as its API names it; None: it is about none."""
        ...

    def respond(self, result: object, /) -> bytes:
        """Turn what the handler has returned into the body of the reply, as JSON.

        Raises:
            CallbackError: the answer is a refusal, such as that nothing is shipped there; with the status to answer.
            InvalidInputError: the handler has returned what Vipps would not take.
        """
        ...


class Source(Protocol):
    """The requests of one API to the merchant. Its methods raise `CallbackError` and nothing else."""

    @property
    def api(self) -> str:
        """The API, as the journal's entries name it."""
        ...

    @property
    def handlers(self) -> Mapping[str, Handler | None]:
        """The handler of each kind of request. A kind is also the operation of its entries in the journal."""
        ...

    def match(self, path: str, /) -> tuple[str, str] | None:
        """Return the kind of a request by its path, and its HTTP method; None: another source's.

        Args:
            path: as it was sent, still percent-encoded, with or without query.
        """
        ...

    def check_headers(self, headers: Iterable[tuple[str, str]], /) -> None:
        """Check the headers before the body is read.

        Args:
            headers: names in lower case, and values; a name may come twice.

        Raises:
            CallbackError: the request is not authentic (401).
        """
        ...

    def read(self, path: str, headers: Iterable[tuple[str, str]], body: bytes, /) -> Notification | Query:
        """Read a request whose path matches; if it is the body that is signed, check that first.

        Raises:
            CallbackError: the request is not authentic (401) or malformed (400).
        """
        ...

    def restore(self, kind: str, record: bytes, /) -> Notification:
        """Rebuild an event from its record in the journal, marked as redelivered.

        Raises:
            CallbackError: the record is damaged.
        """
        ...

    def notify(self, session: VippsSession, payment: str, /) -> None:
        """Wake the waits for a payment."""
        ...

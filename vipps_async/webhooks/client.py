"""The client of the Webhooks API: registers, lists and deletes webhooks, and keeps one URL's registration as wanted."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final, NoReturn
from uuid import UUID

from vipps_async.core.operation import Runner
from vipps_async.errors import (
    ApiError,
    ConfigurationError,
    Effect,
    InvalidInputError,
    OutcomeUnknown,
    UnexpectedResponseError,
    VippsError,
)
from vipps_async.input_rules import check_webhook_url
from vipps_async.webhooks.events import WebhookEvent, check_events
from vipps_async.webhooks.models import EnsuredWebhook, RegisteredWebhook, Webhook, same_url
from vipps_async.webhooks.operations import LOOKUP, delete_call, register_call

#: How many registrations Vipps takes for one event type and sales unit (Webhooks API guide); for QR check-ins one.
_MOST: Final = 25
_MOST_OF: Final = {WebhookEvent.USER_CHECKED_IN: 1}
_LOST = (
    "registering moves no money, but a registration may stand at Vipps whose secret nobody has: its deliveries would "
    "not verify. Call ensure() with the known_ids that you have secrets for: it deletes the others of this URL"
)
_NOT_DELETED = "deleting moves no money; list() tells whether the registration is still there"

#: Keeps a secret before anything else happens.
Save = Callable[[RegisteredWebhook], Awaitable[None]]


class WebhooksApi:
    """Registers the URLs that Vipps tells of events. None of its operations moves money.

    There is no update at Vipps, and nothing there prevents two registrations of the same URL, each of which delivers
    every event: `ensure` sees to both.
    """

    def __init__(self, runner: Runner, *, loopback: bool = True, is_vipps: bool = False) -> None:
        """Make the API ready.

        Args:
            runner: runs the calls.
            loopback: whether a URL may be http on this machine's loopback, for a sandbox.
            is_vipps: whether calls go to Vipps' own host, which delivers to public hosts and usual ports only.
        """
        self._runner = runner
        self._loopback = loopback
        self._is_vipps = is_vipps

    async def register(self, url: str, events: Iterable[str]) -> RegisteredWebhook:
        """Register a URL for events. Prefer `ensure`, which leaves no duplicate behind.

        Vipps gives registrations no key: after a lost answer the list is looked at, and it is sent again only if no
        registration of this URL for these events is there.

        Args:
            url: https, on a public host and one of the ports 80, 443 and 8080; Vipps follows no redirects.
            events: which, such as `PAYMENT_EVENTS`.

        Returns:
            The registration with its secret, which Vipps hands out this once.

        Raises:
            InvalidInputError: the URL breaks a rule, or an event is not known; nothing was sent.
            OutcomeUnknown: the answer got lost: a registration may stand there whose secret nobody has.
            UnexpectedResponseError: likewise, for an answer that cannot be read.
            VippsError: see `vipps_async.errors`.
        """
        url, wanted = self._checked(url, events)
        return await self._register(url, wanted)

    async def list(self) -> tuple[Webhook, ...]:
        """Return the sales unit's registrations, without their secrets.

        Raises:
            VippsError: see `vipps_async.errors`.
        """
        return (await self._runner.run(LOOKUP)).webhooks

    async def delete(self, webhook_id: str) -> None:
        """Delete a registration: nothing more is delivered to it, and what is being retried is dropped.

        Args:
            webhook_id: the id, a UUID.

        Raises:
            InvalidInputError: it is no UUID; nothing was sent.
            ApiError: Vipps has no such registration (status 404), or refused.
            VippsError: see `vipps_async.errors`.
        """
        try:
            checked = str(UUID(webhook_id))
        except (ValueError, TypeError, AttributeError):
            raise InvalidInputError("webhook_id", "the UUID of a registration", value=webhook_id) from None
        try:
            await self._runner.run(delete_call(checked))
        except VippsError as error:
            _without_money(error, _NOT_DELETED)

    async def ensure(
        self,
        *,
        url: str,
        events: Iterable[str],
        known_ids: Collection[str] | None = None,
        save: Save | None = None,
    ) -> EnsuredWebhook:
        """Leave this URL with exactly one registration, for exactly these events.

        Lists, keeps the first registration that fits, registers if none does, and then deletes the others of this
        URL, duplicates included. The new one is there before the old ones go, so that no event falls between (only
        where Vipps has no room for one more, as many old ones go first as it takes): expect some events twice
        meanwhile. Run it in one place, such as a deployment, not in every worker: of two at the same time each may
        delete what the other has made.

        Stopped at any point, even killed, it leaves a URL that gets its events, and the next run ends what is left.
        Only the secret can be lost: of a registration that was made and not yet saved. With `known_ids` the next run
        replaces it; without, it would be kept, for nothing tells it from a good one.

        Args:
            url: as for `register`. Registrations of other URLs are not touched.
            events: as for `register`.
            known_ids: the ids that you have secrets for: a registration with another one is replaced. None: whatever
                fits is kept, whoever has its secret.
            save: stores id and secret of a new registration; it is awaited before the old ones are deleted.

        Returns:
            The registration; its secret if it is new. Old ones that could not be deleted are in `left_over`.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            ConfigurationError: other URLs have as many registrations for one of the events as Vipps takes (25 for each
                event and sales unit, 1 for QR check-ins); nothing was changed.
            VippsError: listing or registering failed; see `vipps_async.errors`.
        """
        url, wanted = self._checked(url, events)
        if known_ids is not None and (isinstance(known_ids, str) or not isinstance(known_ids, Collection)):
            raise InvalidInputError("known_ids", "a collection of ids, or None", value=known_ids)
        listed = await self.list()
        ours = [hook for hook in listed if same_url(hook.url, url)]
        fitting = [hook for hook in ours if set(hook.events) == set(wanted)]
        kept = next((hook for hook in fitting if known_ids is None or hook.id in known_ids), None)
        if kept is not None:
            deleted, left_over = await self._delete_all([hook for hook in ours if hook.id != kept.id])
            return EnsuredWebhook(
                id=kept.id, url=url, events=kept.events, deleted=tuple(deleted), left_over=tuple(left_over)
            )
        early = await self._make_room(listed, ours, wanted)
        new, orphans = await self._register_anew(url, wanted, {hook.id for hook in listed})
        if save is not None:
            await save(new)
        old = [hook for hook in ours if hook.id not in early] + orphans
        deleted, left_over = await self._delete_all(old)
        return EnsuredWebhook(
            id=new.id,
            url=url,
            events=wanted,
            secret=new.secret,
            deleted=(*early, *deleted),
            left_over=tuple(left_over),
        )

    def _checked(self, url: object, events: object) -> tuple[str, tuple[WebhookEvent, ...]]:
        wanted = check_events(events)
        return check_webhook_url(url, loopback=self._loopback, is_vipps=self._is_vipps), wanted

    async def _register(self, url: str, events: tuple[WebhookEvent, ...]) -> RegisteredWebhook:
        try:
            made = await self._runner.run(register_call(url, events))
        except VippsError as error:
            if isinstance(error, UnexpectedResponseError):
                # It may hold the secret, under whatever name.
                error.body, error.response = "", None
            _without_money(error, _LOST)
        return RegisteredWebhook(id=made.id, url=url, events=events, secret=made.secret)

    async def _register_anew(
        self, url: str, events: tuple[WebhookEvent, ...], known: Collection[str]
    ) -> tuple[RegisteredWebhook, builtins.list[Webhook]]:
        """Register; if the answer is lost, register once more. Returns it, and what was made without its secret."""
        try:
            return await self._register(url, events), []
        except (OutcomeUnknown, UnexpectedResponseError):
            orphans = [hook for hook in await self.list() if same_url(hook.url, url) and hook.id not in known]
        return await self._register(url, events), orphans

    async def _make_room(
        self, listed: Sequence[Webhook], ours: Sequence[Webhook], wanted: Collection[WebhookEvent]
    ) -> builtins.list[str]:
        """Return the ids of this URL's registrations that were deleted early, as Vipps takes no further one beside."""
        others = [hook for hook in listed if hook not in ours]
        if (full := _full(others, wanted)) is not None:
            raise ConfigurationError(
                f"other URLs of the sales unit have {full[1]} registrations for {full[0]}, and Vipps takes no more",
                advice="delete() one that is not needed any more; list() tells which there are",
            )
        deleted: list[str] = []
        rest = list(ours)
        while rest and _full([*others, *rest], wanted) is not None:
            gone, _ = await self._delete_all([rest.pop(0)])
            deleted += gone
        return deleted

    async def _delete_all(self, hooks: Iterable[Webhook]) -> tuple[builtins.list[str], builtins.list[str]]:
        deleted: list[str] = []
        left_over: list[str] = []
        for hook in hooks:
            try:
                await self.delete(hook.id)
            except ApiError as error:
                # Gone already, by somebody else's hand.
                (deleted if error.status == 404 else left_over).append(hook.id)
            except VippsError:
                left_over.append(hook.id)
            else:
                deleted.append(hook.id)
        return deleted, left_over


def _full(listed: Iterable[Webhook], wanted: Iterable[WebhookEvent]) -> tuple[WebhookEvent, int] | None:
    counts = Counter(event for hook in listed for event in hook.events)
    return next(((event, counts[event]) for event in wanted if counts[event] >= _MOST_OF.get(event, _MOST)), None)


def _without_money(error: VippsError, advice: str) -> NoReturn:
    """Raise an error again: whatever became of the call, no money is in it."""
    if error.effect is not Effect.NONE:
        error.effect, error.advice = Effect.NONE, advice
    raise error

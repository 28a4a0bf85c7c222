"""The Userinfo API: what a customer agreed to share with the `scope` of a payment."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from vipps_async.core.clock import Clock, SystemClock
from vipps_async.core.converter import json_name
from vipps_async.core.dialect import Dialect
from vipps_async.core.operation import Call, Operation, Repeat, Runner
from vipps_async.ecom.operations import ask_details
from vipps_async.input_rules import check_order_id, check_seconds, check_sub

#: Seconds between two questions for a customer's id: well within the 120 a minute that Vipps takes.
_PAUSE = 1.0


@frozen(kw_only=True)
class UserAddress:
    """A postal address, under OpenID Connect's names."""

    address_type: str | None = field(default=None, metadata=json_name("address_type"))
    """The kind of address, such as ``"home"``."""
    country: str | None = field(default=None, repr=False)
    """Country code."""
    formatted: str | None = field(default=None, repr=False)
    """The whole address, lines separated by line breaks."""
    postal_code: str | None = field(default=None, repr=False, metadata=json_name("postal_code", "postalCode"))
    """Post code."""
    region: str | None = field(default=None, repr=False)
    """City."""
    street_address: str | None = field(default=None, repr=False, metadata=json_name("street_address"))
    """Street and number."""


@frozen(kw_only=True)
class UserAccount:
    """A bank account of a customer. All of it is personal: the repr shows nothing."""

    account_name: str | None = field(default=None, repr=False, metadata=json_name("account_name"))
    """What the customer calls it."""
    account_number: str | None = field(default=None, repr=False, metadata=json_name("account_number"))
    """Its number."""
    bank_name: str | None = field(default=None, repr=False, metadata=json_name("bank_name"))
    """The bank."""


@frozen(kw_only=True)
class UserInfo:
    """A customer. All of it is personal: the repr shows nothing. None: not shared."""

    sub: str | None = field(default=None, repr=False)
    """The customer's id in this sales unit."""
    name: str | None = field(default=None, repr=False)
    """Whole name."""
    given_name: str | None = field(default=None, repr=False, metadata=json_name("given_name"))
    """First name."""
    family_name: str | None = field(default=None, repr=False, metadata=json_name("family_name"))
    """Last name."""
    email: str | None = field(default=None, repr=False)
    """E-mail address."""
    email_verified: bool | None = field(default=None, repr=False, metadata=json_name("email_verified"))
    """Whether Vipps has verified the e-mail address."""
    phone_number: str | None = field(default=None, repr=False, metadata=json_name("phone_number"))
    """Phone number with country code, without plus sign."""
    phone_number_verified: bool | None = field(default=None, repr=False, metadata=json_name("phone_number_verified"))
    """Whether Vipps has verified the phone number."""
    address: UserAddress | None = field(default=None, repr=False)
    """The main address."""
    other_addresses: tuple[UserAddress, ...] = field(default=(), repr=False, metadata=json_name("other_addresses"))
    """Further addresses."""
    birthdate: str | None = field(default=None, repr=False)
    """Date of birth, ``YYYY-MM-DD``."""
    nin: str | None = field(default=None, repr=False)
    """National identity number."""
    accounts: tuple[UserAccount, ...] = field(default=(), repr=False)
    """Bank accounts, if the sales unit may ask for them."""
    sid: str | None = field(default=None, repr=False)
    """The session's id."""


#: A read.
USERINFO: Final = Operation(
    dialect=Dialect(name="userinfo", may_tell_of_money=lambda _info: False),
    verb="get",
    method="GET",
    path="/vipps-userinfo-api/userinfo/{}",
    result=UserInfo,
    repeat=Repeat.SAFE,
    # The vendor's page shows Authorization alone; with the key, user info has answered 401 for a time.
    subscription_key=False,
)


class UserinfoApi:
    """Reads what customers agreed to share."""

    def __init__(self, runner: Runner, clock: Clock | None = None) -> None:
        """Make the API ready.

        Args:
            runner: runs the calls.
            clock: what `of_order` waits by; None: the machine's own.
        """
        self._runner = runner
        self._clock = clock or SystemClock()

    async def get(self, sub: str) -> UserInfo:
        """Read what a customer agreed to share; Vipps gives it for 7 days after the payment.

        Args:
            sub: the customer's id, from `PaymentDetails.sub`.

        Raises:
            InvalidInputError: `sub` could not be an id; nothing was sent.
            VippsError: see `vipps_async.errors`.
        """
        path = USERINFO.path_for(check_sub(sub))
        return await self._runner.run(Call(operation=USERINFO, path=path, secrets=(sub,)))

    async def of_order(self, order_id: str, *, timeout: float = 10.0) -> UserInfo:  # noqa: ASYNC109 - ends between two questions
        """Read what the customer of a payment agreed to share, also right after the approval.

        The customer's id (`sub`) comes into details some moments to seconds after the customer has accepted, so details
        are asked at once and then every second until it is there.

        Args:
            order_id: the payment, initiated with a `scope`.
            timeout: how long to wait for the id, in seconds.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            TimeoutError: details have no `sub`: the payment had no scope, or the customer has not accepted it.
            OrderNotFoundError: there is no such payment in this sales unit.
            VippsError: see `vipps_async.errors`.
        """
        check_order_id(order_id)
        end = self._clock.monotonic() + check_seconds("timeout", timeout)
        while True:
            sub = (await self._runner.run(ask_details(order_id))).sub
            if sub is not None:
                return await self.get(sub)
            left = end - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError(f"details of order {order_id} had no sub within {timeout:g} seconds")
            await self._clock.sleep(min(_PAUSE, left))

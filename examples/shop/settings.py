"""What the shop needs to know of the world around it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from attrs import field, frozen

from examples.shop.orders import Api


@frozen(kw_only=True)
class Settings:
    """What differs from one place to another."""

    #: Where browsers and Vipps reach the shop, without a slash at the end; https, unless Vipps is a sandbox.
    url: str
    #: The directory of the orders and of the journal, on a local disk.
    data: Path
    #: Which API makes new payments.
    api: Api = Api.ECOM
    #: What Vipps sends along with eCom's callbacks and ePayment's question about shipping, so that nobody else can:
    #: 1 to 50 letters, digits and "-".
    callback_token: str = field(repr=False, factory=lambda: secrets.token_hex(20))
    #: Opens the merchant's pages, with any user name. None leaves them open: on your own machine only.
    merchant_password: str | None = field(default=None, repr=False)
    #: How often orders are looked after whose customer never came back, in seconds.
    look_after_every: float = 30.0

    @property
    def host(self) -> str:
        """The only name that the shop answers to."""
        return urlsplit(self.url).hostname or ""

    @classmethod
    def from_env(cls, env: Mapping[str, str], api: Api) -> Self:
        """Read the settings of a shop that talks to Vipps itself; nothing that guards it has a default.

        Raises:
            SystemExit: a variable is missing, or the token is not what Vipps can send.
        """
        names = ("SHOP_URL", "SHOP_DATA", "SHOP_CALLBACK_TOKEN", "SHOP_MERCHANT_PASSWORD")
        missing = [name for name in names if not env.get(name)]
        if missing:
            raise SystemExit(f"not set in the environment: {', '.join(missing)} (see examples/shop/README.md)")
        url, data, token, password = (env[name] for name in names)
        if not re.fullmatch(r"[a-zA-Z0-9-]{1,50}", token):
            raise SystemExit("SHOP_CALLBACK_TOKEN must be 1 to 50 letters, digits and '-'")
        return cls(url=url.rstrip("/"), data=Path(data), api=api, callback_token=token, merchant_password=password)

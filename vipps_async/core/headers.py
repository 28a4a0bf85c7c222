"""The one place that adds headers to a request."""

from __future__ import annotations

from vipps_async.config import Credentials, Settings

#: The header that names the sales unit.
MERCHANT_SERIAL_NUMBER = "Merchant-Serial-Number"
_SUBSCRIPTION_KEY = "Ocp-Apim-Subscription-Key"


class Headers:
    """Makes the headers of each request; those that all calls share are built once."""

    def __init__(self, settings: Settings) -> None:
        system = settings.system
        named = {
            "Vipps-System-Name": system.name,
            "Vipps-System-Version": system.version,
            "Vipps-System-Plugin-Name": system.plugin_name,
            "Vipps-System-Plugin-Version": system.plugin_version,
        }
        self._system = {name: value for name, value in named.items() if value is not None}
        self._common: dict[str, str] = {}
        self._for_token: dict[str, str] = {}
        #: What must not be shown: of the credentials, and of those before them, whose answers may still come.
        self.secrets: tuple[str, ...] = ()
        if settings.credentials is not None:
            self.take(settings.credentials)

    @property
    def has_credentials(self) -> bool:
        """Whether there are credentials to make headers with."""
        return bool(self._common)

    def take(self, credentials: Credentials) -> None:
        """Use these credentials from now on."""
        self._common = {
            "Accept": "application/json",
            _SUBSCRIPTION_KEY: credentials.subscription_key,
            MERCHANT_SERIAL_NUMBER: credentials.merchant_serial_number,
            **self._system,
        }
        # The client secret goes to the token endpoint and nowhere else.
        self._for_token = {
            **self._common,
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        secrets = (credentials.client_secret, credentials.subscription_key, credentials.client_id)
        self.secrets = tuple(dict.fromkeys((*secrets, *self.secrets)))[: 2 * len(secrets)]

    def for_token(self) -> dict[str, str]:
        """Return the headers of a token request."""
        return self._for_token.copy()

    def with_token(self, token: str) -> dict[str, str]:
        """Return the headers that all calls with this token share. The word Bearer is case-sensitive at Vipps."""
        return {**self._common, "Authorization": f"Bearer {token}"}

    @staticmethod
    def for_call(
        shared: dict[str, str],
        *,
        has_body: bool,
        key: tuple[str, str] | None,
        subscription_key: bool = True,
        more: dict[str, str] | None = None,
    ) -> dict[str, str]:
        """Add to the shared headers what one call needs, and leave the subscription key out where none is wanted.

        Args:
            shared: as `with_token` made them.
            has_body: whether a body is sent.
            key: the header that carries the idempotency key, and the key; None: there is none.
            subscription_key: whether the API wants the subscription key.
            more: further headers, which take precedence; None: there are none.
        """
        headers = shared.copy()
        if not subscription_key:
            del headers[_SUBSCRIPTION_KEY]
        if has_body:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers[key[0]] = key[1]
        if more is not None:
            headers.update(more)
        return headers

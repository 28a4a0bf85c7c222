"""The APIs by name, as `--api`, `VIPPS_API`, journals and the tables of batches have it."""

from __future__ import annotations

from typing import Any, Final

from vipps_async.core.operation import Call
from vipps_async.core.payment_api import PaymentApi, SupportsBatch
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.epayment.payment_api import EPAYMENT_API
from vipps_async.errors import ConfigurationError, JournalError
from vipps_async.journals.protocol import Intent
from vipps_async.webhooks.operations import RECEIVED

__all__ = ["APIS", "DEFAULT_API", "passed_over", "payment_api", "rebuild_call", "session_api"]

#: The name is also the session's attribute: ``vipps.ecom``.
APIS: Final = {api.name: api for api in (ECOM_API, EPAYMENT_API)}
#: The API of whoever names none.
DEFAULT_API: Final = ECOM_API.name


def rebuild_call(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for: at the API that it was written for, never at another one.

    Raises:
        JournalError: the intent is of an API or an operation that this version does not know.
    """
    if intent.api not in APIS:
        raise JournalError(
            f"the journal has an operation {intent.name!r} of an API that this version does not know",
            advice="recover with the version that wrote it, or a newer one",
        )
    return APIS[intent.api].rebuild(intent)


def passed_over() -> frozenset[str]:
    """Return the operations in journals that recovery passes over."""
    return frozenset({RECEIVED}).union(*(api.passed_over for api in APIS.values()))


def payment_api(name: str) -> PaymentApi:
    """Return what an API has of its own.

    Raises:
        ConfigurationError: there is no such API.
    """
    if name not in APIS:
        raise ConfigurationError(f"there is no API {name!r}", advice=f"name one of {', '.join(sorted(APIS))}")
    return APIS[name]


def session_api(session: object, name: str) -> SupportsBatch:
    """Return an API of a session, whose attribute has the API's name.

    Raises:
        ConfigurationError: there is no such API.
    """
    found: SupportsBatch = getattr(session, payment_api(name).name)
    return found

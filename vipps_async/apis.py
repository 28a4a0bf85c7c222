"""The APIs by name, as `--api`, `VIPPS_API`, journals and the tables of batches have it.

Journals name an API alone (``epayment``), as their amounts have a currency. On the command line and in the tables of
batches amounts have none, so there the name says it, too: ``epayment-dkk``, and plain ``epayment`` is in NOK.
"""

from __future__ import annotations

from typing import Any, Final

from vipps_async.core.batch import WITH_AMOUNT
from vipps_async.core.batch_client import SupportsBatch
from vipps_async.core.operation import Call
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.payment_calls import unknown_operation
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.epayment.payment_api import EPAYMENT_API, EPAYMENT_APIS
from vipps_async.errors import ConfigurationError
from vipps_async.journals.entries import Intent
from vipps_async.webhooks.operations import RECEIVED

#: The name is also the session's attribute: ``vipps.ecom``.
APIS: Final = {api.name: api for api in (ECOM_API, EPAYMENT_API)}
#: The same in another currency than their own. A sales unit has one currency.
IN_OTHER_CURRENCIES: Final = {
    f"{api.name}-{currency.lower()}": api for currency, api in EPAYMENT_APIS.items() if api is not EPAYMENT_API
}
#: The API whose payments another one reads and moves as well, by the other's name: never the other way round.
READS_TOO: Final = {EPAYMENT_API.name: ECOM_API.name}
#: The default API.
DEFAULT_API: Final = ECOM_API.name


def rebuild_call(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for: at the API that it was written for, never at another one.

    Raises:
        JournalError: the intent is of an API or an operation that this version does not know.
    """
    if intent.api not in APIS:
        raise unknown_operation(intent, " of an API")
    return APIS[intent.api].rebuild(intent)


def amount_moved(intent: Intent, result: Any) -> int | None:
    """Return how much a capture or refund moved, in minor units, as its result tells.

    None: it does not tell, or it is another operation, or one of an API that this version does not know.
    """
    is_known = intent.api in APIS and intent.operation in WITH_AMOUNT
    return APIS[intent.api].moved(result).amount if is_known else None


def passed_over() -> frozenset[str]:
    """Return the names of journal entries that recovery passes over: notifications, which are no operations."""
    return frozenset({RECEIVED}).union(*(api.passed_over for api in APIS.values()))


def payment_api(name: str) -> PaymentApi:
    """Return the `PaymentApi` of a name; one such as ``epayment-dkk`` also names the currency of amounts.

    Raises:
        ConfigurationError: there is no such API, or it has no such currency.
    """
    found = APIS.get(name) or IN_OTHER_CURRENCIES.get(name)
    if found is None:
        known = ", ".join(sorted({*APIS, *IN_OTHER_CURRENCIES}))
        raise ConfigurationError(f"there is no API {name!r}", advice=f"name one of {known}")
    return found


def name_with_currency(api: PaymentApi) -> str:
    """Return the name by which `payment_api` finds an API in the currency that it has."""
    return next((name for name, other in IN_OTHER_CURRENCIES.items() if other is api), api.name)


def session_api(session: object, api: PaymentApi) -> SupportsBatch:
    """Return an API of a session, whose attribute has the API's name, in the currency that is meant."""
    found = getattr(session, api.name)
    of_session: SupportsBatch = found if name_with_currency(api) == api.name else found.in_currency(api.currency)
    return of_session

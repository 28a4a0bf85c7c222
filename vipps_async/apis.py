"""The APIs by name, as `--api`, `VIPPS_API` and the tables of batches have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vipps_async.core.batch import BatchApi, SupportsBatch
from vipps_async.core.operation import Call
from vipps_async.ecom.batch import ECOM_BATCH
from vipps_async.ecom.calls import rebuild_call as rebuild_ecom_call
from vipps_async.ecom.dialect import ECOM
from vipps_async.epayment.batch import EPAYMENT_BATCH
from vipps_async.epayment.calls import rebuild_call as rebuild_epayment_call
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.errors import ConfigurationError, JournalError
from vipps_async.journals.protocol import Intent

__all__ = ["BATCH_APIS", "DEFAULT_API", "batch_api", "rebuild_call", "session_api"]

#: What can be carried out as a batch. The name is also the session's attribute: ``vipps.ecom``.
BATCH_APIS: Final = {api.name: api for api in (ECOM_BATCH, EPAYMENT_BATCH)}
#: The API of whoever names none.
DEFAULT_API: Final = ECOM_BATCH.name

#: How each API makes a call again of an intent in the journal.
_REBUILD: Final[Mapping[str, Callable[[Intent], Call[Any]]]] = {
    ECOM.name: rebuild_ecom_call,
    EPAYMENT.name: rebuild_epayment_call,
}


def rebuild_call(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for: at the API that it was written for, never at another one.

    Raises:
        JournalError: the intent is of an API or an operation that this version does not know.
    """
    if intent.api not in _REBUILD:
        raise JournalError(
            f"the journal has an operation {intent.name!r} of an API that this version does not know",
            advice="recover with the version that wrote it, or a newer one",
        )
    return _REBUILD[intent.api](intent)


def batch_api(name: str) -> BatchApi:
    """Return what an API has of its own for batches.

    Raises:
        ConfigurationError: there is no such API.
    """
    if name not in BATCH_APIS:
        raise ConfigurationError(f"there is no API {name!r}", advice=f"name one of {', '.join(sorted(BATCH_APIS))}")
    return BATCH_APIS[name]


def session_api(session: object, name: str) -> SupportsBatch:
    """Return an API of a session, whose attribute has the API's name.

    Raises:
        ConfigurationError: there is no such API.
    """
    found: SupportsBatch = getattr(session, batch_api(name).name)
    return found

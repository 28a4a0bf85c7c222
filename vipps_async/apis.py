"""The APIs by name, as `--api`, `VIPPS_API` and the tables of batches have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vipps_async.core.batch import BatchApi, SupportsBatch
from vipps_async.ecom.batch import ECOM_BATCH
from vipps_async.errors import ConfigurationError

if TYPE_CHECKING:
    from vipps_async.session import VippsSession

__all__ = ["BATCH_APIS", "DEFAULT_API", "batch_api", "session_api"]

#: What can be carried out as a batch. The name is also the session's attribute: ``vipps.ecom``.
BATCH_APIS: Final = {api.name: api for api in (ECOM_BATCH,)}
#: The API of whoever names none.
DEFAULT_API: Final = ECOM_BATCH.name


def batch_api(name: str) -> BatchApi:
    """Return what an API has of its own for batches.

    Raises:
        ConfigurationError: there is no such API.
    """
    if name not in BATCH_APIS:
        raise ConfigurationError(f"there is no API {name!r}", advice=f"name one of {', '.join(sorted(BATCH_APIS))}")
    return BATCH_APIS[name]


def session_api(session: VippsSession, name: str) -> SupportsBatch:
    """Return an API of a session.

    Raises:
        ConfigurationError: there is no such API.
    """
    found: SupportsBatch = getattr(session, batch_api(name).name)
    return found

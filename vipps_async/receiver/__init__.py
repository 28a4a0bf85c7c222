"""Receives Vipps' requests in any web framework: authenticated, journalled, answered in time, then handled."""

from typing import TYPE_CHECKING

from vipps_async.ecom.callback_models import (
    AddressType,
    CallbackStatus,
    Confirmed,
    ConsentRemoval,
    Contradicted,
    Disagreement,
    PaymentUpdate,
    ShippingDetailsRequest,
)
from vipps_async.ecom.callbacks import ANYONE_MAY_CALL, EcomCallbacks
from vipps_async.epayment.shipping_callback import EpaymentShipping, ShippingQuestion
from vipps_async.receiver._limits import Counts, Limits
from vipps_async.receiver._receiver import Receiver, Reply
from vipps_async.receiver._source import Notification, Query, Source
from vipps_async.webhooks.deliveries import Webhooks
from vipps_async.webhooks.notifications import (
    Disagreed,
    NotificationConfirmed,
    NotificationContradicted,
    OtherNotification,
    PaymentNotification,
)

if TYPE_CHECKING:
    from vipps_async.receiver._aiohttp_web import VIPPS_SESSION, aiohttp_context, aiohttp_routes, aiohttp_session
    from vipps_async.receiver._starlette import starlette_app, starlette_lifespan, starlette_session

__all__ = [
    "ANYONE_MAY_CALL",
    "VIPPS_SESSION",
    "AddressType",
    "CallbackStatus",
    "Confirmed",
    "ConsentRemoval",
    "Contradicted",
    "Counts",
    "Disagreed",
    "Disagreement",
    "EcomCallbacks",
    "EpaymentShipping",
    "Limits",
    "Notification",
    "NotificationConfirmed",
    "NotificationContradicted",
    "OtherNotification",
    "PaymentNotification",
    "PaymentUpdate",
    "Query",
    "Receiver",
    "Reply",
    "ShippingDetailsRequest",
    "ShippingQuestion",
    "Source",
    "Webhooks",
    "aiohttp_context",
    "aiohttp_routes",
    "aiohttp_session",
    "starlette_app",
    "starlette_lifespan",
    "starlette_session",
]


def __getattr__(name: str) -> object:
    # Starlette is optional, and an application needs one framework only.
    if name in __all__:
        from importlib import import_module  # noqa: PLC0415 - only those pay for it who ask for a framework's names

        framework = "_starlette" if name.startswith("starlette") else "_aiohttp_web"
        return getattr(import_module(f"{__name__}.{framework}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

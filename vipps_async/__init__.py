"""Asyncio-first SDK for the Vipps eCom API v2: payments that are captured once and never lost."""

import importlib
from typing import TYPE_CHECKING

from vipps_async._version import __version__
from vipps_async.config import Credentials, Environment, RetryPolicy, SystemInfo, Timeouts
from vipps_async.core.operation import SettledBy
from vipps_async.core.recovery_report import LeftOpen, RecoveryReport
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    CallbackError,
    CancelError,
    CaptureError,
    ConfigurationError,
    DuplicateOrderError,
    Effect,
    ErrorInfo,
    IdempotencyMismatchError,
    InvalidInputError,
    InvalidRequestError,
    JournalError,
    MerchantError,
    OrderLockedError,
    OrderNotFoundError,
    OutcomeUnknown,
    PaymentRefusedError,
    PaymentUrlLostError,
    PermissionDeniedError,
    RateLimitedError,
    RefundError,
    RequestNotSent,
    ServerError,
    TransportError,
    UnexpectedResponseError,
    UserError,
    VippsError,
)
from vipps_async.idempotency_keys import derive_idempotency_key
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import (
    AcquireResult,
    Attempts,
    DamagedEntry,
    Entry,
    Intent,
    Journal,
    KeyOrigin,
    Outcome,
    Settlement,
    World,
)
from vipps_async.money import Money, dkk, eur, format_nok, nok
from vipps_async.session import VippsSession
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response, Transport

if TYPE_CHECKING:
    from vipps_async.airline_data import AirlineData
    from vipps_async.ecom.client import EcomApi
    from vipps_async.ecom.details import (
        Address,
        PaymentDetails,
        PaymentShippingDetails,
        TransactionLogEntry,
        UserDetails,
    )
    from vipps_async.ecom.enums import OperationName, OrderStatus, Scope, TransactionStatus
    from vipps_async.ecom.express import ExpressCheckout, ShippingDetails
    from vipps_async.ecom.polling import PaymentPending
    from vipps_async.ecom.responses import (
        CancelResult,
        CaptureResult,
        InitiatedPayment,
        PaymentStatus,
        RefundResult,
        StatusInfo,
        TransactionInfo,
        TransactionSummary,
    )
    from vipps_async.journals.postgres.journal import PostgresJournal
    from vipps_async.journals.sqlite.journal import SqliteJournal
    from vipps_async.transports.aiohttp import AiohttpTransport
    from vipps_async.transports.httpx import HttpxTransport
    from vipps_async.userinfo import UserInfo
    from vipps_async.webhooks.events import PAYMENT_EVENTS, WebhookEvent
    from vipps_async.webhooks.models import EnsuredWebhook, RegisteredWebhook, Webhook
else:
    # An API is loaded by who uses it. The others need a library that takes long to load, or that not everybody has.
    _LOADED_AT_FIRST_USE = {
        "Address": "vipps_async.ecom.details",
        "AiohttpTransport": "vipps_async.transports.aiohttp",
        "AirlineData": "vipps_async.airline_data",
        "CancelResult": "vipps_async.ecom.responses",
        "CaptureResult": "vipps_async.ecom.responses",
        "EcomApi": "vipps_async.ecom.client",
        "ExpressCheckout": "vipps_async.ecom.express",
        "HttpxTransport": "vipps_async.transports.httpx",
        "InitiatedPayment": "vipps_async.ecom.responses",
        "OperationName": "vipps_async.ecom.enums",
        "OrderStatus": "vipps_async.ecom.enums",
        "PaymentDetails": "vipps_async.ecom.details",
        "PaymentPending": "vipps_async.ecom.polling",
        "PaymentShippingDetails": "vipps_async.ecom.details",
        "PaymentStatus": "vipps_async.ecom.responses",
        "PostgresJournal": "vipps_async.journals.postgres.journal",
        "RefundResult": "vipps_async.ecom.responses",
        "Scope": "vipps_async.ecom.enums",
        "ShippingDetails": "vipps_async.ecom.express",
        "SqliteJournal": "vipps_async.journals.sqlite.journal",
        "StatusInfo": "vipps_async.ecom.responses",
        "TransactionInfo": "vipps_async.ecom.responses",
        "TransactionLogEntry": "vipps_async.ecom.details",
        "TransactionStatus": "vipps_async.ecom.enums",
        "TransactionSummary": "vipps_async.ecom.responses",
        "UserDetails": "vipps_async.ecom.details",
        "UserInfo": "vipps_async.userinfo",
        "PAYMENT_EVENTS": "vipps_async.webhooks.events",
        "WebhookEvent": "vipps_async.webhooks.events",
        "EnsuredWebhook": "vipps_async.webhooks.models",
        "RegisteredWebhook": "vipps_async.webhooks.models",
        "Webhook": "vipps_async.webhooks.models",
    }

    def __getattr__(name: str) -> object:
        if name not in _LOADED_AT_FIRST_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_LOADED_AT_FIRST_USE[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LOADED_AT_FIRST_USE})


__all__ = [
    "MAX_RESPONSE_BYTES",
    "PAYMENT_EVENTS",
    "AcquireResult",
    "Address",
    "AiohttpTransport",
    "AirlineData",
    "ApiError",
    "Attempts",
    "AuthenticationError",
    "CallbackError",
    "CancelError",
    "CancelResult",
    "CaptureError",
    "CaptureResult",
    "ConfigurationError",
    "Credentials",
    "DamagedEntry",
    "DuplicateOrderError",
    "EcomApi",
    "Effect",
    "EnsuredWebhook",
    "Entry",
    "Environment",
    "ErrorInfo",
    "ExpressCheckout",
    "HttpxTransport",
    "IdempotencyMismatchError",
    "InitiatedPayment",
    "Intent",
    "InvalidInputError",
    "InvalidRequestError",
    "Journal",
    "JournalError",
    "KeyOrigin",
    "LeftOpen",
    "MemoryJournal",
    "MerchantError",
    "Money",
    "OperationName",
    "OrderLockedError",
    "OrderNotFoundError",
    "OrderStatus",
    "Outcome",
    "OutcomeUnknown",
    "PaymentDetails",
    "PaymentPending",
    "PaymentRefusedError",
    "PaymentShippingDetails",
    "PaymentStatus",
    "PaymentUrlLostError",
    "PermissionDeniedError",
    "PostgresJournal",
    "RateLimitedError",
    "RecoveryReport",
    "RefundError",
    "RefundResult",
    "RegisteredWebhook",
    "Request",
    "RequestNotSent",
    "Response",
    "RetryPolicy",
    "Scope",
    "ServerError",
    "SettledBy",
    "Settlement",
    "ShippingDetails",
    "SqliteJournal",
    "StatusInfo",
    "SystemInfo",
    "Timeouts",
    "TransactionInfo",
    "TransactionLogEntry",
    "TransactionStatus",
    "TransactionSummary",
    "Transport",
    "TransportError",
    "UnexpectedResponseError",
    "UserDetails",
    "UserError",
    "UserInfo",
    "VippsError",
    "VippsSession",
    "Webhook",
    "WebhookEvent",
    "World",
    "__version__",
    "derive_idempotency_key",
    "dkk",
    "eur",
    "format_nok",
    "nok",
]

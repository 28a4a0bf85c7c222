"""Asyncio-first SDK for the Vipps eCom API v2: payments that are captured once and never lost."""

from typing import TYPE_CHECKING

from vipps_async._version import __version__
from vipps_async.config import Credentials, Environment, RetryPolicy, SystemInfo, Timeouts
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
from vipps_async.money import format_nok, nok
from vipps_async.names_on_demand import names_on_demand

if TYPE_CHECKING:
    from vipps_async.core.operation import SettledBy
    from vipps_async.core.recovery_report import LeftOpen, RecoveryReport
    from vipps_async.ecom.answers import CancelResult, CaptureResult, InitiatedPayment, RefundResult
    from vipps_async.ecom.details import PaymentDetails
    from vipps_async.ecom.express import AirlineData, ExpressCheckout, ShippingDetails
    from vipps_async.ecom.words import Scope
    from vipps_async.idempotency_keys import derive_idempotency_key
    from vipps_async.journals.memory import MemoryJournal
    from vipps_async.journals.postgres.journal import PostgresJournal
    from vipps_async.journals.sqlite.journal import SqliteJournal
    from vipps_async.session import VippsSession
    from vipps_async.transports.aiohttp import AiohttpTransport
else:
    # What sends requests or keeps a journal takes far longer to load than what only names things.
    __getattr__, __dir__ = names_on_demand(
        __name__,
        {
            "AiohttpTransport": "vipps_async.transports.aiohttp",
            "AirlineData": "vipps_async.ecom.express",
            "CancelResult": "vipps_async.ecom.answers",
            "CaptureResult": "vipps_async.ecom.answers",
            "ExpressCheckout": "vipps_async.ecom.express",
            "InitiatedPayment": "vipps_async.ecom.answers",
            "LeftOpen": "vipps_async.core.recovery_report",
            "MemoryJournal": "vipps_async.journals.memory",
            "PaymentDetails": "vipps_async.ecom.details",
            "PostgresJournal": "vipps_async.journals.postgres.journal",
            "RecoveryReport": "vipps_async.core.recovery_report",
            "RefundResult": "vipps_async.ecom.answers",
            "Scope": "vipps_async.ecom.words",
            "SettledBy": "vipps_async.core.operation",
            "ShippingDetails": "vipps_async.ecom.express",
            "SqliteJournal": "vipps_async.journals.sqlite.journal",
            "VippsSession": "vipps_async.session",
            "derive_idempotency_key": "vipps_async.idempotency_keys",
            "ecom": "vipps_async.ecom",
            "journals": "vipps_async.journals",
            "session": "vipps_async.session",
            "transports": "vipps_async.transports",
            "userinfo": "vipps_async.userinfo",
        },
    )

__all__ = [
    "AiohttpTransport",
    "AirlineData",
    "ApiError",
    "AuthenticationError",
    "CallbackError",
    "CancelError",
    "CancelResult",
    "CaptureError",
    "CaptureResult",
    "ConfigurationError",
    "Credentials",
    "DuplicateOrderError",
    "Effect",
    "Environment",
    "ErrorInfo",
    "ExpressCheckout",
    "IdempotencyMismatchError",
    "InitiatedPayment",
    "InvalidInputError",
    "InvalidRequestError",
    "JournalError",
    "LeftOpen",
    "MemoryJournal",
    "MerchantError",
    "OrderLockedError",
    "OrderNotFoundError",
    "OutcomeUnknown",
    "PaymentDetails",
    "PaymentRefusedError",
    "PaymentUrlLostError",
    "PermissionDeniedError",
    "PostgresJournal",
    "RateLimitedError",
    "RecoveryReport",
    "RefundError",
    "RefundResult",
    "RequestNotSent",
    "RetryPolicy",
    "Scope",
    "ServerError",
    "SettledBy",
    "ShippingDetails",
    "SqliteJournal",
    "SystemInfo",
    "Timeouts",
    "TransportError",
    "UnexpectedResponseError",
    "UserError",
    "VippsError",
    "VippsSession",
    "__version__",
    "derive_idempotency_key",
    "format_nok",
    "nok",
]

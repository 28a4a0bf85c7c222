"""Asyncio-first SDK for the Vipps MobilePay eCom and ePayment APIs: payments that are captured once and never lost."""

import importlib
from typing import TYPE_CHECKING

from vipps_async._version import __version__
from vipps_async.answers import LastAnswer
from vipps_async.config import Credentials, CredentialsSource, Environment, RetryPolicy, SystemInfo, Timeouts
from vipps_async.core.last_answer import last_answer
from vipps_async.core.open_operations import OpenOperations
from vipps_async.core.operation import SettledBy
from vipps_async.core.readiness import Readiness
from vipps_async.core.recovery_report import CarriedOut, LeftOpen, RecoveryReport, Refused
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
    PushNotAllowedError,
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
from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, KeyOrigin, Outcome, Settlement, World
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult, Journal
from vipps_async.money import Money, dkk, eur, format_nok, nok
from vipps_async.session import VippsSession
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response, Transport

if TYPE_CHECKING:
    from vipps_async.airline_data import AirlineData
    from vipps_async.core.polling import PaymentPending
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
    from vipps_async.epayment.client import EpaymentApi
    from vipps_async.epayment.enums import EventName, PaymentState
    from vipps_async.epayment.receipt import Barcode, BottomLine, OrderLine, PaymentSources, Receipt, UnitInfo
    from vipps_async.epayment.request_bodies import MerchantLegalLinks, QrFormat
    from vipps_async.epayment.request_enums import (
        BarcodeFormat,
        BlockedSource,
        CustomerInteraction,
        PaymentMethodType,
        QrImage,
        QuantityUnit,
        ShippingBrand,
        ShippingType,
        UserFlow,
    )
    from vipps_async.epayment.requests import next_attempt
    from vipps_async.epayment.responses import (
        Aggregate,
        CancelledPayment,
        CapturedPayment,
        ChosenShipping,
        CreatedPayment,
        Payment,
        PaymentEvent,
        PaymentProfile,
        PaymentUser,
        PostalAddress,
        RefundedPayment,
        UsedPaymentMethod,
    )
    from vipps_async.epayment.shipping import DynamicOptions, Shipping, ShippingGroup, ShippingOption
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
        "Aggregate": "vipps_async.epayment.responses",
        "AiohttpTransport": "vipps_async.transports.aiohttp",
        "AirlineData": "vipps_async.airline_data",
        "Barcode": "vipps_async.epayment.receipt",
        "BarcodeFormat": "vipps_async.epayment.request_enums",
        "BlockedSource": "vipps_async.epayment.request_enums",
        "BottomLine": "vipps_async.epayment.receipt",
        "CancelResult": "vipps_async.ecom.responses",
        "CancelledPayment": "vipps_async.epayment.responses",
        "CaptureResult": "vipps_async.ecom.responses",
        "CapturedPayment": "vipps_async.epayment.responses",
        "ChosenShipping": "vipps_async.epayment.responses",
        "CreatedPayment": "vipps_async.epayment.responses",
        "CustomerInteraction": "vipps_async.epayment.request_enums",
        "DynamicOptions": "vipps_async.epayment.shipping",
        "EcomApi": "vipps_async.ecom.client",
        "EpaymentApi": "vipps_async.epayment.client",
        "EventName": "vipps_async.epayment.enums",
        "ExpressCheckout": "vipps_async.ecom.express",
        "HttpxTransport": "vipps_async.transports.httpx",
        "InitiatedPayment": "vipps_async.ecom.responses",
        "MerchantLegalLinks": "vipps_async.epayment.request_bodies",
        "OperationName": "vipps_async.ecom.enums",
        "OrderLine": "vipps_async.epayment.receipt",
        "OrderStatus": "vipps_async.ecom.enums",
        "Payment": "vipps_async.epayment.responses",
        "PaymentDetails": "vipps_async.ecom.details",
        "PaymentEvent": "vipps_async.epayment.responses",
        "PaymentMethodType": "vipps_async.epayment.request_enums",
        "PaymentPending": "vipps_async.core.polling",
        "PaymentProfile": "vipps_async.epayment.responses",
        "PaymentShippingDetails": "vipps_async.ecom.details",
        "PaymentSources": "vipps_async.epayment.receipt",
        "PaymentState": "vipps_async.epayment.enums",
        "PaymentStatus": "vipps_async.ecom.responses",
        "PaymentUser": "vipps_async.epayment.responses",
        "PostalAddress": "vipps_async.epayment.responses",
        "PostgresJournal": "vipps_async.journals.postgres.journal",
        "QrFormat": "vipps_async.epayment.request_bodies",
        "QrImage": "vipps_async.epayment.request_enums",
        "QuantityUnit": "vipps_async.epayment.request_enums",
        "Receipt": "vipps_async.epayment.receipt",
        "RefundResult": "vipps_async.ecom.responses",
        "RefundedPayment": "vipps_async.epayment.responses",
        "Scope": "vipps_async.ecom.enums",
        "Shipping": "vipps_async.epayment.shipping",
        "ShippingBrand": "vipps_async.epayment.request_enums",
        "ShippingDetails": "vipps_async.ecom.express",
        "ShippingGroup": "vipps_async.epayment.shipping",
        "ShippingOption": "vipps_async.epayment.shipping",
        "ShippingType": "vipps_async.epayment.request_enums",
        "SqliteJournal": "vipps_async.journals.sqlite.journal",
        "StatusInfo": "vipps_async.ecom.responses",
        "TransactionInfo": "vipps_async.ecom.responses",
        "TransactionLogEntry": "vipps_async.ecom.details",
        "TransactionStatus": "vipps_async.ecom.enums",
        "TransactionSummary": "vipps_async.ecom.responses",
        "UnitInfo": "vipps_async.epayment.receipt",
        "UsedPaymentMethod": "vipps_async.epayment.responses",
        "UserDetails": "vipps_async.ecom.details",
        "UserFlow": "vipps_async.epayment.request_enums",
        "UserInfo": "vipps_async.userinfo",
        "PAYMENT_EVENTS": "vipps_async.webhooks.events",
        "WebhookEvent": "vipps_async.webhooks.events",
        "EnsuredWebhook": "vipps_async.webhooks.models",
        "RegisteredWebhook": "vipps_async.webhooks.models",
        "Webhook": "vipps_async.webhooks.models",
        "next_attempt": "vipps_async.epayment.requests",
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
    "Aggregate",
    "AiohttpTransport",
    "AirlineData",
    "ApiError",
    "Attempts",
    "AuthenticationError",
    "Barcode",
    "BarcodeFormat",
    "BlockedSource",
    "BottomLine",
    "CallbackError",
    "CancelError",
    "CancelResult",
    "CancelledPayment",
    "CaptureError",
    "CaptureResult",
    "CapturedPayment",
    "CarriedOut",
    "ChosenShipping",
    "ConfigurationError",
    "CreatedPayment",
    "Credentials",
    "CredentialsSource",
    "CustomerInteraction",
    "DamagedEntry",
    "DuplicateOrderError",
    "DynamicOptions",
    "EcomApi",
    "Effect",
    "EnsuredWebhook",
    "Entry",
    "Environment",
    "EpaymentApi",
    "ErrorInfo",
    "EventName",
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
    "LastAnswer",
    "LeftOpen",
    "MemoryJournal",
    "MerchantError",
    "MerchantLegalLinks",
    "Money",
    "OpenOperations",
    "OperationName",
    "OrderLine",
    "OrderLockedError",
    "OrderNotFoundError",
    "OrderStatus",
    "Outcome",
    "OutcomeUnknown",
    "Payment",
    "PaymentDetails",
    "PaymentEvent",
    "PaymentMethodType",
    "PaymentPending",
    "PaymentProfile",
    "PaymentRefusedError",
    "PaymentShippingDetails",
    "PaymentSources",
    "PaymentState",
    "PaymentStatus",
    "PaymentUrlLostError",
    "PaymentUser",
    "PermissionDeniedError",
    "PostalAddress",
    "PostgresJournal",
    "PushNotAllowedError",
    "QrFormat",
    "QrImage",
    "QuantityUnit",
    "RateLimitedError",
    "Readiness",
    "Receipt",
    "RecoveryReport",
    "RefundError",
    "RefundResult",
    "RefundedPayment",
    "Refused",
    "RegisteredWebhook",
    "Request",
    "RequestNotSent",
    "Response",
    "RetryPolicy",
    "Scope",
    "ServerError",
    "SettledBy",
    "Settlement",
    "Shipping",
    "ShippingBrand",
    "ShippingDetails",
    "ShippingGroup",
    "ShippingOption",
    "ShippingType",
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
    "UnitInfo",
    "UsedPaymentMethod",
    "UserDetails",
    "UserError",
    "UserFlow",
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
    "last_answer",
    "next_attempt",
    "nok",
]

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
        name: f"vipps_async.{home}"
        for home, names in {
            "airline_data": "AirlineData",
            "core.polling": "PaymentPending",
            "ecom.client": "EcomApi",
            "ecom.details": "Address PaymentDetails PaymentShippingDetails TransactionLogEntry UserDetails",
            "ecom.enums": "OperationName OrderStatus Scope TransactionStatus",
            "ecom.express": "ExpressCheckout ShippingDetails",
            "ecom.responses": (
                "CancelResult CaptureResult InitiatedPayment PaymentStatus RefundResult StatusInfo "
                "TransactionInfo TransactionSummary"
            ),
            "epayment.client": "EpaymentApi",
            "epayment.enums": "EventName PaymentState",
            "epayment.receipt": "Barcode BottomLine OrderLine PaymentSources Receipt UnitInfo",
            "epayment.request_bodies": "MerchantLegalLinks QrFormat",
            "epayment.request_enums": (
                "BarcodeFormat BlockedSource CustomerInteraction PaymentMethodType QrImage QuantityUnit "
                "ShippingBrand ShippingType UserFlow"
            ),
            "epayment.requests": "next_attempt",
            "epayment.responses": (
                "Aggregate CancelledPayment CapturedPayment ChosenShipping CreatedPayment Payment "
                "PaymentEvent PaymentProfile PaymentUser PostalAddress RefundedPayment UsedPaymentMethod"
            ),
            "epayment.shipping": "DynamicOptions Shipping ShippingGroup ShippingOption",
            "journals.postgres.journal": "PostgresJournal",
            "journals.sqlite.journal": "SqliteJournal",
            "transports.aiohttp": "AiohttpTransport",
            "transports.httpx": "HttpxTransport",
            "userinfo": "UserInfo",
            "webhooks.events": "PAYMENT_EVENTS WebhookEvent",
            "webhooks.models": "EnsuredWebhook RegisteredWebhook Webhook",
        }.items()
        for name in names.split()
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

"""The Vipps eCom API v2: its models and its operations."""

from vipps_async.ecom.answers import (
    CancelResult,
    CaptureResult,
    InitiatedPayment,
    PaymentStatus,
    RefundResult,
    StatusInfo,
    TransactionInfo,
    TransactionSummary,
)
from vipps_async.ecom.api import EcomApi
from vipps_async.ecom.details import (
    Address,
    PaymentDetails,
    PaymentShippingDetails,
    TransactionLogEntry,
    UserDetails,
)
from vipps_async.ecom.express import AirlineData, ExpressCheckout, ShippingDetails
from vipps_async.ecom.polling import StillWaiting
from vipps_async.ecom.words import OperationName, OrderStatus, Scope, TransactionStatus

__all__ = [
    "Address",
    "AirlineData",
    "CancelResult",
    "CaptureResult",
    "EcomApi",
    "ExpressCheckout",
    "InitiatedPayment",
    "OperationName",
    "OrderStatus",
    "PaymentDetails",
    "PaymentShippingDetails",
    "PaymentStatus",
    "RefundResult",
    "Scope",
    "ShippingDetails",
    "StatusInfo",
    "StillWaiting",
    "TransactionInfo",
    "TransactionLogEntry",
    "TransactionStatus",
    "TransactionSummary",
    "UserDetails",
]

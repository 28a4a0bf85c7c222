"""The Vipps eCom API v2: its models and its operations."""

from typing import TYPE_CHECKING

from vipps_async.names_on_demand import names_on_demand

if TYPE_CHECKING:
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
else:
    __getattr__, __dir__ = names_on_demand(
        __name__,
        {
            "Address": "vipps_async.ecom.details",
            "AirlineData": "vipps_async.ecom.express",
            "CancelResult": "vipps_async.ecom.answers",
            "CaptureResult": "vipps_async.ecom.answers",
            "EcomApi": "vipps_async.ecom.api",
            "ExpressCheckout": "vipps_async.ecom.express",
            "InitiatedPayment": "vipps_async.ecom.answers",
            "OperationName": "vipps_async.ecom.words",
            "OrderStatus": "vipps_async.ecom.words",
            "PaymentDetails": "vipps_async.ecom.details",
            "PaymentShippingDetails": "vipps_async.ecom.details",
            "PaymentStatus": "vipps_async.ecom.answers",
            "RefundResult": "vipps_async.ecom.answers",
            "Scope": "vipps_async.ecom.words",
            "ShippingDetails": "vipps_async.ecom.express",
            "StatusInfo": "vipps_async.ecom.answers",
            "StillWaiting": "vipps_async.ecom.polling",
            "TransactionInfo": "vipps_async.ecom.answers",
            "TransactionLogEntry": "vipps_async.ecom.details",
            "TransactionStatus": "vipps_async.ecom.words",
            "TransactionSummary": "vipps_async.ecom.answers",
            "UserDetails": "vipps_async.ecom.details",
        },
    )

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

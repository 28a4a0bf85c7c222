"""What the servers of the benchmarks answer: the same bytes every time, but for the order id."""

from __future__ import annotations

__all__ = ["CAPTURE", "DETAILS", "EPAYMENT_CAPTURE", "INITIATE", "ORDER_ID", "TOKEN"]

#: Stands in an answer where the order id belongs: the client refuses an answer about another order.
ORDER_ID = "@order@"

TOKEN = '{"token_type":"Bearer","expires_in":"86400","access_token":"benchmark-token"}'

CAPTURE = (
    '{"paymentInstrument":"Visa","orderId":"@order@","transactionInfo":{"amount":1000,'
    '"timeStamp":"2026-01-01T12:00:00.000Z","transactionText":"Benchmark","status":"Captured",'
    '"transactionId":"5000000001"},"transactionSummary":{"capturedAmount":1000,"remainingAmountToCapture":0,'
    '"refundedAmount":0,"remainingAmountToRefund":1000}}'
)

#: The same over ePayment.
EPAYMENT_CAPTURE = (
    '{"amount":{"currency":"NOK","value":1000},"state":"AUTHORIZED","aggregate":{'
    '"authorizedAmount":{"currency":"NOK","value":1000},"cancelledAmount":{"currency":"NOK","value":0},'
    '"capturedAmount":{"currency":"NOK","value":1000},"refundedAmount":{"currency":"NOK","value":0}},'
    '"pspReference":"3a7cd4b8-c7cc-4d61-8f29-3d1fd8cc3c5e","reference":"@order@"}'
)

#: A payment after its capture, as most are when they are asked about.
DETAILS = (
    '{"orderId":"@order@","transactionSummary":{"capturedAmount":1000,"remainingAmountToCapture":0,'
    '"refundedAmount":0,"remainingAmountToRefund":1000,"bankIdentificationNumber":"492556"},'
    '"transactionLogHistory":['
    '{"amount":1000,"transactionText":"Benchmark","transactionId":"5000000002",'
    '"timeStamp":"2026-01-01T12:00:00.000Z","operation":"CAPTURE","requestId":"000000000001",'
    '"operationSuccess":true},'
    '{"amount":1000,"transactionText":"Benchmark","transactionId":"5000000001",'
    '"timeStamp":"2026-01-01T11:59:00.000Z","operation":"RESERVE","requestId":"",'
    '"operationSuccess":true},'
    '{"amount":1000,"transactionText":"Benchmark","transactionId":"5000000001",'
    '"timeStamp":"2026-01-01T11:58:00.000Z","operation":"INITIATE","requestId":"",'
    '"operationSuccess":true}]}'
)

INITIATE = (
    '{"orderId":"@order@","url":"https://example.com/dwo-api-application/v1/deeplink/vippsgateway?v=2&token=abc"}'
)

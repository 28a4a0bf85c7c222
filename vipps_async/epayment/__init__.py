"""The Vipps MobilePay ePayment API v1."""

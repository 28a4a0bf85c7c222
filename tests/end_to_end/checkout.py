"""What the tests of this folder do again and again: retry soon, and look at an error."""

from __future__ import annotations

from vipps_async import Effect, RetryPolicy, VippsError

__all__ = ["FAST", "KEYS", "holds_together"]

#: Retries that do not keep a test waiting.
FAST = RetryPolicy(base=0.001, throttled_base=0.001, cap=0.002, deadline=5.0)
#: Keys that open nothing.
KEYS = {
    "client_id": "id-of-a-test",
    "client_secret": "secret-of-a-test",
    "subscription_key": "key-of-a-test",
    "merchant_serial_number": "123456",
}


def holds_together(error: VippsError, *, operation: str, order_id: str | None = "acme-shop-1") -> None:
    """Check what every error promises: one line that says what was tried, on which order, and what became of money."""
    text = str(error)
    assert len(text.splitlines()) == 1
    assert (error.operation, error.payment) == (f"ecom.{operation}", order_id)
    assert text.startswith(f"ecom.{operation}")
    assert order_id is None or order_id in text
    assert error.idempotency_key is None or error.idempotency_key in text
    assert error.effect_text in text
    assert isinstance(error.effect, Effect)
    assert error.advice
    assert error.advice.rstrip(".") in text

"""Orders as bytes and back, for the file that keeps them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_type_hints

import orjson
from cattrs import BaseValidationError, Converter

from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.payment import Payment, Seen

__all__ = ["UnreadableOrderError", "read_order", "written_order"]

_CONVERTER = Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))

#: Field → type, but for what is not kept as it is.
_PAYMENT = {name: kind for name, kind in get_type_hints(Payment).items() if name not in {"new_transaction_id", "seen"}}
_ORDER = {name: kind for name, kind in get_type_hints(Order).items() if name != "payment"}


class UnreadableOrderError(Exception):
    """The bytes are no order. The text names what is wrong, and nothing that is personal."""


def written_order(order: Order) -> bytes:
    """Return an order as bytes, as it is now."""
    payment = order.payment
    return orjson.dumps(
        {
            "payment": {name: getattr(payment, name) for name in _PAYMENT},
            "seen": [[*which, seen] for which, seen in payment.seen.items()],
            "order": {name: getattr(order, name) for name in _ORDER},
        },
        default=_list,
    )


def _list(value: object) -> list[str]:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"cannot be kept: {type(value).__name__}")


def read_order(data: bytes, new_transaction_id: Callable[[], str]) -> Order:
    """Return the order that was written so.

    Raises:
        UnreadableOrderError: these bytes are no such order.
    """
    try:
        record: dict[str, Any] = orjson.loads(data)
        payment = Payment(
            new_transaction_id=new_transaction_id,
            seen={
                (str(operation), str(key)): _CONVERTER.structure(seen, Seen) for operation, key, seen in record["seen"]
            },
            **_fields(record["payment"], _PAYMENT),
        )
        return Order(payment=payment, **_fields(record["order"], _ORDER))
    except (BaseValidationError, ValueError, LookupError, TypeError, AttributeError) as error:
        # Not the error's own text: it repeats values.
        raise UnreadableOrderError(type(error).__name__) from None


def _fields(record: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    if record.keys() != kinds.keys():
        raise LookupError("other fields")
    return {name: _CONVERTER.structure(record[name], kind) for name, kind in kinds.items()}

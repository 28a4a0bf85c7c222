"""Many payments at once: captures, refunds and cancels from a file or from any iterable, each exactly once."""

from vipps_async.batch.many import ManyOptions, cancel_many, capture_many, preview_many, refund_many
from vipps_async.batch.results import RowCause, RowOutcome, RowResult
from vipps_async.core.batch import BatchOperation, BatchRow, Origin

__all__ = [
    "BatchOperation",
    "BatchRow",
    "ManyOptions",
    "Origin",
    "RowCause",
    "RowOutcome",
    "RowResult",
    "cancel_many",
    "capture_many",
    "preview_many",
    "refund_many",
]

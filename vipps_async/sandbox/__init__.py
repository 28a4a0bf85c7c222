"""A Vipps simulator that runs on your own machine. It imports nothing of the client.

It checks requests strictly and keeps the true state of each payment. It shares no code with the client, so that a name
misspelt on one side fails against the other.
"""

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customers import Address, Customer
from vipps_async.sandbox.ledger.entries import LogEntry, PaymentSnapshot, State
from vipps_async.sandbox.ledger.reasons import SandboxError, SandboxStateError
from vipps_async.sandbox.ledger.settings import SandboxCredentials, SandboxSettings, SettingsError
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord
from vipps_async.sandbox.server import FACES, SandboxServer
from vipps_async.sandbox.wire.face import Face
from vipps_async.sandbox.wire.fault import Fault

__all__ = [
    "FACES",
    "Address",
    "CallbackRecord",
    "Customer",
    "Face",
    "Fault",
    "Faults",
    "LogEntry",
    "PaymentSnapshot",
    "RequestRecord",
    "SandboxClock",
    "SandboxCredentials",
    "SandboxError",
    "SandboxServer",
    "SandboxSettings",
    "SandboxStateError",
    "SettingsError",
    "State",
]

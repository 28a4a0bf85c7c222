"""A Vipps that runs on your own machine: a house of its own, which imports nothing of the client.

It is an oracle: strict about what it is sent, true about what moved. Nothing of it is shared with the client, so that a
name misspelt on one side fails against the other.
"""

from vipps_async.sandbox.clock import SandboxClock
from vipps_async.sandbox.customers import Address, Customer
from vipps_async.sandbox.faults import Fault, Faults
from vipps_async.sandbox.ledger import LogEntry, PaymentSnapshot, State
from vipps_async.sandbox.problems import SandboxError, SandboxStateError
from vipps_async.sandbox.recording import CallbackRecord, RequestRecord
from vipps_async.sandbox.server import SandboxServer
from vipps_async.sandbox.settings import Settings, SettingsError
from vipps_async.sandbox.tokens import SandboxCredentials

__all__ = [
    "Address",
    "CallbackRecord",
    "Customer",
    "Fault",
    "Faults",
    "LogEntry",
    "PaymentSnapshot",
    "RequestRecord",
    "SandboxClock",
    "SandboxCredentials",
    "SandboxError",
    "SandboxServer",
    "SandboxStateError",
    "Settings",
    "SettingsError",
    "State",
]

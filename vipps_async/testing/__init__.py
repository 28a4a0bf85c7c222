"""For tests: a Vipps sandbox that makes sessions, and a transport that answers by a script."""

from vipps_async.sandbox import (
    Address,
    CallbackRecord,
    Customer,
    Fault,
    Faults,
    LogEntry,
    PaymentSnapshot,
    RequestRecord,
    SandboxClock,
    SandboxCredentials,
    SandboxError,
    SandboxSettings,
    State,
)
from vipps_async.testing.sandbox import SHORT_WAIT, Sandbox
from vipps_async.testing.scripted import TOKEN_PATH, Reply, ScriptedTransport, ScriptError, answer, token_answer
from vipps_async.testing.thread import SandboxThread

__all__ = [
    "SHORT_WAIT",
    "TOKEN_PATH",
    "Address",
    "CallbackRecord",
    "Customer",
    "Fault",
    "Faults",
    "LogEntry",
    "PaymentSnapshot",
    "Reply",
    "RequestRecord",
    "Sandbox",
    "SandboxClock",
    "SandboxCredentials",
    "SandboxError",
    "SandboxSettings",
    "SandboxThread",
    "ScriptError",
    "ScriptedTransport",
    "State",
    "answer",
    "token_answer",
]

"""For your tests and ours: a Vipps sandbox that hands out sessions, and a transport that answers what a script says."""

from vipps_async.testing.sandbox import Sandbox
from vipps_async.testing.scripted import TOKEN_PATH, Reply, ScriptedTransport, ScriptError, answer, token_answer

__all__ = ["TOKEN_PATH", "Reply", "Sandbox", "ScriptError", "ScriptedTransport", "answer", "token_answer"]

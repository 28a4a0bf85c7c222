"""For your tests and ours: a Vipps sandbox that hands out sessions."""

from vipps_async.testing.sandbox import Sandbox

__all__ = ["Sandbox"]

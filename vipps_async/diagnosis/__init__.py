"""The diagnosis: whether settings, host, certificate, clock, keys and journal are as a payment needs them."""

from vipps_async.diagnosis.examination import examine
from vipps_async.diagnosis.finding import Finding, State

__all__ = ["Finding", "State", "examine"]

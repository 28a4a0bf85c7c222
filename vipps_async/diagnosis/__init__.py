"""The diagnosis: whether settings, host, certificate, clock, keys and journal are as a payment needs them."""

from vipps_async.diagnosis.checks import run_checks
from vipps_async.diagnosis.result import CheckResult, CheckState

__all__ = ["CheckResult", "CheckState", "run_checks"]

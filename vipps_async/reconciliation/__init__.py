"""The reconciliation of a day: compares the operations that a journal has as done with Vipps' histories."""

from vipps_async.reconciliation.compared import ComparedOperation, Comparison
from vipps_async.reconciliation.comparison import compare_entries
from vipps_async.reconciliation.day import Day, DayEntries, entries_of_day

__all__ = ["ComparedOperation", "Comparison", "Day", "DayEntries", "compare_entries", "entries_of_day"]

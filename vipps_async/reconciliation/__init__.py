"""The reconciliation of a day: what the journal has as done, held against what Vipps has."""

from vipps_async.reconciliation.compared import ComparedOperation, Comparison
from vipps_async.reconciliation.comparison import compare_entries
from vipps_async.reconciliation.day import Day, DayEntries, entries_of_day

__all__ = ["ComparedOperation", "Comparison", "Day", "DayEntries", "compare_entries", "entries_of_day"]

"""The write-ahead journal: what a session notes before money moves, and where it notes it."""

from vipps_async.journals.protocol import Entry, Intent, Journal, Outcome, Settlement, Standing

__all__ = ["Entry", "Intent", "Journal", "Outcome", "Settlement", "Standing"]

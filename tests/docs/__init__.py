"""The tests of what only the documentation has: its tables, its reference, its links."""

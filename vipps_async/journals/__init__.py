"""The write-ahead journal: what a session notes before money moves, and where it notes it."""

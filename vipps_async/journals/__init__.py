"""The write-ahead journal: intents before money moves, and their outcomes; in memory, SQLite or PostgreSQL."""

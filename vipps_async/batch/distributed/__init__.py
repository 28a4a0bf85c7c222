"""One batch on many machines: rows, results and jobs in PostgreSQL, worked on through Procrastinate (an extra)."""

"""Measures what the client costs: `python -m benchmarks`, or `nox -s bench`. See docs/benchmarks.md."""

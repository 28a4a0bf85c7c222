"""What the types promise, held by mypy and pyright."""

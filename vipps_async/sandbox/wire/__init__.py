"""One module per API: parses requests, renders answers, and maps the ledger's reasons to codes."""

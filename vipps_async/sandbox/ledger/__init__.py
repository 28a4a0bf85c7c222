"""The money rules of the sandbox: payments, time and customers, without HTTP, JSON or codes."""

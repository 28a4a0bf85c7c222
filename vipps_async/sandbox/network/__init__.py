"""The HTTP side of the sandbox: callers, faults, and callbacks to the merchant."""

"""What stands between a client and an API: who calls, what goes wrong, and calls back at the merchant."""

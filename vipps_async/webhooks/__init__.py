"""The Vipps Webhooks API v1: registrations, and what Vipps delivers to them."""

"""The Webhooks API: registrations, deliveries and their signatures."""

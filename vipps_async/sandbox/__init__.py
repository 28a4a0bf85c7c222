"""A Vipps that runs on your own machine: a house of its own, which imports nothing of the client."""

"""The core that every API shares: pipeline, retries, journal recording, recovery and limits."""

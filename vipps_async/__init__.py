"""Asyncio-first SDK for the Vipps eCom API v2."""

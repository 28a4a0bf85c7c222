"""The Vipps eCom API v2: its models and its operations."""

"""The engine room: what every call to every Vipps API goes through."""

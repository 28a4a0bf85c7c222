"""The transport protocol and the transports that come with the package."""

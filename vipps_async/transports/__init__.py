"""The way to the wire: the transport protocol and the transports that come with the package."""

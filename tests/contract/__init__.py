"""Both sides of the wire, held against the vendor's OpenAPI descriptions."""

"""The command line: it parses and prints, and leaves the rest to the floors below."""

"""The command line, in the same process and as a process of its own."""

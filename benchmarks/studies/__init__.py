"""What is measured, one question a file; each study yields the rows of its table."""

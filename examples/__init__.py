"""Small programs that use the package, each run by the tests."""

"""One-line mutants of money rules, and a runner that tells which of them no test notices."""

"""One module per API: JSON in and out, and the rules' reasons as that API's codes."""

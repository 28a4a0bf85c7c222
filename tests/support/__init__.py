"""What tests of several folders share: servers that are started once, and the seed of a run."""

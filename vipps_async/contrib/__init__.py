"""Vipps in other people's frameworks: each module here needs the framework that it is named after, and no other."""

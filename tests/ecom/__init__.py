"""Tests of the eCom API."""

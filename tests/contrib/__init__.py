"""Tests of what lives in other people's frameworks."""

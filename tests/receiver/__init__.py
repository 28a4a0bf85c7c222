"""Tests of the receiver of what Vipps calls."""

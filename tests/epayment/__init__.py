"""Tests of the ePayment API."""

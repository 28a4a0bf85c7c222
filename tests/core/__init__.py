"""Tests of the engine room, and the fakes they share."""

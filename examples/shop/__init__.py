"""A small shop that takes payments by Vipps: read it in ten minutes, paste from it, begin with README.md."""

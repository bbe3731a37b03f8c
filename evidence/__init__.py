"""Measured and audited claims: `make chaos` and `make bench`."""

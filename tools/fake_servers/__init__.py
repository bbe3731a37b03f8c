"""Receivers on loopback that behave as the real ones do: for the demo, and for the tests."""

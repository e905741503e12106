"""Guests, well-behaved and hostile, against the real engine."""

"""Variables and secrets of functions."""

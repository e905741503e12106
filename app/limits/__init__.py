"""How often, how many at a time, and how much: limits on what callers have executed."""

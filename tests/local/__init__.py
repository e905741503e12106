"""The embedded PostgreSQL and the launcher, with real servers and real processes."""

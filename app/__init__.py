"""Kiln, a self-hosted function platform. Importing `app` starts nothing."""

"""Executions beside their API."""

"""Environments: named variables and secrets that functions are given."""

"""Signing in elsewhere: a provider that is one, and issuers that lie."""

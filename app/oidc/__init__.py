"""Signing in elsewhere, by OpenID Connect: what is asked of a provider, and what of its answers is believed. Who that
is here is for `app.accounts` to say.
"""

"""Compilers and their jail, with sources and programs that mean well and that do not."""

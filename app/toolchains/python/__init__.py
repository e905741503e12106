"""Python: CPython as one component, and sources that it reads when they are executed."""

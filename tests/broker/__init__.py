"""The transport by itself."""

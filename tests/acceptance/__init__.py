"""The whole of Kiln as processes."""

"""What the code and its documents promise about themselves."""

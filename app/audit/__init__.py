"""Who did what to what, and who was refused: written once, read by administrators, never changed."""

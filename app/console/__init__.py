"""HTML for people: what the API offers, as pages."""

"""Rust: where its compiler is, what is built once for it, what stands around an author's handle."""

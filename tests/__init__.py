"""Real PostgreSQL, the real transport, real wasmtime, real HTTP."""

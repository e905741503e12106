"""JavaScript: QuickJS, compiled to WebAssembly once, reads each source in the jail; what it holds then is kept."""

char large[-1u] = {1};
char *handle(const char *input) { return large; }

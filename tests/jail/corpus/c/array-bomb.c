char large[1 << 28] = {1};
char *handle(const char *input) { return large; }

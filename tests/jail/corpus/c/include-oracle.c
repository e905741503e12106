#if __has_include("@BESIDE@")
#error "it is there"
#endif
char *handle(const char *input) { return 0; }

#pragma GCC dependency "@VAR_TMP@"
#pragma comment(lib, "@VAR_TMP@")
char *handle(const char *input) { return 0; }

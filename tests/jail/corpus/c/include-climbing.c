#include "../@BESIDE_NAME@"
char *handle(const char *input) { return 0; }

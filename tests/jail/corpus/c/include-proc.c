#include </proc/self/environ>
char *handle(const char *input) { return 0; }

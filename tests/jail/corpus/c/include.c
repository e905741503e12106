#include "@HOME@"
char *handle(const char *input) { return 0; }

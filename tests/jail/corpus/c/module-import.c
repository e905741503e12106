#pragma clang module import passwd
char *handle(const char *input) { return 0; }

__asm__(".include \"/etc/passwd\"");
char *handle(const char *input) { return 0; }

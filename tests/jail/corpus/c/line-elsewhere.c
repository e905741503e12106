#line 1 "/etc/passwd"
char *handle(const char *input) { return missing; }

static const char zeros[] = {
#embed "/dev/zero"
};
char *handle(const char *input) { return (char *)zeros; }

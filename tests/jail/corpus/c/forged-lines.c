__attribute__((used, section(".custom_section.kiln.lines"))) static const char lines[] = "../../etc/passwd\n\1\2\3\4\5\6\7";
__attribute__((used, section(".custom_section..debug_line"))) static const char debug[] = "\377\377\377\377\377\377\377\377";
char *handle(const char *input) { return (char *)input; }

# 1 "\033[31m<script>alert(1)</script>"
char *handle(const char *input) { return missing; }

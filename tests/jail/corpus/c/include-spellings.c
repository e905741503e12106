#define PLACE <@TMP@>
%:include PLACE
char *handle(const char *input) { return 0; }

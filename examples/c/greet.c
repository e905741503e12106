// Greets whoever the input names: {"name": "Ada"} gives {"greeting": "Hello, Ada"}.
#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>

char *handle(const char *input) {
    char *greeting;
    asprintf(&greeting, "Hello, %s", json_string(json_get(json_parse(input), "name"), "world"));
    return json_write(json_set(json_object(), "greeting", json_from_string(greeting)));
}

// Greets whoever is named in {"name": "Ada"}.
#include <kiln.h>
#include <stdio.h>

char *handle(const char *input) {
    char greeting[256];
    snprintf(greeting, sizeof greeting, "Hello, %s", json_string(json_get(json_parse(input), "name"), "world"));
    return json_write(json_set(json_object(), "greeting", json_from_string(greeting)));
}

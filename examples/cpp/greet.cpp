// Greets whoever the input names: {"name": "Ada"} gives {"greeting": "Hello, Ada"}.
#include <kiln.h>
#include <string>

std::string handle(const std::string &input) {
    std::string name = json_string(json_get(json_parse(input.c_str()), "name"), "world");
    return json_write(json_set(json_object(), "greeting", json_from_string(("Hello, " + name).c_str())));
}

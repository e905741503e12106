// The author's handle in C++.
#include <cstddef>
#include <string>

std::string handle(const std::string &input);

extern "C" char *kiln_handle(char *input, size_t length) {
    static std::string output;
    output = handle(std::string(input, length));
    return output.data();
}

export module stolen;
#include <string>
export std::string handle(const std::string &input) { return input; }

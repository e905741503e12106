#include "@JOB@"
#include <string>
std::string handle(const std::string &input) { return input; }

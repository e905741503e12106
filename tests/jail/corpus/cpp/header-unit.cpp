import "@HOME@";
import <string>;
std::string handle(const std::string &input) { return input; }

// Does what its input asks for: {"do": "echo", "value": …}.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <kiln.h>
#include <map>
#include <random>
#include <string>
#include <vector>

using Deed = std::function<std::string(json *)>;

static int deeper(volatile int depth) {
    volatile char frame[512];
    frame[depth % 512] = 1;
    return deeper(depth + 1) + frame[0];
}

template <class Clock> static std::string now() {
    auto since = Clock::now().time_since_epoch();
    return std::to_string(std::chrono::duration<double, std::milli>(since).count());
}

static const std::map<std::string, Deed> deeds = {
    {"echo", [](json *asked) { return json_write(json_get(asked, "value")); }},
    {"log",
     [](json *) {
         std::cout << "printed" << std::endl;
         std::cerr << "complained\n";
         return "null";
     }},
    {"environment",
     [](json *asked) {
         const char *value = std::getenv(json_string(json_get(asked, "name"), ""));
         return json_write(value ? json_from_string(value) : json_null());
     }},
    {"context", [](json *) { return kiln_context(); }},
    {"fail",
     [](json *) -> std::string {
         KILN_FAIL("order %d is unknown", 7); // fails here
     }},
    {"trap",
     [](json *) {
         std::vector<int> none;
         return std::to_string(none[7]); // traps here
     }},
    {"loop",
     [](json *) {
         std::cout << "::progress 40 halfway" << std::endl;
         for (volatile bool going = true; going;) continue;
         return "null";
     }},
    {"memory",
     [](json *) -> std::string {
         for (std::vector<std::string> kept;;) kept.emplace_back(1 << 20, 'x');
     }},
    {"recursion", [](json *) { return std::to_string(deeper(0)); }},
    {"output", [](json *) { return std::string(4 << 20, ' '); }},
    {"clock",
     [](json *) {
         return "[" + now<std::chrono::system_clock>() + "," + now<std::chrono::steady_clock>() + "]";
     }},
    {"file",
     [](json *) -> std::string {
         if (!std::fopen("/etc/passwd", "r")) kiln_fail("there are no files");
         return "null";
     }},
    {"random", [](json *) { return std::to_string(std::random_device()()); }},
};

std::string handle(const std::string &input) {
    json *asked = json_parse(input.c_str());
    return deeds.at(json_string(json_get(asked, "do"), ""))(asked);
}

#include <new>
#include <string>
void *operator new(unsigned long size) { return reinterpret_cast<void *>(size); }
void operator delete(void *) noexcept {}
std::string handle(const std::string &input) { return __PRETTY_FUNCTION__ + input; }

#include <assert.h>
#include <kiln.h>
char *handle(const char *input) {
    assert(input);
    return __FILE__ __BASE_FILE__ __FILE_NAME__ __TIMESTAMP__ __DATE__ __TIME__;
}

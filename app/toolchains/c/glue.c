/* The author's handle in C. */
#include <stddef.h>

char *handle(const char *input);

char *kiln_handle(char *input, size_t length) {
    (void)length;
    return handle(input);
}

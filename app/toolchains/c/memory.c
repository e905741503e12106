/* Allocation that does not fail: the linker lets the author's calls of the library's functions come here. */
#include "kiln.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

static void *checked(void *block, size_t size) {
    if (!block && size) kiln_fail("memory allocation of %zu bytes failed", size);
    return block;
}

void *__wrap_malloc(size_t size) { return checked(__real_malloc(size), size); }

void *__wrap_calloc(size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) total = (size_t)-1;
    return checked(__real_calloc(count, size), total);
}

void *__wrap_realloc(void *block, size_t size) { return checked(__real_realloc(block, size), size); }

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return checked(__real_aligned_alloc(alignment, size), size);
}

/* The execution's side of kiln.h, and the module's: `alloc` and `handle` as the runtime calls them. */
#include "kiln.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST(name) __attribute__((import_module("kiln"), import_name(name)))

HOST("fail") void host_fail(const char *text, size_t length);
HOST("log") void host_log(int32_t level, const char *text, size_t length);
HOST("context") size_t host_context(char *into, size_t capacity);

enum { MOST_TEXT = 4096 };

void kiln_fail(const char *format, ...) {
    char text[MOST_TEXT];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fflush(NULL);
    host_fail(text, strlen(text));
    __builtin_unreachable();
}

void kiln_log(enum kiln_level level, const char *format, ...) {
    char text[MOST_TEXT];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    host_log(level, text, strlen(text));
}

const char *kiln_context(void) {
    static char *known;
    if (!known) {
        size_t length = host_context(NULL, 0);
        known = calloc(1, length + 1);
        if (!known) kiln_fail("out of memory");
        host_context(known, length);
    }
    return known;
}

/* Lines are in the log even when a trap follows. */
__attribute__((constructor)) static void buffer_by_lines(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

__attribute__((export_name("alloc"))) char *kiln_alloc(size_t length) {
    char *text = malloc(length + 1);
    if (!text) kiln_fail("memory allocation of %zu bytes failed", length);
    text[length] = 0;
    return text;
}

char *kiln_handle(char *input, size_t length);

__attribute__((export_name("handle"))) uint64_t kiln_enter(char *input, size_t length) {
    const char *output = kiln_handle(input, length);
    if (!output) kiln_fail("handle returned NULL");
    fflush(NULL);
    return (uint64_t)(uintptr_t)output << 32 | strlen(output);
}

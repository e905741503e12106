// Does what its input asks for: {"do": "echo", "value": …}.
#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static json *text(const char *value) { return value ? json_from_string(value) : json_null(); }

static int deeper(volatile int depth) {
    volatile char frame[512];
    frame[depth % 512] = 1;
    return deeper(depth + 1) + frame[0];
}

static json *clocks(void) {
    struct timespec wall, steady;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    json *both = json_add(json_array(), json_from_number(wall.tv_sec * 1e3 + wall.tv_nsec / 1e6));
    return json_add(both, json_from_number(steady.tv_sec * 1e3 + steady.tv_nsec / 1e6));
}

static json *chance(void) {
    unsigned number;
    getentropy(&number, sizeof number);
    return json_from_number(number / 4294967296.0);
}

char *handle(const char *input) {
    json *asked = json_parse(input);
    const char *deed = json_string(json_get(asked, "do"), "");
    if (!strcmp(deed, "echo")) return json_write(json_get(asked, "value"));
    if (!strcmp(deed, "log")) {
        printf("printed\n");
        fprintf(stderr, "complained\n");
        return "null";
    }
    if (!strcmp(deed, "environment")) return json_write(text(getenv(json_string(json_get(asked, "name"), ""))));
    if (!strcmp(deed, "context")) return strdup(kiln_context());
    if (!strcmp(deed, "fail")) KILN_FAIL("order %d is unknown", 7); // fails here
    if (!strcmp(deed, "trap")) __builtin_trap();                    // traps here
    if (!strcmp(deed, "loop")) {
        printf("::progress 40 halfway\n");
        for (volatile int going = 1; going;) continue;
    }
    if (!strcmp(deed, "memory"))
        for (char *volatile kept;; memset(kept, 1, 1 << 20)) kept = malloc(1 << 20);
    if (!strcmp(deed, "recursion")) return deeper(0) ? "1" : "0";
    if (!strcmp(deed, "output")) {
        char *flood = malloc(4 << 20);
        memset(flood, ' ', 4 << 20);
        flood[(4 << 20) - 1] = 0;
        return flood;
    }
    if (!strcmp(deed, "clock")) return json_write(clocks());
    if (!strcmp(deed, "file") && !fopen("/etc/passwd", "r")) kiln_fail("there are no files");
    if (!strcmp(deed, "random")) return json_write(chance());
    return "null";
}

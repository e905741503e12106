/* What a function in C or C++ has at hand beside the standard library. Memory need not be freed: it ends with the
 * execution. Nor need it be looked at: malloc and its kin never answer NULL, but end the execution as OUT_OF_MEMORY.
 *
 *     char *handle(const char *input);          what you write: JSON text in, JSON text out, allocated by you
 */
#ifndef KILN_H
#define KILN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The execution ---- */

/* End the execution as failed, with a message. */
__attribute__((noreturn, format(printf, 1, 2))) void kiln_fail(const char *format, ...);

/* Where `kiln_fail` is told the place too: KILN_FAIL("no such order: %d", id). */
#define KILN_FAIL(format, ...) kiln_fail("%s:%d: " format, __FILE__, __LINE__ __VA_OPT__(, ) __VA_ARGS__)

enum kiln_level { KILN_DEBUG, KILN_INFO, KILN_WARNING, KILN_ERROR };

/* Write a line into the execution's log; so does printing to standard output and standard error. */
__attribute__((format(printf, 2, 3))) void kiln_log(enum kiln_level level, const char *format, ...);

/* What is known of this execution, as JSON text: executionId, functionId, version, attempt, correlationId, deadlineMs. */
const char *kiln_context(void);

/* ---- JSON ---- */

typedef struct json json;

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Read a text; NULL when it is not JSON. Numbers are kept as doubles. */
json *json_parse(const char *text);

/* Write a value as text, without spaces. What is NULL is null. */
char *json_write(const json *value);

/* What a value is. NULL is JSON_NULL, so that a member that is missing need not be looked for first. */
enum json_kind json_kind(const json *value);

/* What a value holds, or `otherwise` when it is of another kind. A string ends with a zero byte. */
bool json_bool(const json *value, bool otherwise);
double json_number(const json *value, double otherwise);
const char *json_string(const json *value, const char *otherwise);

/* The elements of an array or the members of an object; NULL where there is none. */
size_t json_size(const json *value);
json *json_at(const json *value, size_t index);
const char *json_name(const json *value, size_t index);
json *json_get(const json *value, const char *name);

/* Make values. `json_set` and `json_add` take the value over and answer the object or the array. */
json *json_null(void);
json *json_from_bool(bool value);
json *json_from_number(double value);
json *json_from_string(const char *value);
json *json_array(void);
json *json_object(void);
json *json_add(json *array, json *value);
json *json_set(json *object, const char *name, json *value);

#ifdef __cplusplus
}
#endif
#endif

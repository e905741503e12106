/* JSON for functions in C: RFC 8259, read by recursive descent, kept as a tree, written compactly. */
#include "kiln.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 512 };

struct json {
    enum json_kind kind;
    bool truth;
    double number;
    char *text;
    size_t size, room;
    char **names;
    json **values;
};

static void *made(void *memory) {
    if (!memory) kiln_fail("memory allocation of a JSON value failed");
    return memory;
}

static json *new(enum json_kind kind) {
    json *value = made(calloc(1, sizeof *value));
    value->kind = kind;
    return value;
}

json *json_null(void) { return new (JSON_NULL); }

json *json_from_bool(bool truth) {
    json *value = new (JSON_BOOL);
    value->truth = truth;
    return value;
}

json *json_from_number(double number) {
    json *value = new (JSON_NUMBER);
    value->number = number;
    return value;
}

static json *from_text(char *text) {
    json *value = new (JSON_STRING);
    value->text = text;
    return value;
}

json *json_from_string(const char *text) { return text ? from_text(made(strdup(text))) : json_null(); }

json *json_array(void) { return new (JSON_ARRAY); }

json *json_object(void) { return new (JSON_OBJECT); }

static void append(json *to, char *name, json *value) {
    if (to->size == to->room) {
        to->room = to->room ? 2 * to->room : 4;
        to->values = made(realloc(to->values, to->room * sizeof *to->values));
        if (to->kind == JSON_OBJECT) to->names = made(realloc(to->names, to->room * sizeof *to->names));
    }
    if (to->kind == JSON_OBJECT) to->names[to->size] = name;
    to->values[to->size++] = value ? value : json_null();
}

json *json_add(json *array, json *value) {
    if (json_kind(array) != JSON_ARRAY) kiln_fail("json_add: not an array");
    append(array, NULL, value);
    return array;
}

json *json_set(json *object, const char *name, json *value) {
    if (json_kind(object) != JSON_OBJECT) kiln_fail("json_set: not an object");
    for (size_t index = 0; index < object->size; index++) {
        if (!strcmp(object->names[index], name)) {
            object->values[index] = value ? value : json_null();
            return object;
        }
    }
    append(object, made(strdup(name)), value);
    return object;
}

enum json_kind json_kind(const json *value) { return value ? value->kind : JSON_NULL; }

bool json_bool(const json *value, bool otherwise) {
    return json_kind(value) == JSON_BOOL ? value->truth : otherwise;
}

double json_number(const json *value, double otherwise) {
    return json_kind(value) == JSON_NUMBER ? value->number : otherwise;
}

const char *json_string(const json *value, const char *otherwise) {
    return json_kind(value) == JSON_STRING ? value->text : otherwise;
}

size_t json_size(const json *value) { return value ? value->size : 0; }

json *json_at(const json *value, size_t index) { return index < json_size(value) ? value->values[index] : NULL; }

const char *json_name(const json *value, size_t index) {
    return json_kind(value) == JSON_OBJECT && index < value->size ? value->names[index] : NULL;
}

json *json_get(const json *value, const char *name) {
    if (json_kind(value) != JSON_OBJECT) return NULL;
    for (size_t index = value->size; index-- > 0;) {
        if (!strcmp(value->names[index], name)) return value->values[index];
    }
    return NULL;
}

/* Reading. Each part takes the place in the text and moves it on; NULL or false when the text is not JSON there. */

static json *read_value(const char **at, int depth);

static void skip_space(const char **at) { *at += strspn(*at, " \t\n\r"); }

static bool take(const char **at, const char *word) {
    size_t length = strlen(word);
    if (strncmp(*at, word, length)) return false;
    *at += length;
    return true;
}

static int hex_digit(char letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool read_unit(const char **at, unsigned *unit) {
    *unit = 0;
    for (int place = 0; place < 4; place++) {
        int digit = hex_digit(**at);
        if (digit < 0) return false;
        *unit = *unit << 4 | (unsigned)digit;
        ++*at;
    }
    return true;
}

static bool is_high(unsigned unit) { return unit >= 0xD800 && unit < 0xDC00; }

static bool is_low(unsigned unit) { return unit >= 0xDC00 && unit < 0xE000; }

/* One character as UTF-8; half of a pair by itself is the replacement character. */
static char *put_character(char *to, unsigned point) {
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xC0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *to++ = (char)(0xE0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (point & 0x3F));
    } else {
        *to++ = (char)(0xF0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 0x3F));
        *to++ = (char)(0x80 | (point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (point & 0x3F));
    }
    return to;
}

static bool read_escaped_character(const char **at, char **to) {
    unsigned unit, low;
    if (!read_unit(at, &unit)) return false;
    if (is_high(unit) && (*at)[0] == '\\' && (*at)[1] == 'u') {
        const char *next = *at + 2;
        if (read_unit(&next, &low) && is_low(low)) {
            *at = next;
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    if (is_high(unit) || is_low(unit)) unit = 0xFFFD;
    /* A zero byte would end the string for its readers. */
    *to = put_character(*to, unit ? unit : 0xFFFD);
    return true;
}

static bool read_escape(const char **at, char **to) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char letter = *(*at)++;
    if (letter == 'u') return read_escaped_character(at, to);
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (!found) return false;
    *(*to)++ = meanings[found - letters];
    return true;
}

static char *read_string(const char **at) {
    if (!take(at, "\"")) return NULL;
    size_t length = 0;
    for (const char *look = *at; *look && *look != '"'; look++, length++) {
        if (*look == '\\' && look[1]) look++, length++;
    }
    char *text = made(malloc(length + 1)), *to = text;
    while (**at != '"') {
        char letter = *(*at)++;
        if ((unsigned char)letter < 0x20) return NULL;
        if (letter != '\\') {
            *to++ = letter;
        } else if (!read_escape(at, &to)) {
            return NULL;
        }
    }
    ++*at;
    *to = 0;
    return text;
}

static json *read_number(const char **at) {
    const char *look = *at + (**at == '-');
    size_t whole = strspn(look, "0123456789");
    if (!whole || (*look == '0' && whole > 1)) return NULL;
    look += whole;
    if (*look == '.') {
        size_t fraction = strspn(++look, "0123456789");
        if (!fraction) return NULL;
        look += fraction;
    }
    if (*look == 'e' || *look == 'E') {
        look++;
        look += *look == '+' || *look == '-';
        size_t exponent = strspn(look, "0123456789");
        if (!exponent) return NULL;
        look += exponent;
    }
    double number = strtod(*at, NULL);
    *at = look;
    return json_from_number(number);
}

static json *read_members(const char **at, json *into, const char *end, int depth) {
    skip_space(at);
    if (take(at, end)) return into;
    for (;;) {
        char *name = NULL;
        if (into->kind == JSON_OBJECT) {
            skip_space(at);
            name = read_string(at);
            skip_space(at);
            if (!name || !take(at, ":")) return NULL;
        }
        json *value = read_value(at, depth + 1);
        if (!value) return NULL;
        append(into, name, value);
        if (take(at, end)) return into;
        if (!take(at, ",")) return NULL;
    }
}

static json *read_value(const char **at, int depth) {
    json *value = NULL;
    if (depth > MOST_DEPTH) return NULL;
    skip_space(at);
    if (**at == '"') {
        char *text = read_string(at);
        value = text ? from_text(text) : NULL;
    } else if (take(at, "{")) {
        value = read_members(at, json_object(), "}", depth);
    } else if (take(at, "[")) {
        value = read_members(at, json_array(), "]", depth);
    } else if (take(at, "null")) {
        value = json_null();
    } else if (take(at, "true")) {
        value = json_from_bool(true);
    } else if (take(at, "false")) {
        value = json_from_bool(false);
    } else {
        value = read_number(at);
    }
    skip_space(at);
    return value;
}

json *json_parse(const char *text) {
    json *value = text ? read_value(&text, 0) : NULL;
    return value && !*text ? value : NULL;
}

/* Writing. */

struct text {
    char *bytes;
    size_t size, room;
};

static void put(struct text *to, const char *bytes, size_t length) {
    if (to->size + length > to->room) {
        to->room = 2 * (to->size + length) + 64;
        to->bytes = made(realloc(to->bytes, to->room));
    }
    memcpy(to->bytes + to->size, bytes, length);
    to->size += length;
}

static void put_word(struct text *to, const char *word) { put(to, word, strlen(word)); }

static void write_string(struct text *to, const char *text) {
    static const char letters[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
    put(to, "\"", 1);
    for (; *text; text++) {
        const char *found = strchr(letters, *text);
        if (found) {
            char escape[2] = {'\\', escapes[found - letters]};
            put(to, escape, 2);
        } else if ((unsigned char)*text < 0x20) {
            char escape[8];
            put(to, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *text));
        } else {
            put(to, text, 1);
        }
    }
    put(to, "\"", 1);
}

/* The shortest text that reads as the same number. */
static void write_number(struct text *to, double number) {
    char text[32];
    if (!isfinite(number)) kiln_fail("JSON has no number for %g", number);
    if (number == (double)(int64_t)number && fabs(number) < 1e15) {
        put(to, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)number));
        return;
    }
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    put(to, text, (size_t)length);
}

static void write_value(struct text *to, const json *value) {
    bool is_object = json_kind(value) == JSON_OBJECT;
    switch (json_kind(value)) {
        case JSON_NULL:
            put_word(to, "null");
            break;
        case JSON_BOOL:
            put_word(to, value->truth ? "true" : "false");
            break;
        case JSON_NUMBER:
            write_number(to, value->number);
            break;
        case JSON_STRING:
            write_string(to, value->text);
            break;
        case JSON_ARRAY:
        case JSON_OBJECT:
            put(to, is_object ? "{" : "[", 1);
            for (size_t index = 0; index < value->size; index++) {
                if (index) put(to, ",", 1);
                if (is_object) {
                    write_string(to, value->names[index]);
                    put(to, ":", 1);
                }
                write_value(to, value->values[index]);
            }
            put(to, is_object ? "}" : "]", 1);
            break;
    }
}

char *json_write(const json *value) {
    struct text text = {0};
    write_value(&text, value);
    put(&text, "", 1);
    return text.bytes;
}

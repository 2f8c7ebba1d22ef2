#include "query.h"

#include "memory.h"
#include "utf8.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_PAIRS_MAX 1000

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

size_t percent_decode(char *out, const char *in, size_t len, bool plus_is_blank) {
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = in[i];

        if (c == '+' && plus_is_blank) {
            c = ' ';
        } else if (c == '%' && len - i > 2 && hex_digit(in[i + 1]) >= 0 &&
                   hex_digit(in[i + 2]) >= 0) {
            c = (char) (hex_digit(in[i + 1]) * 16 + hex_digit(in[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

void percent_encode(struct buffer *out, const char *text) {
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL)
            buffer_char(out, *text);
        else
            buffer_format(out, "%%%02X", (unsigned char) *text);
    }
}

/* scratch has room for the pair and two NULs */
static bool add_pair(struct json_object *object, char *scratch, const char *pair, size_t len) {
    const char *equals = memchr(pair, '=', len);
    size_t name_raw = equals != NULL ? (size_t) (equals - pair) : len;
    size_t name_len = percent_decode(scratch, pair, name_raw, true);
    char *value = scratch + name_len + 1;
    size_t value_len = 0;

    if (name_len == 0)
        return true;
    scratch[name_len] = '\0';
    if (equals != NULL)
        value_len = percent_decode(value, equals + 1, len - name_raw - 1, true);
    if (!utf8_text(scratch, name_len) || !utf8_text(value, value_len))
        return false;
    json_object_object_add(object, scratch, json_object_new_string_len(value, (int) value_len));
    return true;
}

enum query_fault query_parse(struct json_object *object, const char *text, size_t len) {
    enum query_fault fault = QUERY_OK;
    char *scratch = memory_alloc(len + 2);
    unsigned pairs = 0;

    for (size_t at = 0; at < len && fault == QUERY_OK;) {
        const char *end = memchr(text + at, '&', len - at);
        size_t part = end != NULL ? (size_t) (end - text) - at : len - at;

        if (++pairs > QUERY_PAIRS_MAX)
            fault = QUERY_TOO_MANY;
        else if (!add_pair(object, scratch, text + at, part))
            fault = QUERY_ENCODING;
        at += part + 1;
    }
    free(scratch);
    return fault;
}

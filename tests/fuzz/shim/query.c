/* Queries and urlencoded forms: the object is what splitting and decoding by hand gives, and
 * encoded again it is read as the same. */
#include "harness.h"

#include "query.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 1000

static int digit(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

    return at != NULL ? (int) (at - digits) : -1;
}

static struct buffer decode(const char *text, size_t len) {
    struct buffer out = {0};

    buffer_reserve(&out, len);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 2 < len && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
            buffer_char(&out, (char) (digit(text[i + 1]) << 4 | digit(text[i + 2])));
            i += 2;
        } else {
            buffer_char(&out, text[i] == '+' ? ' ' : text[i]);
        }
    }
    return out;
}

/* The object, or NULL with the fault. */
static struct json_object *judge(const char *text, size_t len, enum query_fault *fault) {
    struct json_object *object = json_object_new_object();
    unsigned pairs = 0;

    *fault = QUERY_OK;
    for (size_t at = 0; at < len && *fault == QUERY_OK;) {
        size_t end = at, equals;
        struct buffer name, value;

        while (end < len && text[end] != '&')
            end++;
        for (equals = at; equals < end && text[equals] != '=';)
            equals++;
        name = decode(text + at, equals - at);
        value = decode(text + equals + 1, equals < end ? end - equals - 1 : 0);
        if (++pairs > PAIRS_MAX)
            *fault = QUERY_TOO_MANY;
        else if (name.len > 0 &&
                 (!judge_text(name.data, name.len) || !judge_text(value.data, value.len)))
            *fault = QUERY_ENCODING;
        else if (name.len > 0)
            json_object_object_add(object, name.data,
                                   json_object_new_string_len(value.data, (int) value.len));
        buffer_free(&name);
        buffer_free(&value);
        at = end + 1;
    }
    return object;
}

static void encode(struct buffer *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        buffer_format(out, "%%%02X", (unsigned char) text[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_object *object = json_object_new_object();
    struct json_object *again = json_object_new_object();
    struct json_object *parsed, *expected;
    struct buffer encoded = {0};
    char *text = malloc(size);
    enum query_fault fault, expected_fault;
    const char *json;

    PROPERTY(text != NULL);
    memcpy(text, data, size);
    fault = query_parse(object, text, size);
    expected = judge(text, size, &expected_fault);
    PROPERTY(fault == expected_fault);
    PROPERTY(judge_object_of_texts(object));
    json = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
    parsed = judge_json(json, strlen(json));
    PROPERTY(json_object_equal(object, parsed));
    if (fault == QUERY_OK) {
        PROPERTY(json_object_equal(object, expected));
        json_object_object_foreach (object, name, value) {
            encode(&encoded, name, strlen(name));
            buffer_char(&encoded, '=');
            encode(&encoded, json_object_get_string(value),
                   (size_t) json_object_get_string_len(value));
            buffer_char(&encoded, '&');
        }
        PROPERTY(query_parse(again, encoded.data, encoded.len) == QUERY_OK);
        PROPERTY(json_object_equal(object, again));
    }
    json_object_put(object);
    json_object_put(again);
    json_object_put(parsed);
    json_object_put(expected);
    buffer_free(&encoded);
    free(text);
    return 0;
}

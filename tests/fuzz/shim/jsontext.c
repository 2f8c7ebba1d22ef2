/* JSON strings: any text comes back as it was written, and what is decoded is what json-c reads. */
#include "harness.h"

#include "jsontext.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* As it was written: with U+FFFD for each wrong byte, which a second time changes nothing. */
static void check_written(const char *text, size_t size) {
    struct buffer once = {0}, twice = {0};
    size_t len;

    buffer_json(&once, text, size);
    len = once.len;
    PROPERTY(json_text_decode(once.data, &len) && len + 2 <= once.len);
    PROPERTY(judge_text(once.data, len) || memchr(once.data, '\0', len) != NULL);
    once.len = len;
    buffer_json(&twice, once.data, once.len);
    len = twice.len;
    PROPERTY(json_text_decode(twice.data, &len));
    PROPERTY(len == once.len && memcmp(once.data, twice.data, len) == 0);
    buffer_free(&once);
    buffer_free(&twice);
}

static void check_any(const char *data, size_t size) {
    char *text = malloc(size + 1);
    struct json_object *string;
    size_t len = size;

    PROPERTY(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    string = judge_json(text, size);
    if (json_text_decode(text, &len))
        PROPERTY(len + 2 <= size);
    else
        len = SIZE_MAX;
    if (len != SIZE_MAX && json_object_is_type(string, json_type_string) && data[0] == '"' &&
        data[size - 1] == '"') {
        PROPERTY((size_t) json_object_get_string_len(string) == len);
        PROPERTY(memcmp(json_object_get_string(string), text, len) == 0);
    }
    json_object_put(string);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 2);

    PROPERTY(text != NULL);
    text[0] = '"';
    memcpy(text + 1, data, size);
    text[size + 1] = '"';
    check_written(text + 1, size);
    check_any(text + 1, size);
    check_any(text, size + 2);
    free(text);
    return 0;
}

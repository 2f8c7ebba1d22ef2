/* UTF-8: valid is what its code points say, and a JSON string made of any bytes is read as the text
 * with U+FFFD for each wrong byte. */
#include "harness.h"

#include "utf8.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size);
    struct buffer json = {0}, expected = {0};
    struct json_object *string;

    PROPERTY(text != NULL);
    memcpy(text, data, size);
    PROPERTY(utf8_text(text, size) == judge_text(text, size));
    for (size_t i = 0; i < size; i++) {
        uint32_t code_point;

        PROPERTY(utf8_step(text + i, size - i) == judge_character(text + i, size - i, &code_point));
    }
    buffer_reserve(&expected, size);
    for (size_t i = 0, step; i < size; i += step) {
        uint32_t code_point;

        step = judge_character(text + i, size - i, &code_point);
        if (step > 0)
            buffer_add(&expected, text + i, step);
        else
            buffer_text(&expected, "\xEF\xBF\xBD");
        step += step == 0;
    }
    buffer_json(&json, text, size);
    string = judge_json(json.data, json.len);
    PROPERTY(json_object_is_type(string, json_type_string));
    PROPERTY((size_t) json_object_get_string_len(string) == expected.len);
    PROPERTY(memcmp(json_object_get_string(string), expected.data, expected.len) == 0);
    for (size_t i = 0; i < json.len; i++)
        PROPERTY((unsigned char) json.data[i] >= ' ' && json.data[i] != 0x7F);
    json_object_put(string);
    buffer_free(&json);
    buffer_free(&expected);
    free(text);
    return 0;
}

#include "common.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void property_broken(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: property does not hold: %s\n", file, line, condition);
    abort();
}

static char *take(struct input *in, size_t len) {
    char *copy = malloc(len + 1);

    if (copy == NULL)
        abort();
    memcpy(copy, in->at, len);
    copy[len] = '\0';
    in->at += len;
    in->left -= len;
    return copy;
}

char *take_line(struct input *in, size_t *len) {
    const char *end = memchr(in->at, '\n', in->left);
    char *line;

    *len = end != NULL ? (size_t) (end - in->at) : in->left;
    line = take(in, *len);
    if (end != NULL) {
        in->at++;
        in->left--;
    }
    return line;
}

char *take_rest(struct input *in, size_t *len) {
    *len = in->left;
    return take(in, in->left);
}

size_t judge_character(const char *text, size_t len, uint32_t *code_point) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = len > 0 ? (unsigned char) text[0] : 0xFF;
    size_t size = first < 0x80 ? 1 : first < 0xC0 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;

    if (size == 0 || size > len || first > 0xF7)
        return 0;
    *code_point = size == 1 ? first : first & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        unsigned char next = (unsigned char) text[i];

        if (next < 0x80 || next > 0xBF)
            return 0;
        *code_point = *code_point << 6 | (next & 0x3F);
    }
    if (*code_point < least[size] || *code_point > 0x10FFFF ||
        (*code_point >= 0xD800 && *code_point <= 0xDFFF))
        return 0;
    return size;
}

bool judge_text(const char *text, size_t len) {
    uint32_t code_point;

    for (size_t i = 0, step; i < len; i += step) {
        step = judge_character(text + i, len - i, &code_point);
        if (step == 0 || code_point == 0)
            return false;
    }
    return true;
}

struct json_object *judge_json(const char *text, size_t len) {
    struct json_tokener *tokener = json_tokener_new_ex(200);
    struct json_object *json;
    bool whole;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json = json_tokener_parse_ex(tokener, text, (int) len + 1);
    whole = json_tokener_get_error(tokener) == json_tokener_success && strnlen(text, len) == len;
    json_tokener_free(tokener);
    if (whole && json != NULL)
        return json;
    json_object_put(json);
    return NULL;
}

bool judge_object_of_texts(struct json_object *object) {
    if (!json_object_is_type(object, json_type_object))
        return false;
    json_object_object_foreach (object, name, value) {
        if (!json_object_is_type(value, json_type_string) || name[0] == '\0' ||
            !judge_text(name, strlen(name)) ||
            !judge_text(json_object_get_string(value), (size_t) json_object_get_string_len(value)))
            return false;
    }
    return true;
}

bool judge_faults(const char *text, size_t len) {
    struct json_object *json = judge_json(text, len);
    bool any;

    PROPERTY(json_object_is_type(json, json_type_object));
    any = json_object_object_length(json) > 0;
    json_object_object_foreach (json, name, array) {
        PROPERTY(judge_text(name, strlen(name)));
        PROPERTY(json_object_is_type(array, json_type_array));
        PROPERTY(json_object_array_length(array) == 1);
        PROPERTY(json_object_is_type(json_object_array_get_idx(array, 0), json_type_string));
    }
    json_object_put(json);
    return any;
}

bool judge_visible(const char *text) {
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

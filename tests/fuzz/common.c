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

/* RFC 8259 by hand: json-c takes more than JSON, and its strict mode differs between versions. Each
 * gives what follows the part it reads, NULL where there is none. */
static const char *after_blanks(const char *p) {
    return p + strspn(p, " \t\r\n");
}

static const char *after_string(const char *p) {
    if (*p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char) *p < ' ')
            return NULL;
        if (*p != '\\')
            continue;
        if (*++p == 'u') {
            if (strspn(p + 1, "0123456789abcdefABCDEF") < 4)
                return NULL;
            p += 4;
        } else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
            return NULL;
        }
    }
    return p + 1;
}

static const char *after_number(const char *p) {
    static const char digits[] = "0123456789";
    size_t n;

    p += *p == '-';
    n = strspn(p, digits);
    if (n == 0 || (*p == '0' && n > 1))
        return NULL;
    p += n;
    if (*p == '.') {
        if ((n = strspn(++p, digits)) == 0)
            return NULL;
        p += n;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        if ((n = strspn(p, digits)) == 0)
            return NULL;
        p += n;
    }
    return p;
}

static const char *after_value(const char *p, unsigned depth) {
    static const char *const words[] = {"true", "false", "null"};
    char close = *p == '{' ? '}' : ']';

    if (*p == '"')
        return after_string(p);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    if (*p != '{' && *p != '[')
        return after_number(p);
    if (depth == 0)
        return NULL;
    p = after_blanks(p + 1);
    if (*p == close)
        return p + 1;
    for (;;) {
        if (close == '}') {
            p = after_string(p);
            if (p == NULL || *(p = after_blanks(p)) != ':')
                return NULL;
            p = after_blanks(p + 1);
        }
        p = after_value(p, depth - 1);
        if (p == NULL)
            return NULL;
        p = after_blanks(p);
        if (*p == close)
            return p + 1;
        if (*p != ',')
            return NULL;
        p = after_blanks(p + 1);
    }
}

struct json_object *judge_json(const char *text, size_t len) {
    const char *end = after_value(after_blanks(text), 30);

    if (end == NULL || after_blanks(end) != text + len || !judge_text(text, len))
        return NULL;
    return json_tokener_parse(text);
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

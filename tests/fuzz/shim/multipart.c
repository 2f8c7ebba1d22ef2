/* Multipart bodies, whose Content-Type is the first line: values stand in the body, and the fields
 * written as another body are read as the same. */
#include "harness.h"

#include "multipart.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *value_of(struct json_object *value, size_t *len) {
    *len = (size_t) json_object_get_string_len(value);
    return json_object_get_string(value);
}

/* False where the name, its quotes escaped, is longer than names may be. */
static bool write_part(struct buffer *out, const char *boundary, const char *name,
                       struct json_object *value) {
    const char *text;
    size_t len, start;

    buffer_format(out, "%s--%s\r\n", out->len > 0 ? "\r\n" : "", boundary);
    buffer_text(out, "content-disposition:form-data; filenames=\"a;\\\"\" ;\tNAME=\"");
    start = out->len;
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\')
            buffer_char(out, '\\');
        buffer_char(out, *name);
    }
    if (out->len - start >= 256)
        return false;
    buffer_text(out, "\"\r\nContent-Type: text/plain\r\n\r\n");
    text = value_of(value, &len);
    buffer_add(out, text, len);
    return true;
}

static void check_again(struct json_object *object) {
    struct json_object *again = json_object_new_object();
    struct buffer body = {0};
    char boundary[32], type[128], line[64];
    bool inside = true;

    for (unsigned n = 0; inside; n++) {
        snprintf(boundary, sizeof(boundary), "edge%u", n);
        snprintf(line, sizeof(line), "\r\n--%s", boundary);
        inside = false;
        json_object_object_foreach (object, name, value) {
            size_t len;
            const char *text = value_of(value, &len);

            (void) name;
            inside = inside || memmem(text, len, line, strlen(line)) != NULL ||
                     (len >= strlen(line) - 2 && strncmp(text, line + 2, strlen(line) - 2) == 0);
        }
    }
    snprintf(type, sizeof(type), "multipart/form-data; charset=\"x;boundary=y\"; Boundary=\"%s\"",
             boundary);
    json_object_object_foreach (object, name, value) {
        if (!write_part(&body, boundary, name, value))
            goto out;
    }
    buffer_format(&body, "\r\n--%s--", boundary);
    PROPERTY(multipart_parse(again, type, body.data, body.len) == MULTIPART_OK);
    PROPERTY(json_object_equal(object, again));
out:
    json_object_put(again);
    buffer_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    struct json_object *object = json_object_new_object();
    size_t type_len, len;
    char *type = take_line(&in, &type_len);
    char *rest = take_rest(&in, &len);
    char *body = malloc(len);
    enum multipart_fault fault;

    PROPERTY(body != NULL);
    memcpy(body, rest, len);
    free(rest);
    fault = multipart_parse(object, type, body, len);
    PROPERTY(judge_object_of_texts(object));
    json_object_object_foreach (object, name, value) {
        size_t value_len;
        const char *text = value_of(value, &value_len);

        (void) name;
        PROPERTY(memmem(body, len, text, value_len) != NULL);
    }
    if (fault == MULTIPART_OK && json_object_object_length(object) > 0)
        check_again(object);
    json_object_put(object);
    free(type);
    free(body);
    return 0;
}

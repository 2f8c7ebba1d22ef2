/* A whole request: "METHOD URI", header lines, an empty line, the body. What reaches the database
 * is sound (check_parameters), what reaches the client is JSON, and both are the same in whatever
 * pieces the body comes. */
#include "harness.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 32

static size_t read_headers(struct input *in, struct header *headers) {
    size_t count = 0;

    while (in->left > 0 && count < HEADERS_MAX) {
        size_t len;
        char *line = take_line(in, &len);
        char *colon = strchr(line, ':');
        char *value = colon != NULL ? colon + 1 : line + strlen(line);

        if (line[0] == '\0') {
            free(line);
            break;
        }
        if (colon != NULL)
            *colon = '\0';
        value += strspn(value, " \t");
        headers[count++] = (struct header){strdup(line), strdup(value)};
        free(line);
    }
    return count;
}

static void check_same(const struct answer *a, const struct answer *b) {
    PROPERTY(a->called == b->called);
    PROPERTY(a->status == b->status);
    for (unsigned i = 0; i < CALL_PARAMETERS; i++) {
        PROPERTY((a->parameters[i] == NULL) == (b->parameters[i] == NULL));
        PROPERTY(a->parameters[i] == NULL || strcmp(a->parameters[i], b->parameters[i]) == 0);
    }
}

/* A signed request that is let in is not with one field more. */
static void check_signed(const struct answer *a, const char *method, const char *uri,
                         struct header *headers, size_t count, const char *body, size_t len) {
    static const char more[] = "&\1more=1";
    char *longer;
    struct answer other;

    if (!a->called || a->parameters[P_ROUTE] == NULL ||
        strcmp(a->parameters[P_ROUTE], "signed") != 0)
        return;
    longer = malloc(len + sizeof(more));
    PROPERTY(longer != NULL);
    memcpy(longer, body, len);
    memcpy(longer + len, more, sizeof(more));
    harness_run(&other, method, uri, headers, count, longer, len + sizeof(more) - 1, len + 100);
    PROPERTY(!other.called);
    answer_free(&other);
    free(longer);
}

static void check_body(const struct answer *a) {
    struct json_object *json;

    if (a->status == 0 || a->len == 0)
        return;
    json = judge_json(a->body, a->len);
    PROPERTY(json_object_is_type(json, json_type_object));
    json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    struct header headers[HEADERS_MAX];
    size_t line_len, len;
    char *method = take_line(&in, &line_len);
    char *uri = strchr(method, ' ');
    size_t count = read_headers(&in, headers);
    char *body = take_rest(&in, &len);
    struct answer whole, bytes, some;

    if (uri != NULL) {
        char *end;

        *uri++ = '\0';
        end = strchr(uri, ' ');
        if (end != NULL)
            *end = '\0';
        harness_run(&whole, method, uri, headers, count, body, len, len + 1);
        check_body(&whole);
        check_signed(&whole, method, uri, headers, count, body, len);
        harness_run(&bytes, method, uri, headers, count, body, len, 1);
        harness_run(&some, method, uri, headers, count, body, len, len / 3 + 1);
        check_same(&whole, &bytes);
        check_same(&whole, &some);
        answer_free(&whole);
        answer_free(&bytes);
        answer_free(&some);
    }
    for (size_t i = 0; i < count; i++) {
        free(headers[i].name);
        free(headers[i].value);
    }
    free(method);
    free(body);
    return 0;
}

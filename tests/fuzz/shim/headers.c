/* Header fields, one a line: what is taken from them is what HTTP allows, and a request that can be
 * read in two ways is refused. */
#include "harness.h"

#include "headers.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 64

/* As libmicrohttpd hands them over: no NUL, no blanks around the value. */
static size_t read_lines(struct input *in, struct header *headers) {
    size_t count = 0;

    while (in->left > 0 && count < HEADERS_MAX) {
        size_t len;
        char *line = take_line(in, &len);
        char *colon = strchr(line, ':');
        char *value = colon != NULL ? colon + 1 : line + strlen(line);

        if (colon != NULL)
            *colon = '\0';
        while (*value == ' ' || *value == '\t')
            value++;
        headers[count++] = (struct header){strdup(line), strdup(value)};
        free(line);
    }
    return count;
}

static unsigned count_of(const struct header *headers, size_t count, const char *name,
                         const char **value) {
    unsigned found = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(headers[i].name, name) != 0)
            continue;
        *value = headers[i].value;
        found++;
    }
    return found;
}

static void check_sound(const struct request *r, const struct header *headers, size_t count) {
    static const char *const once[] = {"Host", "Origin", "Content-Type", "Authorization",
                                       "Transfer-Encoding"};
    const char *value = NULL;

    for (size_t i = 0; i < count; i++) {
        const char *name = headers[i].name;

        PROPERTY(judge_visible(name) && name[0] != '\0');
        PROPERTY(strpbrk(name, "\"(),/:;<=>?@[\\]{}") == NULL);
        for (value = headers[i].value; *value != '\0'; value++)
            PROPERTY(!iscntrl((unsigned char) *value) || *value == '\t');
        if (strcasecmp(name, "Content-Length") == 0) {
            PROPERTY(r->has_length && !r->chunked);
            value = headers[i].value;
            PROPERTY(*value != '\0' && strspn(value, "0123456789") == strlen(value));
            PROPERTY(strtoull(value, NULL, 10) == r->content_length);
        }
    }
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
        PROPERTY(count_of(headers, count, once[i], &value) <= 1);
    if (count_of(headers, count, "Transfer-Encoding", &value) == 1)
        PROPERTY(r->chunked && strcasecmp(value, "chunked") == 0);
    PROPERTY(r->has_length == (count_of(headers, count, "Content-Length", &value) > 0));
}

/* W3C Trace Context: version, trace, parent and flags, neither id all zeroes. */
static void check_trace(const char *trace) {
    static const int parts[] = {2, 32, 16, 2};

    if (trace == NULL)
        return;
    PROPERTY(strncmp(trace, "00-", 3) == 0);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        bool zero = true;

        for (int n = 0; n < parts[i]; n++, trace++) {
            PROPERTY(isdigit((unsigned char) *trace) || (*trace >= 'a' && *trace <= 'f'));
            zero = zero && *trace == '0';
        }
        PROPERTY(!zero || parts[i] == 2);
        PROPERTY(*trace++ == (i < 3 ? '-' : '\0'));
    }
}

static void check_token(const char *authorization) {
    const char *token = headers_token(authorization);
    const char *blank;

    if (token == NULL)
        return;
    blank = strchr(authorization, ' ');
    PROPERTY(blank != NULL && token == blank + 1);
    PROPERTY(strncasecmp(authorization, "Token ", 6) == 0 ||
             strncasecmp(authorization, "Bearer ", 7) == 0);
    PROPERTY(token[0] != '\0' && strlen(token) <= 128 && judge_visible(token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char id[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    struct input in = {(const char *) data, size};
    struct header headers[HEADERS_MAX];
    size_t count = read_lines(&in, headers);
    struct request *r = harness_request("/", headers, count);
    const char *value = NULL;

    headers_read(r);
    if (!r->malformed)
        check_sound(r, headers, count);
    PROPERTY(r->id[0] != '\0' && strlen(r->id) <= REQUEST_ID_MAX);
    PROPERTY(strspn(r->id, id) == strlen(r->id));
    if (count_of(headers, count, "X-Request-Id", &value) == 0)
        PROPERTY(strlen(r->id) == 32);
    check_token(r->authorization);
    check_trace(r->traceparent);
    harness_end(r);
    for (size_t i = 0; i < count; i++) {
        free(headers[i].name);
        free(headers[i].value);
    }
    return 0;
}

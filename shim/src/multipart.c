#include "multipart.h"

#include "memory.h"
#include "utf8.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PARTS_MAX        128
#define PART_HEADERS_MAX 2048
#define BOUNDARY_MAX     70 /* RFC 2046, 5.1.1 */
#define NAME_MAX_LEN     256

struct span {
    const char *at;
    size_t len;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s) {
    while (s.len > 0 && is_blank(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

/* Reads one `; name=value` parameter off the front of rest. The value keeps the escapes of a
 * quoted string. False at the end or where the syntax ends. */
static bool next_parameter(struct span *rest, struct span *name, struct span *value) {
    const char *p = rest->at;
    const char *end = rest->at + rest->len;
    const char *start;

    while (p < end && (is_blank(*p) || *p == ';'))
        p++;
    start = p;
    while (p < end && *p != '=' && *p != ';')
        p++;
    if (p == end || *p != '=' || p == start)
        return false;
    *name = trim((struct span){start, (size_t) (p - start)});
    p++;
    if (p < end && *p == '"') {
        start = ++p;
        while (p < end && *p != '"')
            p += *p == '\\' && p + 1 < end ? 2 : 1;
        if (p >= end)
            return false;
        *value = (struct span){start, (size_t) (p - start)};
        p++;
    } else {
        start = p;
        while (p < end && *p != ';')
            p++;
        *value = trim((struct span){start, (size_t) (p - start)});
    }
    *rest = (struct span){p, (size_t) (end - p)};
    return true;
}

static bool span_is(struct span s, const char *text) {
    return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

static bool find_boundary(const char *content_type, struct span *boundary) {
    const char *semicolon = strchr(content_type, ';');
    struct span rest, name;

    if (semicolon == NULL)
        return false;
    rest = (struct span){semicolon, strlen(semicolon)};
    while (next_parameter(&rest, &name, boundary))
        if (span_is(name, "boundary"))
            return boundary->len > 0 && boundary->len <= BOUNDARY_MAX;
    return false;
}

/* Browsers send `"` as %22 and line ends as %0D%0A, others a backslash before the character. */
static size_t unquote_name(char *out, struct span quoted) {
    size_t n = 0;

    for (size_t i = 0; i < quoted.len; i++) {
        char c = quoted.at[i];
        size_t left = quoted.len - i;

        if (c == '\\' && left > 1 && (quoted.at[i + 1] == '"' || quoted.at[i + 1] == '\\')) {
            c = quoted.at[++i];
        } else if (left > 2 && strncmp(quoted.at + i, "%22", 3) == 0) {
            c = '"';
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

struct part {
    char name[NAME_MAX_LEN];
    size_t name_len;
    bool named;
    bool file;
};

static bool read_disposition(struct part *part, struct span value) {
    const char *semicolon = memchr(value.at, ';', value.len);
    struct span rest, name, text;

    if (semicolon == NULL ||
        !span_is(trim((struct span){value.at, (size_t) (semicolon - value.at)}), "form-data"))
        return false;
    rest = (struct span){semicolon, value.len - (size_t) (semicolon - value.at)};
    while (next_parameter(&rest, &name, &text)) {
        if (span_is(name, "name")) {
            if (part->named || text.len >= NAME_MAX_LEN)
                return false;
            part->name_len = unquote_name(part->name, text);
            part->name[part->name_len] = '\0';
            part->named = true;
        } else if (span_is(name, "filename") || span_is(name, "filename*")) {
            part->file = true;
        }
    }
    return part->named;
}

static bool read_part_header(struct part *part, struct span line) {
    const char *colon = memchr(line.at, ':', line.len);
    struct span name, value;

    if (colon == NULL || colon == line.at)
        return false;
    name = (struct span){line.at, (size_t) (colon - line.at)};
    value = trim((struct span){colon + 1, line.len - name.len - 1});
    if (span_is(name, "Content-Disposition"))
        return read_disposition(part, value);
    if (span_is(name, "Content-Transfer-Encoding"))
        return span_is(value, "7bit") || span_is(value, "8bit") || span_is(value, "binary");
    return true;
}

/* Reads the header lines at *at, leaving *at behind the empty line. */
static bool read_part_headers(struct part *part, const char **at, const char *end) {
    const char *limit = (size_t) (end - *at) > PART_HEADERS_MAX ? *at + PART_HEADERS_MAX : end;

    *part = (struct part){.named = false};
    for (;;) {
        const char *eol = memmem(*at, (size_t) (limit - *at), "\r\n", 2);

        if (eol == NULL)
            return false;
        if (eol == *at) {
            *at += 2;
            return part->named;
        }
        if (!read_part_header(part, (struct span){*at, (size_t) (eol - *at)}))
            return false;
        *at = eol + 2;
    }
}

/* What follows a delimiter: 1 another part, 0 the end, -1 neither. */
static int after_delimiter(const char **at, const char *end) {
    if (end - *at >= 2 && memcmp(*at, "--", 2) == 0)
        return 0;
    while (*at < end && is_blank(**at))
        (*at)++;
    if (end - *at < 2 || memcmp(*at, "\r\n", 2) != 0)
        return -1;
    *at += 2;
    return 1;
}

enum multipart_fault multipart_parse(struct json_object *object, const char *content_type,
                                     const char *body, size_t len) {
    char delimiter[4 + BOUNDARY_MAX];
    const char *at = body;
    const char *end = body + len;
    struct span boundary;
    size_t size;
    int more;

    if (!find_boundary(content_type, &boundary))
        return MULTIPART_FORM;
    memcpy(delimiter, "\r\n--", 4);
    memcpy(delimiter + 4, boundary.at, boundary.len);
    size = boundary.len + 4;
    if (len >= 2 && memcmp(at, "\r\n", 2) == 0)
        at += 2;
    /* the first delimiter has no line end of its own before it */
    if ((size_t) (end - at) < size - 2 || memcmp(at, delimiter + 2, size - 2) != 0)
        return MULTIPART_FORM;
    at += size - 2;
    for (unsigned parts = 0; (more = after_delimiter(&at, end)) > 0; parts++) {
        struct part part;
        const char *next;

        if (parts >= PARTS_MAX || !read_part_headers(&part, &at, end))
            return MULTIPART_FORM;
        /* an empty part's delimiter shares the empty line's end */
        next = memmem(at - 2, (size_t) (end - at) + 2, delimiter, size);
        if (next == NULL)
            return MULTIPART_FORM;
        if (!part.file && part.name_len > 0) {
            size_t value_len = next > at ? (size_t) (next - at) : 0;

            if (!utf8_text(part.name, part.name_len) || !utf8_text(at, value_len))
                return MULTIPART_ENCODING;
            json_object_object_add(object, part.name,
                                   json_object_new_string_len(at, (int) value_len));
        }
        at = next + size;
    }
    return more == 0 ? MULTIPART_OK : MULTIPART_FORM;
}

#include "multipart.h"

#include "utf8.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PARTS_MAX        128
#define PART_HEADERS_MAX 2048
#define BLANKS_MAX       256
#define TEXTS_MAX        65536 /* of a form with a file */

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
            return boundary->len > 0 && boundary->len <= MULTIPART_BOUNDARY_MAX;
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

static bool read_disposition(struct part *part, struct span value) {
    const char *semicolon = memchr(value.at, ';', value.len);
    struct span rest, name, text;

    if (semicolon == NULL ||
        !span_is(trim((struct span){value.at, (size_t) (semicolon - value.at)}), "form-data"))
        return false;
    rest = (struct span){semicolon, value.len - (size_t) (semicolon - value.at)};
    while (next_parameter(&rest, &name, &text)) {
        if (span_is(name, "name")) {
            if (part->named || text.len >= MULTIPART_NAME_SIZE)
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

static enum multipart_fault add_text(struct json_object *object, const struct part *part,
                                     const char *text, size_t len) {
    if (part->name_len == 0)
        return MULTIPART_OK;
    if (!utf8_text(part->name, part->name_len) || !utf8_text(text, len))
        return MULTIPART_ENCODING;
    json_object_object_add(object, part->name, json_object_new_string_len(text, (int) len));
    return MULTIPART_OK;
}

/* What separates the parts, its line end first; its length, 0 where content_type names none. */
static size_t make_delimiter(char *delimiter, const char *content_type) {
    struct span boundary;

    if (!find_boundary(content_type, &boundary))
        return 0;
    memcpy(delimiter, "\r\n--", 4);
    memcpy(delimiter + 4, boundary.at, boundary.len);
    return boundary.len + 4;
}

enum multipart_fault multipart_parse(struct json_object *object, const char *content_type,
                                     const char *body, size_t len) {
    char delimiter[4 + MULTIPART_BOUNDARY_MAX];
    const char *at = body;
    const char *end = body + len;
    size_t size = make_delimiter(delimiter, content_type);
    enum multipart_fault fault = MULTIPART_OK;
    int more;

    if (size == 0)
        return MULTIPART_FORM;
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
        if (!part.file)
            fault = add_text(object, &part, at, next > at ? (size_t) (next - at) : 0);
        if (fault != MULTIPART_OK)
            return fault;
        at = next + size;
    }
    return more == 0 ? MULTIPART_OK : MULTIPART_FORM;
}

bool form_open(struct form *f, struct json_object *object, const char *content_type) {
    *f = (struct form){.object = object};
    f->delimiter_len = make_delimiter(f->delimiter, content_type);
    return f->delimiter_len > 0;
}

static void fail(struct form *f, enum multipart_fault fault) {
    f->fault = fault;
    f->state = FORM_END;
}

/* The first delimiter has no line end of its own before it. */
static bool read_start(struct form *f, const char **at, const char *end) {
    size_t size = f->delimiter_len - 2;
    const char *from = *at;

    if (end - from < 2)
        return false;
    if (memcmp(from, "\r\n", 2) == 0)
        from += 2;
    if ((size_t) (end - from) < size)
        return false;
    if (memcmp(from, f->delimiter + 2, size) != 0)
        fail(f, MULTIPART_FORM);
    else
        f->state = FORM_DELIMITED;
    *at = from + size;
    return true;
}

static bool read_after_delimiter(struct form *f, const char **at, const char *end) {
    const char *from = *at;

    switch (after_delimiter(&from, end)) {
    case 0:
        f->state = FORM_END;
        return true;
    case 1:
        *at = from;
        f->state = FORM_HEADERS;
        if (f->parts++ >= PARTS_MAX)
            fail(f, MULTIPART_FORM);
        return true;
    default:
        /* what came may be the beginning of one or the other */
        if (end - from < 2 && (from == end || *from == '\r' || (*from == '-' && from == *at)) &&
            end - *at < BLANKS_MAX)
            return false;
        fail(f, MULTIPART_FORM);
        return true;
    }
}

static bool read_headers(struct form *f, const char **at, const char *end) {
    const char *last = memmem(*at, (size_t) (end - *at), "\r\n\r\n", 4);

    if (last == NULL && end - *at < PART_HEADERS_MAX && !(end - *at >= 2 && **at == '\r'))
        return false;
    if (last == NULL || !read_part_headers(&f->part, at, end)) {
        fail(f, MULTIPART_FORM);
        return true;
    }
    /* an empty part's delimiter shares the empty line's end */
    *at -= 2;
    f->lead = 2;
    f->text.len = 0;
    f->is_file = f->part.file && !f->has_file;
    if (f->is_file) {
        f->has_file = true;
        memcpy(f->file, f->part.name, f->part.name_len + 1);
    }
    f->state = FORM_BODY;
    return true;
}

static void take_contents(struct form *f, const char *data, size_t len, struct buffer *file) {
    size_t lead = f->lead < len ? f->lead : len;

    f->lead -= lead;
    data += lead;
    len -= lead;
    if (f->is_file) {
        buffer_add(file, data, len);
    } else if (!f->part.file) {
        f->texts += len;
        if (f->texts > TEXTS_MAX)
            fail(f, MULTIPART_FORM);
        else
            buffer_add(&f->text, data, len);
    }
}

static bool read_contents(struct form *f, const char **at, const char *end, struct buffer *file) {
    const char *next = memmem(*at, (size_t) (end - *at), f->delimiter, f->delimiter_len);
    size_t len = (size_t) (end - *at);

    if (next == NULL) {
        /* what may be the beginning of a delimiter waits */
        if (len < f->delimiter_len)
            return false;
        len -= f->delimiter_len - 1;
        take_contents(f, *at, len, file);
        *at += len;
        return false;
    }
    take_contents(f, *at, (size_t) (next - *at), file);
    *at = next + f->delimiter_len;
    if (f->state == FORM_END)
        return true;
    f->state = FORM_DELIMITED;
    if (!f->part.file) {
        enum multipart_fault fault =
            add_text(f->object, &f->part, f->text.len > 0 ? f->text.data : "", f->text.len);

        if (fault != MULTIPART_OK)
            fail(f, fault);
    }
    return true;
}

static bool read_more(struct form *f, const char **at, const char *end, struct buffer *file) {
    switch (f->state) {
    case FORM_START:
        return read_start(f, at, end);
    case FORM_DELIMITED:
        return read_after_delimiter(f, at, end);
    case FORM_HEADERS:
        return read_headers(f, at, end);
    case FORM_BODY:
        return read_contents(f, at, end, file);
    case FORM_END:
        break;
    }
    return false;
}

void form_feed(struct form *f, const char *data, size_t len, struct buffer *file) {
    const char *at;

    if (f->state == FORM_END)
        return;
    buffer_add(&f->held, data, len);
    at = f->held.data;
    while (read_more(f, &at, f->held.data + f->held.len, file))
        ;
    f->held.len -= (size_t) (at - f->held.data);
    memmove(f->held.data, at, f->held.len);
}

enum multipart_fault form_fault(const struct form *f) {
    return f->state == FORM_END ? f->fault : MULTIPART_FORM;
}

void form_close(struct form *f) {
    buffer_free(&f->held);
    buffer_free(&f->text);
}

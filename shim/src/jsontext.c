#include "jsontext.h"

#include <stdint.h>
#include <string.h>

static bool read_hex(const char *p, const char *end, uint32_t *unit) {
    *unit = 0;
    if (end - p < 4)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        char c = p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned) (c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned) (c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned) (c - 'A') + 10
                                                : 16;

        if (digit > 15)
            return false;
        *unit = *unit << 4 | digit;
    }
    return true;
}

static size_t write_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char) (0xC0 | c >> 6);
        out[1] = (char) (0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char) (0xE0 | c >> 12);
        out[1] = (char) (0x80 | (c >> 6 & 0x3F));
        out[2] = (char) (0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char) (0xF0 | c >> 18);
    out[1] = (char) (0x80 | (c >> 12 & 0x3F));
    out[2] = (char) (0x80 | (c >> 6 & 0x3F));
    out[3] = (char) (0x80 | (c & 0x3F));
    return 4;
}

/* What stands after "\u", the second half of a pair included; NULL where it is no character. */
static const char *read_unicode(const char *p, const char *end, uint32_t *c) {
    uint32_t low;

    if (!read_hex(p, end, c))
        return NULL;
    p += 4;
    if (*c < 0xD800 || *c > 0xDFFF)
        return p;
    if (*c > 0xDBFF || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !read_hex(p + 2, end, &low) ||
        low < 0xDC00 || low > 0xDFFF)
        return NULL;
    *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    return p + 6;
}

bool json_text_decode(char *text, size_t *len) {
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *out = text;
    const char *end = text + *len - 1;

    if (*len < 2 || text[0] != '"' || *end != '"')
        return false;
    for (const char *p = text + 1; p < end;) {
        const char *backslash = memchr(p, '\\', (size_t) (end - p));
        size_t plain = (size_t) ((backslash != NULL ? backslash : end) - p);
        const char *escape;
        uint32_t c;

        memmove(out, p, plain);
        out += plain;
        p += plain;
        if (p == end)
            break;
        if (++p == end)
            return false;
        if (*p == 'u') {
            p = read_unicode(p + 1, end, &c);
            if (p == NULL)
                return false;
            out += write_utf8(out, c);
            continue;
        }
        escape = *p != '\0' ? strchr(escapes, *p) : NULL;
        if (escape == NULL)
            return false;
        *out++ = meant[escape - escapes];
        p++;
    }
    *len = (size_t) (out - text);
    return true;
}

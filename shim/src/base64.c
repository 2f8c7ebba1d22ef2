#include "base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buffer *out, const char *data, size_t len) {
    const unsigned char *in = (const unsigned char *) data;

    buffer_reserve(out, (len + 2) / 3 * 4);
    for (; len >= 3; in += 3, len -= 3) {
        const char four[4] = {digits[in[0] >> 2], digits[(in[0] & 3) << 4 | in[1] >> 4],
                              digits[(in[1] & 15) << 2 | in[2] >> 6], digits[in[2] & 63]};

        buffer_add(out, four, 4);
    }
    if (len > 0) {
        unsigned second = len > 1 ? in[1] : 0;
        const char four[4] = {digits[in[0] >> 2], digits[(in[0] & 3) << 4 | second >> 4],
                              len > 1 ? digits[(second & 15) << 2] : '=', '='};

        buffer_add(out, four, 4);
    }
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(char *text, size_t *len) {
    size_t size = *len;
    size_t padding = 0;
    char *out = text;
    unsigned bits = 0;
    unsigned held = 0;

    if (size % 4 != 0)
        return false;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < size - padding; i++) {
        int value = value_of(text[i]);

        if (value < 0)
            return false;
        held = held << 6 | (unsigned) value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *out++ = (char) (held >> bits & 0xff);
        }
    }
    *len = (size_t) (out - text);
    return true;
}

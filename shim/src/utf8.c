#include "utf8.h"

#include <stdint.h>
#include <string.h>

static bool utf8_tail(unsigned char c) {
    return (c & 0xC0) == 0x80;
}

size_t utf8_step(const char *text, size_t len) {
    const unsigned char *s = (const unsigned char *) text;
    unsigned char c;

    if (len == 0)
        return 0;
    c = s[0];
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (c < 0xE0)
        return len >= 2 && utf8_tail(s[1]) ? 2 : 0;
    if (c < 0xF0) {
        if (len < 3 || !utf8_tail(s[1]) || !utf8_tail(s[2]))
            return 0;
        /* over-long forms and surrogates */
        if ((c == 0xE0 && s[1] < 0xA0) || (c == 0xED && s[1] > 0x9F))
            return 0;
        return 3;
    }
    if (len < 4 || !utf8_tail(s[1]) || !utf8_tail(s[2]) || !utf8_tail(s[3]))
        return 0;
    if ((c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F))
        return 0;
    return 4;
}

bool utf8_text(const char *text, size_t len) {
    size_t i = 0;

    if (memchr(text, '\0', len) != NULL)
        return false;
    while (i < len) {
        uint64_t word;
        size_t step;

        if (len - i >= sizeof(word)) {
            memcpy(&word, text + i, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        step = utf8_step(text + i, len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

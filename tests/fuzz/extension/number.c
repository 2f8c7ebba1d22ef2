/* Whole numbers: accepted is an optional minus and digits, white space around them, that fit into
 * 64 bits. */
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = take_text(data, size);
    const char *at = text;
    bool negative, accepted, digits = false;
    __int128 number = 0;
    int64 value;
    size_t blank;

    if (text == NULL)
        return 0;
    accepted = parse_int64(text, &value);
    while ((blank = judge_blank(at)) > 0)
        at += blank;
    negative = *at == '-';
    at += negative;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (number < (__int128) 1 << 80)
            number = number * 10 + (*at - '0');
        digits = true;
    }
    if (negative)
        number = -number;
    while ((blank = judge_blank(at)) > 0)
        at += blank;
    PROPERTY(accepted ==
             (digits && *at == '\0' && number >= PG_INT64_MIN && number <= PG_INT64_MAX));
    PROPERTY(!accepted || value == (int64) number);
    if (accepted) {
        int64 again;

        PROPERTY(parse_int64(psprintf(INT64_FORMAT, value), &again) && again == value);
    }
    free_all();
    return 0;
}

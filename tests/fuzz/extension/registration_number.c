/* Registration numbers: the first line is a format, the second a number as people write it. */
#include "registration.c"

#include "harness.h"

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* A serial filled into a sound format is there again in the number's digits. */
static void check_serial(const char *pattern, int64 serial) {
    int width = count_digits(pattern);
    char *number = fill_serial(pattern, serial);
    char *digits = registration_digits(number);
    char *written = psprintf("%0*lld", width, (long long) serial);

    PROPERTY(strlen(number) <= NUMBER_MAX);
    PROPERTY(strspn(number, ALPHABET "-") == strlen(number));
    PROPERTY(digits != NULL && strlen(digits) >= strlen(written));
    PROPERTY(strcmp(digits + strlen(digits) - strlen(written), written) == 0);
}

static void check_format(const char *format) {
    char *pattern = palloc(strlen(format) + 1);
    char *to = pattern;
    int64 most = 10;
    volatile bool refused = true;

    if (registration_format_fault(format) != NULL)
        return;
    for (const char *at = format; *at; at++) {
        PROPERTY(strchr(ALPHABET "-#{", *at) != NULL);
        if (*at != '{') {
            *to++ = *at;
            continue;
        }
        PROPERTY(strncmp(at, "{MM}", 4) == 0 || strncmp(at, "{YY}", 4) == 0 ||
                 strncmp(at, "{CT}", 4) == 0);
        *to++ = '1';
        *to++ = '2';
        at += 3;
    }
    *to = '\0';
    for (int i = count_digits(pattern); i > 0; i--)
        most *= 10;
    check_serial(pattern, 1);
    check_serial(pattern, most / 10 - 1);
    check_serial(pattern, most - 1);
    if (!raises()) {
        fill_serial(pattern, most);
        refused = false;
    }
    PROPERTY(refused);
}

static void check_number(const char *number) {
    char *digits = registration_digits(number);
    char *copy = palloc(2 * strlen(number) + 1);
    char *to = copy;

    if (digits == NULL)
        return;
    PROPERTY(*digits != '\0' && strspn(digits, ALPHABET) == strlen(digits));
    PROPERTY(strcmp(registration_digits(digits), digits) == 0);
    for (const char *at = number; *at; at++) {
        *to++ = *at;
        *to++ = at[1] ? '-' : ' ';
    }
    *to = '\0';
    PROPERTY(strcmp(registration_digits(copy), digits) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = take_text(data, size);
    char *newline;

    if (text == NULL)
        return 0;
    newline = strchr(text, '\n');
    if (newline != NULL)
        check_number(newline + 1);
    check_format(pnstrdup(text, newline != NULL ? newline - text : strlen(text)));
    free_all();
    return 0;
}

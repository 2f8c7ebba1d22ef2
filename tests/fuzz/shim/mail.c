/* Messages of e-mail: a line of recipients, with commas between; a line of subject; the body. In
 * the first two 0x01 stands for LF. Whatever they are, the message has the headers that it should
 * have and no other, is ASCII in lines of a bounded length, and says what it was given. */
#include "harness.h"

#include "mail.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"Date",         "From",         "To",
                                    "Subject",      "Message-ID",   "Auto-Submitted",
                                    "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};

#define NAMES (sizeof(names) / sizeof(names[0]))

static void line_feeds(char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\x01')
            text[i] = '\n';
}

static void check_address(const char *text) {
    const char *at = strchr(text, '@');

    PROPERTY(judge_visible(text) && strlen(text) <= 254);
    PROPERTY(strpbrk(text, "<>()[],;:\\\"") == NULL);
    PROPERTY(at != NULL && at > text && at[1] != '\0' && strchr(at + 1, '@') == NULL);
}

/* The line at *text, which moves behind its CRLF. No other CR or LF, and nothing but ASCII. */
static size_t take_row(const char **text) {
    const char *end = strstr(*text, "\r\n");
    size_t len;

    PROPERTY(end != NULL);
    len = (size_t) (end - *text);
    for (size_t i = 0; i < len; i++)
        PROPERTY(((*text)[i] >= ' ' && (*text)[i] <= '~') || (*text)[i] == '\t');
    *text = end + 2;
    return len;
}

static int value_of(char c) {
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(all, c) : NULL;

    return at != NULL ? (int) (at - all) : -1;
}

/* Adds what an encoded word holds, and returns what follows it. */
static const char *decode_word(struct buffer *out, const char *word) {
    unsigned held = 0, bits = 0;
    size_t before = out->len;

    PROPERTY(strncmp(word, "=?UTF-8?B?", 10) == 0);
    for (word += 10; value_of(*word) >= 0; word++) {
        held = held << 6 | (unsigned) value_of(*word);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buffer_char(out, (char) (held >> bits & 0xff));
        }
    }
    word += strspn(word, "=");
    PROPERTY(strncmp(word, "?=", 2) == 0);
    PROPERTY(judge_text(out->data + before, out->len - before));
    return word + 2;
}

static void check_subject(const char *value, const char *subject) {
    struct buffer decoded = {0};

    buffer_reserve(&decoded, 0);
    decoded.data[0] = '\0';
    if (strncmp(value, "=?", 2) == 0) {
        value = decode_word(&decoded, value);
        while (strncmp(value, "\r\n ", 3) == 0)
            value = decode_word(&decoded, value + 3);
        PROPERTY(strncmp(value, "\r\n", 2) == 0);
    } else {
        PROPERTY(strstr(subject, "=?") == NULL);
        buffer_add(&decoded, value, strcspn(value, "\r"));
    }
    PROPERTY(strcmp(decoded.data, subject) == 0);
    buffer_free(&decoded);
}

/* The names in their order, and lines that only go on with one of them. Returns the body. */
static const char *check_headers(const char *text, const char *subject) {
    size_t name = 0;

    for (;;) {
        const char *row = text;
        size_t len = take_row(&text);

        if (len == 0)
            break;
        PROPERTY(len <= 260);
        if (row[0] == ' ')
            continue;
        PROPERTY(name < NAMES && strncmp(row, names[name], strlen(names[name])) == 0);
        row += strlen(names[name]);
        PROPERTY(strncmp(row, ": ", 2) == 0);
        if (strcmp(names[name], "Subject") == 0) {
            PROPERTY(len <= 76);
            check_subject(row + 2, subject);
        }
        name++;
    }
    PROPERTY(name == NAMES);
    return text;
}

static unsigned hex(char c) {
    PROPERTY((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return (unsigned) (c <= '9' ? c - '0' : c - 'A' + 10);
}

static void check_body(const char *text, const char *body) {
    struct buffer decoded = {0}, expected = {0};

    buffer_reserve(&decoded, 1);
    while (*text != '\0') {
        const char *row = text;
        size_t len = take_row(&text), i;

        PROPERTY(len <= 76 && (len == 0 || (row[0] != '.' && !strchr(" \t", row[len - 1]))));
        for (i = 0; i < len; i++) {
            if (row[i] != '=') {
                buffer_char(&decoded, row[i]);
            } else if (i + 1 < len) {
                PROPERTY(i + 2 < len);
                buffer_char(&decoded, (char) (hex(row[i + 1]) << 4 | hex(row[i + 2])));
                i += 2;
            }
        }
        if (len == 0 || row[len - 1] != '=')
            buffer_char(&decoded, '\n');
    }
    buffer_reserve(&expected, 1);
    for (; *body != '\0'; body++)
        if (*body != '\r')
            buffer_char(&expected, *body);
        else if (body[1] != '\n')
            buffer_char(&expected, '\n');
    if (expected.len > 0 && expected.data[expected.len - 1] != '\n')
        buffer_char(&expected, '\n');
    PROPERTY(decoded.len == expected.len);
    PROPERTY(decoded.len == 0 || memcmp(decoded.data, expected.data, decoded.len) == 0);
    buffer_free(&decoded);
    buffer_free(&expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {(const char *) data, size};
    size_t to_len, subject_len, len;
    char *to = take_line(&in, &to_len);
    char *subject = take_line(&in, &subject_len);
    char *body = take_rest(&in, &len);
    char *rest = to;
    struct buffer out = {0};
    struct mail m = {.from = "clinic@clinic.example",
                     .subject = subject,
                     .body = body,
                     .id = "d3b07384-d9a0-4c1b-8a52-3f1a5f6f8e21",
                     .at = (time_t) len * 86400000};
    const char *fault;

    line_feeds(to, to_len);
    line_feeds(subject, subject_len);
    while (rest != NULL && m.to_count < MAIL_RECIPIENTS)
        m.to[m.to_count++] = strsep(&rest, ",");
    fault = mail_write(&out, &m);
    if (fault != NULL) {
        PROPERTY(out.len == 0);
    } else {
        PROPERTY(strpbrk(subject, "\r\n") == NULL);
        PROPERTY(judge_text(subject, strlen(subject)) && judge_text(body, strlen(body)));
        for (size_t i = 0; i < m.to_count; i++)
            check_address(m.to[i]);
        PROPERTY(strlen(out.data) == out.len);
        check_body(check_headers(out.data, subject), body);
    }
    buffer_free(&out);
    free(to);
    free(subject);
    free(body);
    return 0;
}

#include "mail.h"

#include "base64.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

#define ADDRESS_MAX 254
#define LOCAL_MAX   64
#define SUBJECT_MAX 1000
#define BODY_MAX    262144

#define LINE_MAX_QP 76 /* RFC 2045, 6.7 */
#define SUBJECT_ROW 65 /* what "Subject: " leaves of such a line */
/* Bytes of text in an encoded word, in base64 four for three, so that one fits behind "Subject: "
 * in a line of 76 (RFC 2047, 2). */
#define WORD_BYTES 39

/* Words with single dots between them. */
static bool dotted(const char *text, size_t len, const char *characters) {
    for (size_t i = 0; i < len; i++) {
        if (strchr(characters, text[i]) == NULL)
            return false;
        if (text[i] == '.' && (i == 0 || i + 1 == len || text[i + 1] == '.'))
            return false;
    }
    return len > 0;
}

bool mail_address(const char *text) {
    size_t len = strlen(text);
    const char *at = strrchr(text, '@');

    if (at == NULL || len > ADDRESS_MAX || at - text > LOCAL_MAX)
        return false;
    return dotted(text, (size_t) (at - text), LETTERS DIGITS ".!#$%&'*+-/=?^_`{|}~") &&
           dotted(at + 1, strlen(at + 1), LETTERS DIGITS ".-");
}

const char *mail_domain(const char *address) {
    const char *at = strrchr(address, '@');

    return at != NULL ? at + 1 : "";
}

static const char *mail_fault(const struct mail *m) {
    if (!mail_address(m->from))
        return "the sender is no address of e-mail";
    if (m->to_count == 0 || m->to_count > MAIL_RECIPIENTS)
        return "it has no recipient, or more than 50";
    for (size_t i = 0; i < m->to_count; i++)
        if (!mail_address(m->to[i]))
            return "a recipient is no address of e-mail that the channel takes, which is ASCII only";
    if (strpbrk(m->subject, "\r\n") != NULL)
        return "the subject has more than one line";
    if (strlen(m->subject) > SUBJECT_MAX || !utf8_text(m->subject, strlen(m->subject)))
        return "the subject is longer than 1000 bytes, or not UTF-8";
    if (strlen(m->body) > BODY_MAX || !utf8_text(m->body, strlen(m->body)))
        return "the body is longer than 256 KiB, or not UTF-8";
    return NULL;
}

/* Locale and C library have no say in it. */
static void write_date(struct buffer *out, time_t at) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = {.tm_mday = 1};

    gmtime_r(&at, &tm);
    buffer_format(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
                  months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Whether a reader takes the text as it stands. */
static bool plain_subject(const char *text) {
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return len <= SUBJECT_ROW && strstr(text, "=?") == NULL &&
           (len == 0 || (text[0] != ' ' && text[len - 1] != ' '));
}

/* In encoded words where it has to be, each in a line of its own: between two of them the line's
 * end means nothing (RFC 2047, 6.2). No character is split. */
static void write_subject(struct buffer *out, const char *text) {
    size_t len = strlen(text);

    buffer_text(out, "Subject: ");
    if (plain_subject(text)) {
        buffer_text(out, text);
        len = 0;
    }
    while (len > 0) {
        size_t word = 0, step;

        while (word < len && word + (step = utf8_step(text + word, len - word)) <= WORD_BYTES)
            word += step;
        buffer_text(out, "=?UTF-8?B?");
        base64_encode(out, text, word);
        buffer_text(out, "?=");
        text += word;
        len -= word;
        if (len > 0)
            buffer_text(out, "\r\n ");
    }
    buffer_text(out, "\r\n");
}

/* Quoted-printable (RFC 2045, 6.7). A dot that begins a line is quoted too: relays have lost such.
 */
static void write_body(struct buffer *out, const char *text) {
    size_t column = 0;

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char) *text;
        bool blank = c == ' ' || c == '\t';
        bool last = text[1] == '\0' || text[1] == '\r' || text[1] == '\n';

        if (c == '\r' || c == '\n') {
            text += c == '\r' && text[1] == '\n';
            buffer_text(out, "\r\n");
            column = 0;
            continue;
        }
        if (column > LINE_MAX_QP - 4) {
            buffer_text(out, "=\r\n");
            column = 0;
        }
        if (blank ? !last : c > ' ' && c <= '~' && c != '=' && (c != '.' || column > 0)) {
            buffer_char(out, (char) c);
            column++;
        } else {
            buffer_format(out, "=%02X", c);
            column += 3;
        }
    }
    if (column > 0)
        buffer_text(out, "\r\n");
}

const char *mail_write(struct buffer *out, const struct mail *m) {
    const char *fault = mail_fault(m);

    if (fault != NULL)
        return fault;
    write_date(out, m->at);
    buffer_format(out, "From: %s\r\n", m->from);
    for (size_t i = 0; i < m->to_count; i++)
        buffer_format(out, "%s%s%s\r\n", i == 0 ? "To: " : " ", m->to[i],
                      i + 1 < m->to_count ? "," : "");
    write_subject(out, m->subject);
    buffer_format(out, "Message-ID: <%s@%s>\r\n", m->id, mail_domain(m->from));
    buffer_text(out, "Auto-Submitted: auto-generated\r\n"
                     "MIME-Version: 1.0\r\n"
                     "Content-Type: text/plain; charset=UTF-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n"
                     "\r\n");
    write_body(out, m->body);
    return NULL;
}

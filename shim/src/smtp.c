#include "smtp.h"

#include "list.h"
#include "log.h"
#include "loop.h"
#include "transfer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define REPLIES_MAX 65536
#define LINE_BYTES  512 /* of a reply, 4.5.3.1.5 */

struct smtp {
    struct transfer *transfer;
    struct loop_source connection, clock;
    int connection_fd, clock_fd; /* -1: none */
    enum smtp_step step;
    unsigned reply;
    const char *fault;

    struct buffer commands; /* from MAIL to DATA, a NUL behind each */
    const char *command;    /* the next one */
    struct buffer message;
    const char *out; /* what is left of what is being said */
    size_t out_len;

    char line[LINE_BYTES];
    size_t line_len;
    size_t received;
    bool taken;

    void (*done)(struct smtp *s, void *arg);
    void *arg;
};

/* --- libcurl's part -------------------------------------------------------------------------- */

static bool begins(const char *line, size_t len, const char *with) {
    return len >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

/* What follows AUTH, a line of base64, belongs to the same step. */
static void command_sent(struct smtp *s, const char *line, size_t len) {
    if (begins(line, len, "EHLO ") || begins(line, len, "HELO "))
        s->step = s->step < SMTP_STARTTLS ? SMTP_HELLO : SMTP_HELLO_TLS;
    else if (begins(line, len, "STARTTLS"))
        s->step = SMTP_STARTTLS;
    else if (begins(line, len, "AUTH "))
        s->step = SMTP_LOGIN;
    s->reply = 0;
}

/* The code of the last line of a reply, which has a blank behind it, or nothing; 0: of another one.
 */
static unsigned reply_code(const char *line, size_t len) {
    unsigned code = 0;

    for (size_t i = 0; i < 3; i++) {
        if (i >= len || line[i] < '0' || line[i] > '9')
            return 0;
        code = code * 10 + (unsigned) (line[i] - '0');
    }
    return len > 3 && line[3] == '-' ? 0 : code;
}

/* libcurl tells what the last reply was, but not what it answered. */
static int follow(CURL *easy, curl_infotype type, char *data, size_t len, void *arg) {
    struct smtp *s = arg;

    (void) easy;
    if (type == CURLINFO_HEADER_OUT)
        command_sent(s, data, len);
    else if (type == CURLINFO_HEADER_IN && reply_code(data, len) != 0)
        s->reply = reply_code(data, len);
    return 0;
}

/* --- the mail -------------------------------------------------------------------------------- */

static void quiet(struct smtp *s) {
    if (s->connection_fd >= 0)
        loop_drop(&s->connection, s->connection_fd);
    if (s->clock_fd >= 0) {
        loop_drop(&s->clock, s->clock_fd);
        close(s->clock_fd);
    }
    s->connection_fd = s->clock_fd = -1;
}

/* What was said may be gone then. */
static void finish(struct smtp *s, const char *fault) {
    s->fault = fault;
    quiet(s);
    s->done(s, s->arg);
}

static void say(struct smtp *s, enum smtp_step step, const char *text, size_t len) {
    s->step = step;
    s->reply = 0;
    s->out = text;
    s->out_len = len;
}

static void say_next_command(struct smtp *s) {
    const char *command = s->command;
    size_t len = strlen(command);

    s->command += len + 1;
    say(s,
        command == s->commands.data    ? SMTP_SENDER
        : begins(command, len, "DATA") ? SMTP_DATA
                                       : SMTP_RECIPIENT,
        command, len);
}

/* NULL, or why there is no use in going on. */
static const char *take_reply(struct smtp *s, unsigned code) {
    s->reply = code;
    if (code >= 400)
        return "the mail server refused it";
    if (s->out_len > 0 || (s->step == SMTP_DATA ? code != 354 : code / 100 != 2))
        return "the mail server's reply does not fit";
    if (s->step == SMTP_MESSAGE)
        s->taken = true;
    else if (s->step == SMTP_DATA)
        say(s, SMTP_MESSAGE, s->message.data, s->message.len);
    else
        say_next_command(s);
    return NULL;
}

static const char *take_bytes(struct smtp *s, const char *in, size_t len) {
    const char *fault = NULL;

    s->received += len;
    if (s->received > REPLIES_MAX)
        return "the mail server's replies are too long";
    for (size_t i = 0; fault == NULL && !s->taken && i < len; i++) {
        unsigned code;

        if (in[i] != '\n') {
            if (s->line_len < sizeof(s->line) && in[i] != '\r')
                s->line[s->line_len++] = in[i];
            continue;
        }
        code = reply_code(s->line, s->line_len);
        s->line_len = 0;
        if (code != 0)
            fault = take_reply(s, code);
    }
    return fault;
}

/* Both NULL and *waits: nothing can be received, or sent, now. */
static const char *receive(struct smtp *s, bool *waits) {
    char in[1024];
    size_t len = 0;
    CURLcode code = curl_easy_recv(transfer_easy(s->transfer), in, sizeof(in), &len);

    *waits = code == CURLE_AGAIN;
    if (*waits)
        return NULL;
    if (code != CURLE_OK || len == 0)
        return "the connection was lost";
    return take_bytes(s, in, len);
}

static const char *send_out(struct smtp *s) {
    while (s->out_len > 0) {
        size_t len = 0;
        CURLcode code = curl_easy_send(transfer_easy(s->transfer), s->out, s->out_len, &len);

        if (code == CURLE_AGAIN)
            return NULL;
        if (code != CURLE_OK)
            return "the connection was lost";
        s->out += len;
        s->out_len -= len;
    }
    return NULL;
}

static void on_connection(struct loop_source *source, uint32_t events) {
    struct smtp *s = list_item(source, struct smtp, connection);
    const char *fault = NULL;
    bool waits = false;

    (void) events;
    while (fault == NULL && !s->taken && !waits) {
        fault = send_out(s);
        if (fault == NULL)
            fault = receive(s, &waits);
    }
    if (fault == NULL && !s->taken) {
        loop_watch(&s->connection, s->connection_fd, s->out_len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
        return;
    }
    if (s->out_len == 0) {
        size_t len;

        /* A courtesy, whose reply is not waited for. */
        curl_easy_send(transfer_easy(s->transfer), "QUIT\r\n", 6, &len);
    }
    finish(s, fault);
}

static void on_connected(struct transfer *t, void *arg) {
    struct smtp *s = arg;
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (transfer_fault(t) != NULL) {
        finish(s, transfer_fault(t));
        return;
    }
    curl_easy_getinfo(transfer_easy(t), CURLINFO_ACTIVESOCKET, &fd);
    if (fd == CURL_SOCKET_BAD) {
        finish(s, "the connection was lost");
        return;
    }
    s->connection_fd = fd;
    say_next_command(s);
    on_connection(&s->connection, EPOLLOUT);
}

static void on_clock(struct loop_source *source, uint32_t events) {
    struct smtp *s = list_item(source, struct smtp, clock);

    (void) events;
    finish(s, "it took too long");
}

/* --- its beginning and end ------------------------------------------------------------------- */

static void start_clock(struct smtp *s, unsigned seconds) {
    struct itimerspec when = {.it_value.tv_sec = seconds};

    s->clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (s->clock_fd < 0 || timerfd_settime(s->clock_fd, 0, &when, NULL) != 0)
        log_fatal("a timer cannot be made");
    loop_watch(&s->clock, s->clock_fd, EPOLLIN);
}

static void write_commands(struct smtp *s, const struct smtp_order *o) {
    buffer_format(&s->commands, "MAIL FROM:<%s>\r\n%c", o->from, 0);
    for (size_t i = 0; i < o->to_count; i++)
        buffer_format(&s->commands, "RCPT TO:<%s>\r\n%c", o->to[i], 0);
    buffer_text(&s->commands, "DATA\r\n");
    s->command = s->commands.data;
    s->message = *o->message;
    *o->message = (struct buffer){0};
    buffer_text(&s->message, ".\r\n");
}

struct smtp *smtp_new(const struct smtp_order *o, unsigned seconds,
                      void (*done)(struct smtp *s, void *arg), void *arg) {
    struct smtp *s = memory_zero(1, sizeof(*s));
    CURL *easy;

    s->connection.ready = on_connection;
    s->clock.ready = on_clock;
    s->connection_fd = -1;
    s->done = done;
    s->arg = arg;
    write_commands(s, o);
    start_clock(s, seconds);
    s->transfer = transfer_new(NULL, o->url);
    easy = transfer_easy(s->transfer);
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     (long) (o->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (o->user[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_USERNAME, o->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, o->password);
    }
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, follow);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, (void *) s);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    transfer_connect(s->transfer, seconds, on_connected, s);
    return s;
}

void smtp_free(struct smtp *s) {
    if (s == NULL)
        return;
    quiet(s);
    transfer_free(s->transfer);
    buffer_free(&s->commands);
    buffer_free(&s->message);
    free(s);
}

const char *smtp_fault(const struct smtp *s) {
    return s->fault;
}

enum smtp_step smtp_step(const struct smtp *s) {
    return s->step;
}

unsigned smtp_reply(const struct smtp *s) {
    return s->reply;
}

bool smtp_insecure(const struct smtp *s) {
    return transfer_insecure(s->transfer);
}

bool smtp_said_all(const struct smtp *s) {
    return s->step == SMTP_MESSAGE && s->out_len == 0;
}

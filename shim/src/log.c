#include "log.h"

#include "clock.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_HELD_MAX (1024 * 1024)

static struct {
    enum log_level level;
    const char *file;
    int fd;
    enum { LOG_TO_FILE, LOG_TO_PIPE, LOG_TO_SOCKET } target;
    struct buffer held;
    size_t written; /* of held */
    uint64_t dropped;
} logger = {.file = "", .fd = STDERR_FILENO};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static void find_target(void) {
    struct stat st;

    logger.target = LOG_TO_PIPE;
    if (fstat(logger.fd, &st) == 0) {
        if (S_ISREG(st.st_mode))
            logger.target = LOG_TO_FILE;
        else if (S_ISSOCK(st.st_mode))
            logger.target = LOG_TO_SOCKET;
    }
}

static int open_file(void) {
    return open(logger.file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

bool log_open(enum log_level level, const char *file) {
    logger.level = level;
    logger.file = file;
    logger.fd = file[0] != '\0' ? open_file() : STDERR_FILENO;
    if (logger.fd < 0)
        return false;
    find_target();
    return true;
}

void log_reopen(void) {
    int fd;

    if (logger.file[0] == '\0')
        return;
    log_flush();
    fd = open_file();
    if (fd < 0) {
        log_event(LOG_ERROR, "CLINICQ_LOG_FILE cannot be opened again: %s", strerror(errno));
        return;
    }
    close(logger.fd);
    logger.fd = fd;
    find_target();
}

bool log_wants(enum log_level level) {
    return level >= logger.level;
}

/* ".042". Formatting would be most of what a line costs. */
static void log_thousandths(struct buffer *b, unsigned n) {
    char digits[4] = {'.', (char) ('0' + n / 100 % 10), (char) ('0' + n / 10 % 10),
                      (char) ('0' + n % 10)};

    buffer_add(b, digits, sizeof(digits));
}

static void log_time(struct buffer *b) {
    static time_t second;
    static char text[32];
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (ts.tv_sec != second) {
        struct tm tm;

        second = ts.tv_sec;
        gmtime_r(&second, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    }
    buffer_text(b, "{\"time\":\"");
    buffer_text(b, text);
    log_thousandths(b, (unsigned) (ts.tv_nsec / 1000000));
    buffer_text(b, "Z\"");
}

/* False when the line must be dropped. */
static bool log_begin(enum log_level level) {
    struct buffer *b = &logger.held;

    if (b->len - logger.written > LOG_HELD_MAX) {
        logger.dropped++;
        return false;
    }
    log_time(b);
    buffer_text(b, ",\"level\":\"");
    buffer_text(b, level_names[level]);
    buffer_char(b, '"');
    return true;
}

static void log_field(const char *name, const char *value) {
    buffer_text(&logger.held, ",\"");
    buffer_text(&logger.held, name);
    buffer_text(&logger.held, "\":");
    buffer_json(&logger.held, value, strlen(value));
}

__attribute__((format(printf, 3, 0))) static void
log_message(enum log_level level, const char *request_id, const char *format, va_list args) {
    char text[1024];

    if (!log_wants(level) || !log_begin(level))
        return;
    vsnprintf(text, sizeof(text), format, args);
    for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n';)
        text[--n] = '\0';
    log_field("msg", text);
    if (request_id != NULL)
        log_field("request_id", request_id);
    buffer_text(&logger.held, "}\n");
}

void log_event(enum log_level level, const char *format, ...) {
    va_list args;

    va_start(args, format);
    log_message(level, NULL, format, args);
    va_end(args);
}

void log_request(enum log_level level, const char *request_id, const char *format, ...) {
    va_list args;

    va_start(args, format);
    log_message(level, request_id, format, args);
    va_end(args);
}

void log_access(const struct log_access *a) {
    struct buffer *b = &logger.held;

    if (!log_wants(LOG_INFO) || !log_begin(LOG_INFO))
        return;
    buffer_text(b, ",\"msg\":\"request\"");
    log_field("request_id", a->request_id);
    log_field("method", a->method);
    log_field("route", a->route);
    buffer_text(b, ",\"status\":");
    buffer_number(b, a->status);
    buffer_text(b, ",\"duration_ms\":");
    buffer_number(b, (uint64_t) a->duration_us / 1000);
    log_thousandths(b, (unsigned) (a->duration_us % 1000));
    buffer_text(b, ",\"actor\":");
    if (a->actor != NULL)
        buffer_json(b, a->actor, strlen(a->actor));
    else
        buffer_text(b, "null");
    buffer_text(b, ",\"bytes\":");
    buffer_number(b, a->bytes);
    if (a->backend != 0) {
        buffer_text(b, ",\"backend\":");
        buffer_number(b, (uint64_t) a->backend);
    }
    if (a->traceparent != NULL)
        log_field("traceparent", a->traceparent);
    buffer_text(b, "}\n");
}

static ssize_t log_write(const char *data, size_t len) {
    struct pollfd p = {.fd = logger.fd, .events = POLLOUT};

    switch (logger.target) {
    case LOG_TO_FILE:
        return write(logger.fd, data, len);
    case LOG_TO_SOCKET:
        return send(logger.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case LOG_TO_PIPE:
        /* a pipe that is ready takes PIPE_BUF bytes without blocking */
        if (poll(&p, 1, 0) <= 0 || (p.revents & POLLOUT) == 0) {
            errno = (p.revents & (POLLERR | POLLNVAL)) != 0 ? EPIPE : EAGAIN;
            return -1;
        }
        return write(logger.fd, data, len < PIPE_BUF ? len : PIPE_BUF);
    }
    return -1;
}

/* A line that stands there in part is ended, so that the next one is whole. */
static void drop_held(void) {
    struct buffer *b = &logger.held;
    bool torn = logger.written > 0 && b->data[logger.written - 1] != '\n';

    for (size_t i = logger.written; i < b->len; i++)
        logger.dropped += b->data[i] == '\n';
    b->len = logger.written = 0;
    if (torn)
        buffer_char(b, '\n');
}

static bool report_dropped(void) {
    if (logger.dropped == 0 || !log_begin(LOG_WARNING))
        return false;
    buffer_format(&logger.held, ",\"msg\":\"log lines dropped\",\"count\":%llu}\n",
                  (unsigned long long) logger.dropped);
    logger.dropped = 0;
    return true;
}

bool log_flush(void) {
    struct buffer *b = &logger.held;

    while (logger.written < b->len) {
        ssize_t n = log_write(b->data + logger.written, b->len - logger.written);

        if (n > 0) {
            logger.written += (size_t) n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            if (logger.written > LOG_HELD_MAX) {
                memmove(b->data, b->data + logger.written, b->len - logger.written);
                b->len -= logger.written;
                logger.written = 0;
            }
            return true;
        } else {
            drop_held(); /* a full disk, a closed pipe: nothing here can help */
            return report_dropped();
        }
    }
    b->len = logger.written = 0;
    return report_dropped();
}

void log_close(void) {
    log_flush();
    log_flush();
    buffer_free(&logger.held);
    if (logger.fd != STDERR_FILENO)
        close(logger.fd);
    logger.fd = STDERR_FILENO;
}

_Noreturn void log_fatal(const char *message) {
    log_flush();
    dprintf(logger.fd, "{\"level\":\"error\",\"msg\":\"%s\"}\n", message);
    abort();
}

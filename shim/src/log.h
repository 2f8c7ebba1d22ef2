/* JSON lines on stderr or in a file. Lines are collected and written once a loop turn; when nobody
 * reads stderr they are dropped and counted, the service goes on. */
#ifndef CLINICQ_LOG_H
#define CLINICQ_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* What an access line holds: never the path, the query, a token or a name. */
struct log_access {
    const char *request_id;
    const char *method;
    const char *route;
    const char *actor;
    const char *traceparent; /* NULL: none */
    int backend;             /* process of the database that worked on it, 0: none */
    unsigned status;
    int64_t duration_us;
    size_t bytes;
};

/* To stderr where file is ""; false with errno when it cannot be written. */
bool log_open(enum log_level level, const char *file);
/* Opens the file by its name again; goes on with the old one if that fails. */
void log_reopen(void);
bool log_wants(enum log_level level);
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As log_event, with the id of the request it belongs to. */
void log_request(enum log_level level, const char *request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_access(const struct log_access *a);
/* Writes what can be written without waiting. True when lines are still held back. */
bool log_flush(void);
void log_close(void);
_Noreturn void log_fatal(const char *message);

#endif

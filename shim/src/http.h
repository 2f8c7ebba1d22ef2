/* The libmicrohttpd daemon of the API, driven from our loop. */
#ifndef CLINICQ_HTTP_H
#define CLINICQ_HTTP_H

#include "loop.h"

#include <microhttpd.h>
#include <stdbool.h>

/* A daemon in external epoll mode; the admin port has one too. */
struct http_daemon {
    struct loop_source source;
    struct MHD_Daemon *mhd;
    bool pending; /* MHD_run has something to do */
};

struct config;

/* Opens a listening socket, or prints why not and ends the process with 1. */
int http_listen(const char *address, unsigned port);
void http_watch(struct http_daemon *d);
/* Runs the daemon if there is reason to. */
void http_daemon_run(struct http_daemon *d);
/* True when http_daemon_run() must be called without waiting. */
bool http_daemon_pending(struct http_daemon *d);
void http_library_log(void *arg, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

void http_open(const struct config *c);
void http_run(void);
bool http_pending(void);
/* Lets a suspended connection go on, in this turn of the loop. */
void http_resume(struct MHD_Connection *connection);
/* Accepts nobody any more. */
void http_quiesce(void);
void http_close(void);

#endif

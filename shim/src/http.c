#include "http.h"

#include "client.h"
#include "config.h"
#include "log.h"
#include "request.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct http_daemon api;

int http_listen(const char *address, unsigned port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port)};
    bool is_v6 = strchr(address, ':') != NULL;
    const struct sockaddr *sa = is_v6 ? (const void *) &v6 : (const void *) &v4;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;

    if (is_v6)
        inet_pton(AF_INET6, address, &v6.sin6_addr);
    else
        inet_pton(AF_INET, address, &v4.sin_addr);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, sa, is_v6 ? sizeof(v6) : sizeof(v4)) != 0 || listen(fd, SOMAXCONN) != 0) {
        fprintf(stderr, "clinicq-shim: cannot listen on %s port %u: %s\n", address, port,
                strerror(errno));
        exit(1);
    }
    return fd;
}

static void daemon_ready(struct loop_source *source, uint32_t events) {
    (void) events;
    ((struct http_daemon *) (void *) source)->pending = true;
}

void http_watch(struct http_daemon *d) {
    const union MHD_DaemonInfo *info;

    if (d->mhd == NULL)
        log_fatal("libmicrohttpd did not start");
    info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    d->source.ready = daemon_ready;
    d->pending = true;
    loop_watch(&d->source, info->epoll_fd, EPOLLIN);
}

void http_daemon_run(struct http_daemon *d) {
    if (d->mhd == NULL || !http_daemon_pending(d))
        return;
    d->pending = false;
    MHD_run(d->mhd);
}

bool http_daemon_pending(struct http_daemon *d) {
    MHD_UNSIGNED_LONG_LONG wait;

    /* a connection of the API has no time-out of the library; one of the admin port is looked at
     * when something else happens */
    return d->mhd != NULL &&
           (d->pending || (MHD_get_timeout(d->mhd, &wait) == MHD_YES && wait == 0));
}

void http_library_log(void *arg, const char *format, va_list args) {
    char line[512];

    (void) arg;
    if (!log_wants(LOG_DEBUG))
        return;
    vsnprintf(line, sizeof(line), format, args);
    log_event(LOG_DEBUG, "libmicrohttpd: %s", line);
}

static struct client *client_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

static void end_request(struct client *client) {
    struct request *r = client->request;

    client->request = NULL;
    if (r != NULL)
        request_free(r);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    (void) arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

        *context = client_new(
            fd,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    } else {
        struct client *client = *context;

        end_request(client);
        client_free(client);
        *context = NULL;
    }
}

/* Called with the raw request line's URI before anything is decoded. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection) {
    struct client *client = client_of(connection);
    struct request *r;

    end_request(client);
    r = client->request = request_begin(client, connection, uri);
    (void) arg;
    /* libmicrohttpd 0.9.75 runs out of memory over the arguments and never sends its 431 */
    if (request_too_long(r))
        client_refuse(client);
    return r;
}

static size_t keep_escapes(void *arg, struct MHD_Connection *connection, char *text) {
    (void) arg;
    (void) connection;
    return strlen(text);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context) {
    struct request *r = *context;
    size_t len = *size;

    (void) arg;
    (void) connection;
    (void) url;
    if (r->stage == STAGE_HEADERS)
        return request_headers(r, method, version);
    if (len > 0) {
        *size = 0;
        return request_body(r, data, len);
    }
    return request_complete(r);
}

/* libmicrohttpd 0.9.75 does not call this for a connection that ends while it looks for a place for
 * the arguments, so on_connection() ends the request too. */
static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code) {
    struct client *client = client_of(connection);

    (void) arg;
    (void) code;
    *context = NULL;
    end_request(client);
    client_phase(client, CLIENT_IDLE);
}

void http_open(const struct config *c) {
    const struct MHD_OptionItem without[] = {{MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem with_tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *) (uintptr_t) tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) (uintptr_t) TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL}};
    bool tls = c->tls_certificate[0] != '\0';
    int fd = http_listen(c->address, c->port);

    api.mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0), 0,
        NULL, NULL, on_request, NULL, MHD_OPTION_EXTERNAL_LOGGER, http_library_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        c->max_connections + c->streams + 2 * CLIENT_RESERVE_SIZE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) c->header_limit + REPLY_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
#if MHD_VERSION >= 0x00097701
        /* the strictest: in 1.0.1, 3 differs only by taking a blank before a chunk's extension */
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 2,
#endif
        MHD_OPTION_ARRAY, tls ? with_tls : without, MHD_OPTION_END);
    http_watch(&api);
}

void http_run(void) {
    http_daemon_run(&api);
}

bool http_pending(void) {
    return http_daemon_pending(&api);
}

void http_resume(struct MHD_Connection *connection) {
    MHD_resume_connection(connection);
    api.pending = true;
}

/* Somebody has connected whom the library has not taken yet. */
static bool someone_waits(void) {
    struct pollfd p = {
        .fd = MHD_get_daemon_info(api.mhd, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd,
        .events = POLLIN,
    };

    return poll(&p, 1, 0) == 1;
}

void http_quiesce(void) {
    MHD_socket fd;

    /* they are served as well: closing the socket would cut them off unheard */
    for (unsigned turn = 0; turn < SOMAXCONN && someone_waits(); turn++)
        MHD_run(api.mhd);
    fd = MHD_quiesce_daemon(api.mhd);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    api.pending = true;
}

void http_close(void) {
    MHD_stop_daemon(api.mhd);
    api.mhd = NULL;
}

#include "admin.h"

#include "config.h"
#include "http.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

static struct http_daemon admin;
static const char *(*admin_not_ready)(void);
static void (*admin_write)(struct buffer *out);

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct buffer *body) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result queued;

    if (response == NULL)
        log_fatal("out of memory");
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; frame-ancestors 'none'");
    if (status == 405)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (status == 503)
        MHD_add_response_header(response, "Retry-After", "1");
    queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context) {
    struct buffer body = {0};
    const char *json = "application/json";
    const char *reason;

    (void) arg;
    (void) version;
    (void) data;
    if (*context == NULL) {
        *context = &admin; /* answer at the end, which keeps the connection */
        return MHD_YES;
    }
    if (*size > 0)
        return MHD_NO;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        buffer_text(&body, "{\"detail\":\"Only GET is possible here.\"}");
        return answer(connection, 405, json, &body);
    }
    if (strcmp(url, "/metrics") == 0) {
        admin_write(&body);
        return answer(connection, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    }
    if (strcmp(url, "/live") == 0) {
        buffer_text(&body, "{\"status\":\"ok\"}");
        return answer(connection, 200, json, &body);
    }
    if (strcmp(url, "/ready") == 0) {
        reason = admin_not_ready();
        buffer_format(&body, "{\"status\":\"%s\"}", reason != NULL ? reason : "ok");
        return answer(connection, reason != NULL ? 503 : 200, json, &body);
    }
    buffer_text(&body, "{\"detail\":\"There are /live, /ready and /metrics.\"}");
    return answer(connection, 404, json, &body);
}

void admin_open(const struct config *c, const char *(*not_ready)(void),
                void (*write)(struct buffer *out)) {
    int fd;

    admin_not_ready = not_ready;
    admin_write = write;
    if (c->metrics_port == 0)
        return;
    fd = http_listen(c->metrics_address, c->metrics_port);
    admin.mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, NULL,
                                 MHD_OPTION_EXTERNAL_LOGGER, http_library_log, NULL,
                                 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, 64U,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 10U,
                                 MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    http_watch(&admin);
}

void admin_run(void) {
    http_daemon_run(&admin);
}

bool admin_pending(void) {
    return http_daemon_pending(&admin);
}

void admin_close(void) {
    if (admin.mhd != NULL)
        MHD_stop_daemon(admin.mhd);
    admin.mhd = NULL;
}

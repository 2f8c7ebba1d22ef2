#include "serve.h"

#include "admin.h"
#include "call.h"
#include "catalogue.h"
#include "client.h"
#include "clock.h"
#include "config.h"
#include "cookie.h"
#include "cors.h"
#include "events.h"
#include "feed.h"
#include "gauges.h"
#include "host.h"
#include "http.h"
#include "limit.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "pool.h"
#include "proxy.h"
#include "reply.h"
#include "request.h"
#include "signature.h"
#include "tls.h"
#include "upload.h"

#include <stddef.h>
#include <sys/resource.h>

static const struct config *config;

/* Client connections need descriptors; the soft limit is often 1024. */
static void raise_descriptor_limit(const struct config *c) {
    rlim_t need = (rlim_t) c->max_connections + c->streams + c->read_connections +
                  c->write_connections + c->slow_connections + 128 + 2 * CLIENT_RESERVE_SIZE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < need) {
        limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < need)
        log_event(LOG_WARNING,
                  "CLINICQ_MAX_CONNECTIONS: the limit of open files (%llu) allows fewer",
                  (unsigned long long) limit.rlim_cur);
}

static const char *not_ready(void) {
    if (loop_draining())
        return "draining";
    for (unsigned i = 0; i < CALL_CLASSES; i++)
        if (!pool_ready((enum call_class) i))
            return "no database connection";
    return catalogue_current() == NULL ? "no catalogue" : NULL;
}

static void turn(int64_t now) {
    pool_tick(now);
    client_tick(now);
    catalogue_tick(now);
    gauges_tick(now);
    feed_tick(now);
    events_tick(now);
    http_run();
    admin_run();
    pool_dispatch();
}

static int64_t next(void) {
    int64_t at;

    if (http_pending() || admin_pending())
        return 0;
    at = loop_earlier(pool_next(), client_next());
    at = loop_earlier(at, catalogue_next());
    at = loop_earlier(at, gauges_next());
    at = loop_earlier(at, feed_next());
    return loop_earlier(at, events_next());
}

static void reload(void) {
    const char *fault = NULL;

    if (config->tls_certificate[0] != '\0')
        fault = tls_load(config->tls_certificate, config->tls_key);
    signature_open(config);
    if (fault != NULL)
        log_event(LOG_ERROR, "SIGHUP: %s; the certificate of before stays", fault);
    else
        log_event(LOG_INFO, "SIGHUP: log file and certificate were opened again");
}

static void drain(void) {
    http_quiesce();
    client_drain();
    events_end_all();
}

static bool drained(void) {
    return client_count() == 0;
}

static void open_all(const struct config *c) {
    raise_descriptor_limit(c);
    loop_open();
    clients_open(c);
    request_open(c);
    host_open(c->allowed_hosts);
    cors_open(c->cors_origins);
    proxy_open(c->trusted_proxies);
    limit_open(c);
    cookie_open(c);
    call_open(c);
    signature_open(c);
    reply_open(c);
    upload_open(c);
    pool_open(c, NULL, NULL);
    catalogue_open();
    gauges_open();
    events_open(c);
    feed_open(c);
    http_open(c);
    admin_open(c, not_ready, metrics_write);
}

static void close_all(void) {
    /* what still waits is answered, then sent as far as the sockets take it */
    pool_close();
    events_end_all();
    for (unsigned i = 0; i < 3; i++)
        http_run();
    if (client_count() > 0)
        log_event(LOG_WARNING, "%u client connections were cut", client_count());
    http_close();
    admin_close();
    loop_close();
    catalogue_close();
    gauges_close();
    feed_close();
    metrics_close();
    request_close();
    call_close();
    signature_close();
    cors_close();
    host_close();
    proxy_close();
    limit_close();
}

void serve(const struct config *c) {
    static const struct loop_service service = {turn, next, reload, drain, drained};

    config = c;
    open_all(c);
    log_event(LOG_INFO, "clinicq-shim %s listens on %s port %u", CLINICQ_VERSION, c->address,
              c->port);
    loop_run(&service, c->drain_timeout_ms);
    close_all();
}

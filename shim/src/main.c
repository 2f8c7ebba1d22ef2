#include "admin.h"
#include "call.h"
#include "catalogue.h"
#include "gauges.h"
#include "check.h"
#include "client.h"
#include "config.h"
#include "cookie.h"
#include "cors.h"
#include "events.h"
#include "feed.h"
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
#include "tls.h"
#include "upload.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <stdlib.h>
#include <time.h>

#define LARGE (256 * 1024)

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

int main(int argc, char **argv) {
    struct config config;

    config_load(&config, argc, argv);
    if (config.check || config.production != 0) {
        bool fit = config.check ? check_table(&config) : check_start(&config);

        if (config.check || !fit) {
            tls_close();
            config_free(&config);
            return fit ? 0 : 1;
        }
    }
    if (!log_open((enum log_level) config.log_level, config.log_file)) {
        fprintf(stderr, "clinicq-shim: CLINICQ_LOG_FILE: \"%s\" cannot be written: %s\n",
                config.log_file, strerror(errno));
        tls_close();
        config_free(&config);
        return 2;
    }
    /* large replies go back to the system, instead of leaving holes among what stays */
    mallopt(M_MMAP_THRESHOLD, LARGE);
    srandom((unsigned) (getpid() ^ time(NULL)));
    raise_descriptor_limit(&config);
    loop_open();
    clients_open(&config);
    request_open(&config);
    host_open(config.allowed_hosts);
    cors_open(config.cors_origins);
    proxy_open(config.trusted_proxies);
    limit_open(&config);
    cookie_open(&config);
    call_open(&config);
    reply_open(&config);
    upload_open(&config);
    pool_open(&config);
    catalogue_open();
    gauges_open();
    events_open(&config);
    feed_open(&config);
    http_open(&config);
    admin_open(&config);
    log_event(LOG_INFO, "clinicq-shim %s listens on %s port %u", CLINICQ_VERSION, config.address,
              config.port);

    loop_run(&config);

    loop_close();
    catalogue_close();
    gauges_close();
    feed_close();
    metrics_close();
    request_close();
    call_close();
    cors_close();
    host_close();
    proxy_close();
    limit_close();
    tls_close();
    log_event(LOG_INFO, "stopped");
    log_close();
    config_free(&config);
    return 0;
}

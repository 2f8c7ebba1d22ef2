/* Settings: from the environment, then from flags of the same names. */
#ifndef CLINICQ_CONFIG_H
#define CLINICQ_CONFIG_H

#include "log.h"

#include <stdbool.h>

struct config {
    unsigned production; /* 0 or 1 */
    bool check;          /* only check, and print the table */
    char *dsn;
    char *dsn_file;
    char *events_dsn; /* "" for dsn */
    char *address;
    unsigned port;
    char *metrics_address;
    unsigned metrics_port;
    char *allowed_hosts;
    char *cors_origins;
    char *trusted_proxies;
    char *tls_certificate;
    char *tls_key;
    unsigned tls_proxy; /* 0 or 1 */
    bool secure;        /* browsers reach us over TLS */
    unsigned address_burst, address_rate;
    unsigned login_burst, login_rate;
    unsigned user_burst, user_rate;
    unsigned write_burst, write_rate;
    unsigned read_connections;
    unsigned pipeline_depth;
    unsigned write_connections;
    unsigned slow_connections;
    unsigned queue_length;
    unsigned prepare; /* 0 or 1 */
    unsigned request_timeout_ms;
    unsigned receive_timeout_ms;
    unsigned header_timeout_ms;
    unsigned send_timeout_ms;
    unsigned idle_timeout_ms;
    unsigned header_limit;
    unsigned body_limit;
    unsigned uploads;
    unsigned upload_timeout_ms;
    unsigned max_connections;
    unsigned address_connections;
    unsigned streams, user_streams;
    unsigned heartbeat_ms;
    unsigned stream_check_ms;
    unsigned drain_timeout_ms;
    char *log_file;
    unsigned log_level; /* enum log_level */
};

/* Fills c, or prints one line and ends the process: 2 for a wrong value, 0 after --help and
 * --version. */
void config_load(struct config *c, int argc, char **argv);
void config_free(struct config *c);

#endif

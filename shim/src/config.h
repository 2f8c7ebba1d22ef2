/* Settings: from the environment, then from flags of the same names. */
#ifndef CLINICQ_CONFIG_H
#define CLINICQ_CONFIG_H

#include "log.h"

#include <stdbool.h>

/* serve HTTP; deliver what is in the outbox; only check, and print the table */
enum command { COMMAND_SERVE, COMMAND_DELIVER, COMMAND_CHECK };

struct config {
    unsigned production; /* 0 or 1 */
    enum command command;
    char *dsn;
    char *dsn_file;
    char *events_dsn; /* "" for dsn */
    char *deliver_dsn, *deliver_dsn_file;
    unsigned deliver_metrics_port;
    char *ca_file;
    char *drive_key_file, *drive_url;
    char *s3_access_key, *s3_secret_key, *s3_secret_key_file;
    char *twilio_token, *twilio_token_file, *twilio_url;
    char *smtp_password, *smtp_password_file;
    char *webhook_secrets_file;
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

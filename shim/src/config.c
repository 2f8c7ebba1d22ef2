#include "config.h"

#include "host.h"
#include "memory.h"
#include "proxy.h"
#include "tls.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CLINICQ_VERSION
#error "CLINICQ_VERSION comes from the Makefile"
#endif

enum kind { KIND_NUMBER, KIND_TEXT, KIND_CHOICE };

struct option {
    const char *env;
    const char *fallback;
    const char *help;
    enum kind kind;
    bool env_only; /* a secret, which a flag would show in the process list */
    unsigned min, max;
    const char *const *choices;
    size_t offset;
};

static const char *const env_choices[] = {"development", "production", NULL};
static const char *const switch_choices[] = {"off", "on", NULL};
static const char *const level_choices[] = {"debug", "info", "warning", "error", NULL};

#define AT(field) offsetof(struct config, field)
#define NUMBER(env, field, fallback, min, max, help) \
    { env, fallback, help, KIND_NUMBER, false, min, max, NULL, AT(field) }
#define TEXT(env, field, fallback, secret, help) \
    { env, fallback, help, KIND_TEXT, secret, 0, 0, NULL, AT(field) }
#define CHOICE(env, field, fallback, choices, help) \
    { env, fallback, help, KIND_CHOICE, false, 0, 0, choices, AT(field) }

static const struct option options[] = {
    CHOICE("CLINICQ_ENV", production, "development", env_choices,
           "development or production, which does not start with what clinicq-shim check refuses"),
    TEXT("CLINICQ_SHIM_DSN", dsn, "", true,
         "libpq connection string of the database (environment only)"),
    TEXT("CLINICQ_SHIM_DSN_FILE", dsn_file, "", false,
         "file whose first line is the connection string, instead"),
    TEXT("CLINICQ_EVENTS_DSN", events_dsn, "", true,
         "connection string for the feed of events, which no pooler may stand in front of "
         "(environment only); empty = the database's"),
    TEXT("CLINICQ_ADDRESS", address, "127.0.0.1", false, "IPv4 or IPv6 address to listen on"),
    NUMBER("CLINICQ_PORT", port, "8080", 1, 65535, "port of the API"),
    TEXT("CLINICQ_METRICS_ADDRESS", metrics_address, "127.0.0.1", false,
         "IPv4 or IPv6 address of the metrics, which are plain HTTP for whoever reaches it"),
    NUMBER("CLINICQ_METRICS_PORT", metrics_port, "9080", 0, 65535,
           "port of /live, /ready and /metrics; 0 = none"),
    TEXT("CLINICQ_ALLOWED_HOSTS", allowed_hosts, "localhost,127.0.0.1,[::1]", false,
         "host names that requests may be for, without port, with commas between"),
    TEXT("CLINICQ_CORS_ORIGINS", cors_origins, "", false,
         "origins that browsers may call from, with commas between; empty = none"),
    TEXT("CLINICQ_TRUSTED_PROXIES", trusted_proxies, "", false,
         "addresses and CIDR blocks whose X-Forwarded-For counts, with commas between"),
    CHOICE("CLINICQ_TLS_PROXY", tls_proxy, "off", switch_choices,
           "on or off: a proxy in front terminates TLS, so links are https and HSTS is sent"),
    TEXT("CLINICQ_TLS_CERTIFICATE", tls_certificate, "", false,
         "PEM file of the certificate and those that it rests on; read again on SIGHUP"),
    TEXT("CLINICQ_TLS_KEY", tls_key, "", false, "PEM file of the certificate's key"),
    NUMBER("CLINICQ_ADDRESS_BURST", address_burst, "5000", 0, 1000000,
           "any requests of one address (IPv6: of one /64) at once; more get 429; 0 = no limit"),
    NUMBER("CLINICQ_ADDRESS_RATE", address_rate, "500", 1, 1000000,
           "any requests of one address (IPv6: of one /64) a second in the long run"),
    NUMBER("CLINICQ_LOGIN_BURST", login_burst, "60", 0, 1000000,
           "log-ins of one address at once; more get 429; 0 = no limit"),
    NUMBER("CLINICQ_LOGIN_RATE", login_rate, "2", 1, 1000000,
           "log-ins of one address a second in the long run"),
    NUMBER("CLINICQ_USER_BURST", user_burst, "500", 0, 1000000,
           "any requests of one user at once; more get 429; 0 = no limit"),
    NUMBER("CLINICQ_USER_RATE", user_rate, "50", 1, 1000000,
           "any requests of one user a second in the long run"),
    NUMBER("CLINICQ_WRITE_BURST", write_burst, "200", 0, 1000000,
           "writes of one user at once; more get 429; 0 = no limit"),
    NUMBER("CLINICQ_WRITE_RATE", write_rate, "20", 1, 1000000,
           "writes of one user a second in the long run"),
    NUMBER("CLINICQ_READ_CONNECTIONS", read_connections, "4", 1, 256,
           "database connections for reads"),
    NUMBER("CLINICQ_PIPELINE_DEPTH", pipeline_depth, "8", 1, 256,
           "reads under way at once on one connection"),
    NUMBER("CLINICQ_WRITE_CONNECTIONS", write_connections, "8", 1, 256,
           "database connections for writes"),
    NUMBER("CLINICQ_SLOW_CONNECTIONS", slow_connections, "4", 1, 256,
           "database connections for what takes long: log-in, searches, reports, the audit log"),
    NUMBER("CLINICQ_QUEUE_LENGTH", queue_length, "1024", 1, 1000000,
           "requests of one class that may wait for a connection; more get 503"),
    CHOICE("CLINICQ_PREPARE", prepare, "on", switch_choices,
           "on or off: prepared statements (off for PgBouncer before 1.21)"),
    NUMBER("CLINICQ_REQUEST_TIMEOUT_MS", request_timeout_ms, "10000", 10, 3600000,
           "longest wait of a request for the database; to record a refusal as long again"),
    NUMBER("CLINICQ_RECEIVE_TIMEOUT_MS", receive_timeout_ms, "15000", 10, 3600000,
           "longest time for a request's body to arrive; its headers have no more either"),
    NUMBER("CLINICQ_HEADER_TIMEOUT_MS", header_timeout_ms, "10000", 10, 3600000,
           "longest time for a request's headers to arrive"),
    NUMBER("CLINICQ_SEND_TIMEOUT_MS", send_timeout_ms, "30000", 10, 3600000,
           "longest time for a client to take a reply"),
    NUMBER("CLINICQ_IDLE_TIMEOUT_MS", idle_timeout_ms, "60000", 10, 3600000,
           "longest time that a connection stays open between two requests"),
    NUMBER(
        "CLINICQ_HEADER_LIMIT", header_limit, "10240", 2048, 65536,
        "bytes that a request line and headers may take together, with 64 for each header and argument"),
    NUMBER("CLINICQ_BODY_LIMIT", body_limit, "1048576", 1024, 1073741824,
           "bytes of a body, where the route allows as many; files apart"),
    NUMBER("CLINICQ_UPLOADS", uploads, "64", 1, 10000,
           "files on their way at once, with less than 2 MiB each; more get 503"),
    NUMBER("CLINICQ_UPLOAD_TIMEOUT_MS", upload_timeout_ms, "300000", 10, 3600000,
           "longest time for a file to arrive"),
    NUMBER("CLINICQ_MAX_CONNECTIONS", max_connections, "4096", 1, 1000000,
           "client connections at once; past them the oldest idle one is closed"),
    NUMBER("CLINICQ_ADDRESS_CONNECTIONS", address_connections, "512", 0, 1000000,
           "client connections of one address (IPv6: of one /64) at once; 0 = no limit"),
    NUMBER("CLINICQ_STREAMS", streams, "2000", 0, 1000000,
           "streams of events at once, besides CLINICQ_MAX_CONNECTIONS; more get 503"),
    NUMBER("CLINICQ_USER_STREAMS", user_streams, "200", 1, 1000000,
           "streams of events of one user at once; more get 503"),
    NUMBER("CLINICQ_HEARTBEAT_MS", heartbeat_ms, "15000", 100, 3600000,
           "after so long without an event a stream gets a sign of life"),
    NUMBER(
        "CLINICQ_STREAM_CHECK_MS", stream_check_ms, "60000", 100, 3600000,
        "a stream's session is looked at, and touched, so often at the least; the stream ends with it"),
    NUMBER("CLINICQ_DRAIN_TIMEOUT_MS", drain_timeout_ms, "10000", 0, 3600000,
           "how long requests under way may go on after SIGTERM"),
    TEXT("CLINICQ_DELIVER_DSN", deliver_dsn, "", true,
         "deliver: libpq connection string of the database, which no pooler may stand in front of "
         "(environment only)"),
    TEXT("CLINICQ_DELIVER_DSN_FILE", deliver_dsn_file, "", false,
         "deliver: file whose first line is that, instead"),
    NUMBER("CLINICQ_DELIVER_METRICS_PORT", deliver_metrics_port, "9081", 0, 65535,
           "deliver: port of /live, /ready and /metrics; 0 = none"),
    TEXT(
        "CLINICQ_CA_FILE", ca_file, "", false,
        "deliver: PEM file of authorities that far sides' certificates rest on, instead of the system's"),
    TEXT("CLINICQ_DRIVE_KEY_FILE", drive_key_file, "", false,
         "deliver: JSON file of the key of Google's service account"),
    TEXT("CLINICQ_DRIVE_URL", drive_url, "https://www.googleapis.com", false,
         "deliver: address of Google's API"),
    TEXT("CLINICQ_S3_ACCESS_KEY", s3_access_key, "", false,
         "deliver: id of the key of the S3-compatible store"),
    TEXT("CLINICQ_S3_SECRET_KEY", s3_secret_key, "", true, "deliver: that key (environment only)"),
    TEXT("CLINICQ_S3_SECRET_KEY_FILE", s3_secret_key_file, "", false,
         "deliver: file whose first line is that key, instead"),
    TEXT(
        "CLINICQ_TWILIO_TOKEN", twilio_token, "", true,
        "auth token of Twilio's account; to deliver, and for what Twilio reports (environment only)"),
    TEXT("CLINICQ_TWILIO_TOKEN_FILE", twilio_token_file, "", false,
         "file whose first line is that token, instead"),
    TEXT("CLINICQ_TWILIO_URL", twilio_url, "https://api.twilio.com", false,
         "deliver: address of Twilio's API"),
    TEXT("CLINICQ_SMTP_PASSWORD", smtp_password, "", true,
         "deliver: password of the setting email_user (environment only)"),
    TEXT("CLINICQ_SMTP_PASSWORD_FILE", smtp_password_file, "", false,
         "deliver: file whose first line is that password, instead"),
    TEXT("CLINICQ_WEBHOOK_SECRETS_FILE", webhook_secrets_file, "", false,
         "deliver: file with a line \"ID SECRET\" for each webhook"),
    TEXT("CLINICQ_LOG_FILE", log_file, "", false,
         "file for the log instead of stderr; opened again on SIGHUP"),
    CHOICE("CLINICQ_LOG_LEVEL", log_level, "info", level_choices,
           "debug, info, warning or error; requests are logged at info"),
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static _Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void refuse(const char *format, ...) {
    va_list args;

    fputs("clinicq-shim: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

/* CLINICQ_MAX_CONNECTIONS -> max-connections */
static void option_flag(const struct option *o, char *out, size_t size) {
    const char *name = o->env + strlen("CLINICQ_");
    size_t i = 0;

    for (; name[i] != '\0' && i + 1 < size; i++)
        out[i] = name[i] == '_' ? '-' : (char) tolower((unsigned char) name[i]);
    out[i] = '\0';
}

static void set_number(const struct option *o, unsigned *at, const char *value) {
    char *end = NULL;
    unsigned long n;

    errno = 0;
    n = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || n < o->min || n > o->max)
        refuse("%s: \"%s\" is not a number from %u to %u", o->env, value, o->min, o->max);
    *at = (unsigned) n;
}

static void set_choice(const struct option *o, unsigned *at, const char *value) {
    struct buffer names = {0};

    for (unsigned i = 0; o->choices[i] != NULL; i++) {
        if (strcmp(value, o->choices[i]) == 0) {
            *at = i;
            buffer_free(&names);
            return;
        }
        buffer_format(&names, "%s%s", i > 0 ? ", " : "", o->choices[i]);
    }
    refuse("%s: \"%s\" is not one of %s", o->env, value, names.data);
}

static void option_set(struct config *c, const struct option *o, const char *value) {
    void *at = (char *) c + o->offset;

    switch (o->kind) {
    case KIND_NUMBER:
        set_number(o, at, value);
        break;
    case KIND_CHOICE:
        set_choice(o, at, value);
        break;
    case KIND_TEXT:
        free(*(char **) at);
        *(char **) at = memory_text(value);
        break;
    }
}

static void print_help(void) {
    puts("Usage: clinicq-shim [deliver|check] [--name=value]...\n"
         "The HTTP server of ClinicQ: maps each route to one call of the database.\n"
         "With deliver: sends what the database has in its outbox, to stores of images, by SMS,\n"
         "e-mail and webhooks. Several may run.\n"
         "With check: says whether these settings and the database are fit for production: of the\n"
         "server, of deliver, or of both, as connection strings are given.\n"
         "\n"
         "Each setting is an environment variable, most are a flag too (the flag wins):");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        char flag[64];

        option_flag(o, flag, sizeof(flag));
        printf("\n  %s%s%s  (default: %s)\n      %s\n", o->env, o->env_only ? "" : ", --",
               o->env_only ? "" : flag, o->fallback[0] != '\0' ? o->fallback : "none", o->help);
    }
    puts(
        "\n  --help     this text\n  --version  the version\n"
        "\n"
        "Signals: SIGHUP opens CLINICQ_LOG_FILE again and reads certificate and key again;\n"
        "SIGTERM and SIGINT finish the requests under way, then end the process.\n"
        "Exit status: 0 after a signal, 1 when the port cannot be used or a check failed, 2 for a\n"
        "wrong setting.");
}

static void parse_flags(struct config *c, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        const char *value = strchr(name, '=');
        size_t len = value != NULL ? (size_t) (value - name) : strlen(name);
        const struct option *found = NULL;

        if (i == 1 && (strcmp(name, "check") == 0 || strcmp(name, "deliver") == 0)) {
            c->command = name[0] == 'c' ? COMMAND_CHECK : COMMAND_DELIVER;
            continue;
        }
        if (strcmp(name, "--help") == 0) {
            print_help();
            exit(0);
        }
        if (strcmp(name, "--version") == 0) {
            puts("clinicq-shim " CLINICQ_VERSION);
            exit(0);
        }
        for (size_t k = 0; k < OPTION_COUNT && found == NULL; k++) {
            char flag[64];

            option_flag(&options[k], flag, sizeof(flag));
            if (len > 2 && strncmp(name, "--", 2) == 0 && strlen(flag) == len - 2 &&
                strncmp(name + 2, flag, len - 2) == 0)
                found = &options[k];
        }
        if (found == NULL)
            refuse("%.*s: no such option; --help lists all", (int) (len < 64 ? len : 64), name);
        if (found->env_only)
            refuse("%s: only by environment or a file, a flag shows in the process list",
                   found->env);
        if (value == NULL && i + 1 >= argc)
            refuse("%s: the value is missing", found->env);
        option_set(c, found, value != NULL ? value + 1 : argv[++i]);
    }
}

static char *read_dsn_file(const char *env, const char *file) {
    char line[4096];
    FILE *f = fopen(file, "re");

    if (f == NULL)
        refuse("%s_FILE: \"%s\" cannot be read: %s", env, file, strerror(errno));
    if (fgets(line, sizeof(line), f) == NULL)
        line[0] = '\0';
    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    return memory_text(line);
}

/* libpq's own message may repeat the password. */
static void check_dsn_text(const char *env, const char *dsn) {
    PQconninfoOption *parsed = PQconninfoParse(dsn, NULL);

    if (parsed == NULL)
        refuse("%s: is not a libpq connection string", env);
    PQconninfoFree(parsed);
}

/* Replaces *dsn by what is in the file, if one is named. */
static void check_dsn(const char *env, char **dsn, const char *file) {
    char name[64];

    snprintf(name, sizeof(name), "%s%s", env, file[0] != '\0' ? "_FILE" : "");
    if (file[0] != '\0') {
        if ((*dsn)[0] != '\0')
            refuse("%s: set together with %s; only one can count", name, env);
        free(*dsn);
        *dsn = read_dsn_file(env, file);
    }
    check_dsn_text(name, *dsn);
}

static void check_dsns(struct config *c) {
    check_dsn("CLINICQ_SHIM_DSN", &c->dsn, c->dsn_file);
    check_dsn("CLINICQ_DELIVER_DSN", &c->deliver_dsn, c->deliver_dsn_file);
    check_dsn_text("CLINICQ_EVENTS_DSN", c->events_dsn);
    if (c->command == COMMAND_DELIVER && c->deliver_dsn[0] == '\0')
        refuse("CLINICQ_DELIVER_DSN: is not set; it names the database, as in "
               "postgresql://clinicq_deliver@/clinicq?host=/run/postgresql");
    if (c->dsn[0] == '\0' &&
        (c->command == COMMAND_SERVE || (c->command == COMMAND_CHECK && c->deliver_dsn[0] == '\0')))
        refuse("CLINICQ_SHIM_DSN: is not set; it names the database, as in "
               "postgresql://clinicq_shim@/clinicq?host=/run/postgresql");
}

static void check_address(const char *name, const char *address) {
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) != 1 && inet_pton(AF_INET6, address, &v6) != 1)
        refuse("%s: \"%s\" is not an IPv4 or IPv6 address", name, address);
}

static void check_texts(struct config *c) {
    check_address("CLINICQ_ADDRESS", c->address);
    check_address("CLINICQ_METRICS_ADDRESS", c->metrics_address);
    if (c->metrics_port == c->port)
        refuse("CLINICQ_METRICS_PORT: %u is the port of the API", c->metrics_port);
    if (host_fault(c->allowed_hosts) != NULL)
        refuse("CLINICQ_ALLOWED_HOSTS: \"%.64s\" is not a host name without a port",
               host_fault(c->allowed_hosts));
    if (proxy_fault(c->trusted_proxies) != NULL)
        refuse("CLINICQ_TRUSTED_PROXIES: \"%.64s\" is not an address or CIDR block",
               proxy_fault(c->trusted_proxies));
    if (strchr(c->cors_origins, '*') != NULL)
        refuse("CLINICQ_CORS_ORIGINS: \"*\" is not possible, name each origin");
    for (const char *p = c->cors_origins; *p != '\0';) {
        size_t len = strcspn(p, ",");
        const char *start = p + strspn(p, " ");
        const char *host = strstr(start, "://");

        if (len > 0 && ((strncmp(start, "http://", 7) != 0 && strncmp(start, "https://", 8) != 0) ||
                        host[3 + strcspn(host + 3, "/, ")] == '/'))
            refuse(
                "CLINICQ_CORS_ORIGINS: \"%.*s\" is not an origin such as https://clinic.example, "
                "which ends behind the host or port",
                (int) len, p);
        p += len + (p[len] == ',');
    }
}

static void check_tls(const struct config *c) {
    const char *fault;

    if ((c->tls_certificate[0] == '\0') != (c->tls_key[0] == '\0'))
        refuse("CLINICQ_TLS_%s: is missing beside CLINICQ_TLS_%s",
               c->tls_key[0] == '\0' ? "KEY" : "CERTIFICATE",
               c->tls_key[0] == '\0' ? "CERTIFICATE" : "KEY");
    if (!c->secure && strncmp(c->address, "127.", 4) != 0 && strcmp(c->address, "::1") != 0)
        refuse("CLINICQ_ADDRESS: %s would be reached without TLS; set CLINICQ_TLS_CERTIFICATE and "
               "CLINICQ_TLS_KEY, or CLINICQ_TLS_PROXY=on behind a proxy that terminates it",
               c->address);
    if (c->tls_certificate[0] == '\0')
        return;
    fault = tls_load(c->tls_certificate, c->tls_key);
    if (fault != NULL)
        refuse("CLINICQ_TLS_CERTIFICATE: %s", fault);
}

void config_load(struct config *c, int argc, char **argv) {
    *c = (struct config){0};
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *value = getenv(options[i].env);

        option_set(c, &options[i], options[i].fallback);
        if (value != NULL && (value[0] != '\0' || options[i].kind == KIND_TEXT))
            option_set(c, &options[i], value);
    }
    parse_flags(c, argc, argv);
    check_dsns(c);
    check_texts(c);
    c->secure = c->tls_proxy != 0 || c->tls_certificate[0] != '\0';
    check_tls(c);
}

void config_free(struct config *c) {
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (options[i].kind == KIND_TEXT)
            free(*(char **) (void *) ((char *) c + options[i].offset));
}

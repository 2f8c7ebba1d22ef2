#include "check.h"

#include "line.h"
#include "tls.h"

#include <libpq-fe.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MHD_NORMALISES 0x01000000
#define DAY            86400

enum state { CHECK_OK, CHECK_OFF, CHECK_WARNING, CHECK_FAILED };

struct check {
    const char *name;
    enum state state;
    const char *remedy; /* NULL where it passed */
};

#define CHECKS_MAX 32

struct checks {
    struct check list[CHECKS_MAX];
    unsigned count;
};

static void add(struct checks *all, const char *name, enum state state, const char *remedy) {
    all->list[all->count++] = (struct check){name, state, state == CHECK_OK ? NULL : remedy};
}

static void require(struct checks *all, const char *name, bool good, const char *remedy) {
    add(all, name, good ? CHECK_OK : CHECK_FAILED, remedy);
}

/* The first column of the first row is "t". */
static bool is_true(PGconn *pg, const char *sql, bool *known) {
    PGresult *result = PQexec(pg, sql);
    bool yes = false;

    *known = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (*known)
        yes = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    return yes;
}

/* By a socket, to this machine, or by TLS that knows whom it talks to. */
static bool is_private(PGconn *pg) {
    const char *host = PQhostaddr(pg)[0] != '\0' ? PQhostaddr(pg) : PQhost(pg);
    PQconninfoOption *options = PQconninfo(pg);
    bool yes = host[0] == '/' || host[0] == '@' || strcmp(host, "localhost") == 0 ||
               strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "sslmode") == 0 && o->val != NULL)
            yes = yes || strcmp(o->val, "verify-full") == 0;
    PQconninfoFree(options);
    return yes;
}

/* Where a connection string of its own is given. */
static void check_events(struct checks *all, const struct config *c) {
    const char *const names[] = {"dbname", "connect_timeout", "fallback_application_name", NULL};
    const char *const values[] = {c->events_dsn, "5", "clinicq-shim check", NULL};
    PGconn *pg;
    bool known;

    if (c->events_dsn[0] == '\0')
        return;
    pg = PQconnectdbParams(names, values, 1);
    require(all, "event connection is private", is_private(pg),
            "use a socket, or put sslmode=verify-full and sslrootcert into CLINICQ_EVENTS_DSN");
    is_true(pg, "SELECT clinicq_api.feed_advance() IS NOT NULL", &known);
    require(all, "event connection answers", known,
            "let CLINICQ_EVENTS_DSN lead to the database of CLINICQ_SHIM_DSN, as clinicq_shim");
    PQfinish(pg);
}

/* The role that it logs in as may nothing but call functions. */
static void check_login(struct checks *all, PGconn *pg, const char *plain, const char *poor,
                        const char *remedy) {
    bool known, yes;

    yes = is_true(pg,
                  "SELECT NOT rolsuper AND NOT rolbypassrls AND NOT rolcreaterole AND NOT "
                  "rolcreatedb AND NOT rolreplication FROM pg_catalog.pg_roles "
                  "WHERE rolname = session_user",
                  &known);
    require(all, plain, known && yes, remedy);
    yes = is_true(pg,
                  "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m "
                  "JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE r.rolname = session_user) "
                  "AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend d "
                  "JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid "
                  "WHERE r.rolname = session_user AND d.deptype = 'o')",
                  &known);
    require(all, poor, known && yes, remedy);
}

static void check_database(struct checks *all, const struct config *c) {
    const char *const names[] = {"dbname", "connect_timeout", "fallback_application_name", NULL};
    const char *const values[] = {c->dsn, "5", "clinicq-shim check", NULL};
    PGconn *pg = PQconnectdbParams(names, values, 1);
    bool known, yes;

    require(all, "database connection is private", is_private(pg),
            "use a socket, or put sslmode=verify-full and sslrootcert into CLINICQ_SHIM_DSN");
    require(all, "database answers", PQstatus(pg) == CONNECTION_OK,
            "start the database, or set CLINICQ_SHIM_DSN to where it is");
    if (PQstatus(pg) != CONNECTION_OK) {
        PQfinish(pg);
        return;
    }
    check_login(all, pg, "database login is no superuser", "database login owns nothing",
                "let CLINICQ_SHIM_DSN log in as clinicq_shim, which may nothing else");
    is_true(pg, "SELECT clinicq_api.catalogue() IS NOT NULL", &known);
    require(all, "database is migrated", known,
            "run CREATE EXTENSION clinicq CASCADE and CALL clinicq.migrate() in the database");
    if (known) {
        yes = is_true(pg, "SELECT (clinicq_api.catalogue()::pg_catalog.jsonb->>'demo_users') = '0'",
                      &known);
        require(all, "no demo users", known && yes,
                "shut them out, as an administrator in the database: "
                "SELECT clinicq.disable_demo_users()");
    }
    if (known) {
        yes = is_true(pg, "SELECT keeper FROM clinicq_api.feed_advance()", &known);
        add(all, "events come at once", known && yes ? CHECK_OK : CHECK_WARNING,
            "put clinicq into shared_preload_libraries; without its keeper events are up to 1 s late");
    }
    PQfinish(pg);
}

static void add_channel(void *arg, const char *channel, int on, const char *missing) {
    struct checks *all = arg;

    add(all, channel,
        missing == NULL && on ? CHECK_OK
        : on                  ? CHECK_WARNING
                              : CHECK_OFF,
        missing != NULL ? missing : "its settings in the database are empty");
}

/* The deliverer, where it is set up here: what it may, and what its channels want. */
static void check_deliverer(struct checks *all, const struct config *c) {
    const char *const names[] = {"dbname", "connect_timeout", "fallback_application_name", NULL};
    const char *const values[] = {c->deliver_dsn, "5", "clinicq-shim check", NULL};
    PGresult *settings;
    PGconn *pg;

    if (c->deliver_dsn[0] == '\0')
        return;
    pg = PQconnectdbParams(names, values, 1);
    require(all, "deliverer connection is private", is_private(pg),
            "use a socket, or put sslmode=verify-full and sslrootcert into CLINICQ_DELIVER_DSN");
    if (PQstatus(pg) == CONNECTION_OK)
        check_login(all, pg, "deliverer is no superuser", "deliverer owns nothing",
                    "let CLINICQ_DELIVER_DSN log in as clinicq_deliver, which may nothing else");
    settings = PQexec(pg, "SELECT clinicq_api.delivery_settings()");
    add(all, "deliverer's database answers",
        PQresultStatus(settings) == PGRES_TUPLES_OK ? CHECK_OK : CHECK_FAILED,
        "let CLINICQ_DELIVER_DSN lead to the database of the clinic, as clinicq_deliver");
    if (PQresultStatus(settings) == PGRES_TUPLES_OK)
        lines_check(c, PQgetvalue(settings, 0, 0), add_channel, all);
    PQclear(settings);
    PQfinish(pg);
}

static bool old_library(void) {
    return MHD_VERSION < MHD_NORMALISES || strncmp(MHD_get_version(), "0.", 2) == 0;
}

static void check_server(struct checks *all, const struct config *c) {
    bool proxy = c->tls_proxy != 0;
    bool tls = c->tls_certificate[0] != '\0';

    require(all, "requests come over TLS", c->secure,
            "set CLINICQ_TLS_CERTIFICATE and CLINICQ_TLS_KEY, or CLINICQ_TLS_PROXY=on behind a "
            "proxy that terminates TLS");
    if (tls)
        add(all, "certificate is valid",
            tls_valid_until() < time(NULL)             ? CHECK_FAILED
            : tls_valid_until() < time(NULL) + 7 * DAY ? CHECK_WARNING
                                                       : CHECK_OK,
            "renew CLINICQ_TLS_CERTIFICATE and send SIGHUP");
    require(all, "requests are normalised", !old_library() || proxy,
            "put a proxy in front and set CLINICQ_TLS_PROXY=on, or use libmicrohttpd 1.0 or newer");
    add(all, "proxy names the clients",
        !proxy || c->trusted_proxies[0] != '\0' ? CHECK_OK : CHECK_WARNING,
        "set CLINICQ_TRUSTED_PROXIES to the proxy's address, else all clients share its limits");
    add(all, "host names are set",
        strcmp(c->allowed_hosts, "localhost,127.0.0.1,[::1]") != 0 ? CHECK_OK : CHECK_WARNING,
        "set CLINICQ_ALLOWED_HOSTS to the names that browsers and apps use");
    require(all, "no origin is a wildcard", strchr(c->cors_origins, '*') == NULL,
            "name each origin in CLINICQ_CORS_ORIGINS");
    add(all, "origins use TLS",
        strstr(c->cors_origins, "http://") == NULL ? CHECK_OK : CHECK_WARNING,
        "name only https:// origins in CLINICQ_CORS_ORIGINS");
    add(all, "rate limits are on",
        c->address_burst > 0 && c->login_burst > 0 && c->user_burst > 0 && c->write_burst > 0 &&
                c->address_connections > 0
            ? CHECK_OK
            : CHECK_WARNING,
        "leave CLINICQ_*_BURST and CLINICQ_ADDRESS_CONNECTIONS above 0");
    check_database(all, c);
    check_events(all, c);
}

/* Of a deliverer that has a machine for itself only that part. */
static void run(struct checks *all, const struct config *c) {
    if (c->dsn[0] != '\0')
        check_server(all, c);
    check_deliverer(all, c);
}

static bool passed(const struct checks *all) {
    for (unsigned i = 0; i < all->count; i++)
        if (all->list[i].state == CHECK_FAILED)
            return false;
    return true;
}

bool check_table(const struct config *c) {
    static const char *const states[] = {"ok", "off", "warning", "FAILED"};
    struct checks all = {0};

    run(&all, c);
    printf("%-32s %-8s %s\n", "check", "state", "remedy");
    for (unsigned i = 0; i < all.count; i++) {
        const struct check *k = &all.list[i];

        printf("%-32s %-8s %s\n", k->name, states[k->state], k->remedy != NULL ? k->remedy : "-");
    }
    return passed(&all);
}

bool check_start(const struct config *c) {
    struct checks all = {0};

    run(&all, c);
    for (unsigned i = 0; i < all.count; i++)
        if (all.list[i].state == CHECK_FAILED)
            fprintf(stderr, "clinicq-shim: CLINICQ_ENV=production: not so: %s; %s\n",
                    all.list[i].name, all.list[i].remedy);
    return passed(&all);
}

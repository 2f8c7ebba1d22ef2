#include "pgconn.h"

#include "clock.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECT_LIMIT MS(5000)
#define RETRY_FIRST   MS(100)
#define RETRY_MAX     MS(2000)

static const char call_sql[] =
    "SELECT status, reply, headers, actor"
    " FROM clinicq_api.call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/* Until the transaction ends, and never above what the role has. */
static const char limit_sql[] =
    "SELECT set_config(name, least(nullif(extract(epoch FROM current_setting(name)::interval)"
    " * 1000, 0), most)::bigint::text, true)"
    " FROM (VALUES ('statement_timeout', $1::integer), ('lock_timeout', $2::integer)) v (name, most)";

static struct {
    const char *dsn;
    bool prepare;
    const char *listen;
    void (*notice)(void);
} setup;

static void on_ready(struct loop_source *source, uint32_t events);

void pgconn_setup(const char *dsn, bool prepare, const char *listen, void (*notice)(void)) {
    setup.dsn = dsn;
    setup.prepare = prepare;
    setup.listen = listen;
    setup.notice = notice;
}

void pgconn_init(struct pg_conn *conn, struct pool *pool) {
    conn->source.ready = on_ready;
    conn->pool = pool;
    conn->state = PG_CLOSED;
    conn->at = 0;
    conn->fd = -1;
    list_init(&conn->calls);
}

static void watch(struct pg_conn *conn, uint32_t events) {
    if (conn->events != events || conn->fd != PQsocket(conn->pg)) {
        conn->fd = PQsocket(conn->pg);
        conn->events = events;
        loop_watch(&conn->source, conn->fd, events);
    }
}

/* The first line of libpq's message, which may name host and user but no password. */
static const char *first_line(const char *message, char *out, size_t size) {
    snprintf(out, size, "%.*s", (int) strcspn(message, "\n"), message);
    return out;
}

static int64_t backoff(struct pg_conn *conn) {
    unsigned shift = conn->failures < 5 ? conn->failures : 5;
    int64_t delay = RETRY_FIRST << shift;

    if (delay > RETRY_MAX)
        delay = RETRY_MAX;
    conn->failures++;
    return delay * 3 / 4 + random() % (delay / 4);
}

static void disconnect(struct pg_conn *conn) {
    if (conn->state == PG_READY)
        conn->pool->ready--;
    if (conn->fd >= 0)
        loop_forget(conn->fd);
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn->fd = -1;
    conn->events = 0;
    conn->state = PG_CLOSED;
    conn->prepared = conn->dirty = false;
}

static void lose(struct pg_conn *conn, const char *why, bool replaced) {
    char line[256];
    bool was_up = conn->state == PG_READY;

    if (conn->state == PG_CLOSED)
        return;
    first_line(why, line, sizeof(line));
    disconnect(conn);
    conn->at = replaced ? 0 : clock_us() + backoff(conn);
    if (was_up || conn->failures == 1)
        log_event(LOG_WARNING, "database connection (%s) %s: %s", conn->pool->name,
                  was_up ? "lost" : "failed", line);
    else
        log_event(LOG_DEBUG, "database connection (%s) failed: %s", conn->pool->name, line);
    pool_calls_lost(conn, replaced);
}

void pgconn_lose(struct pg_conn *conn, const char *why) {
    lose(conn, why, false);
}

void pgconn_replace(struct pg_conn *conn, const char *why) {
    lose(conn, why, true);
}

static void ignore_notice(void *arg, const PGresult *result) {
    (void) arg;
    (void) result;
}

static void start(struct pg_conn *conn, int64_t now) {
    /* what stands after dbname wins over the connection string, what stands before does not */
    const char *const names[] = {"fallback_application_name", "tcp_user_timeout", "dbname",
                                 "client_encoding", NULL};
    const char *const values[] = {"clinicq-shim", "10000", setup.dsn, "UTF8", NULL};

    conn->pg = PQconnectStartParams(names, values, 1);
    conn->state = PG_CONNECTING;
    conn->at = now + CONNECT_LIMIT;
    if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD) {
        pgconn_lose(conn, conn->pg != NULL ? PQerrorMessage(conn->pg) : "out of memory");
        return;
    }
    PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
    watch(conn, EPOLLOUT);
}

static void become_ready(struct pg_conn *conn) {
    conn->state = PG_READY;
    conn->at = CLOCK_NEVER;
    conn->pool->ready++;
    if (conn->was_ready)
        conn->pool->reconnects++;
    if (conn->was_ready || conn->failures > 0)
        log_event(LOG_INFO, "database connection (%s) is up", conn->pool->name);
    conn->was_ready = true;
    conn->failures = 0;
}

static bool send_prepare(struct pg_conn *conn) {
    char name[32];

    conn->generation++;
    conn->prepared = true;
    snprintf(name, sizeof(name), "clinicq_call_%u", conn->generation);
    return PQsendPrepare(conn->pg, name, call_sql, CALL_PARAMETERS, NULL) == 1;
}

/* Who listens calls no route. */
static bool send_first(struct pg_conn *conn) {
    if (setup.listen == NULL)
        return send_prepare(conn);
    return PQsendQueryParams(conn->pg, setup.listen, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool send_sync(struct pg_conn *conn) {
    conn->dirty = true;
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    return PQsendPipelineSync(conn->pg) == 1; /* PQpipelineSync would flush once a call */
#else
    return PQpipelineSync(conn->pg) == 1;
#endif
}

static void connected(struct pg_conn *conn) {
    if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1) {
        pgconn_lose(conn, PQerrorMessage(conn->pg));
        return;
    }
    watch(conn, EPOLLIN);
    if (!setup.prepare && setup.listen == NULL) {
        become_ready(conn);
        return;
    }
    conn->state = PG_PREPARING;
    if (!send_first(conn) || !send_sync(conn))
        pgconn_lose(conn, PQerrorMessage(conn->pg));
}

static void connecting(struct pg_conn *conn) {
    conn->events = 0; /* libpq may have opened another socket under the same number */
    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_READING:
        watch(conn, EPOLLIN);
        break;
    case PGRES_POLLING_WRITING:
        watch(conn, EPOLLOUT);
        break;
    case PGRES_POLLING_OK:
        connected(conn);
        break;
    default:
        pgconn_lose(conn, PQerrorMessage(conn->pg));
    }
}

static bool send_limits(struct pg_conn *conn, const struct call *call) {
    char most[2][16];
    const char *const values[] = {most[0], most[1]};

    snprintf(most[0], sizeof(most[0]), "%d", call->limit_ms);
    snprintf(most[1], sizeof(most[1]), "%d", call->lock_limit_ms);
    return PQsendQueryParams(conn->pg, limit_sql, 2, NULL, values, NULL, NULL, 0) == 1;
}

void pgconn_send(struct pg_conn *conn, struct call *call) {
    bool sent = true;

    call->carries_prepare = false;
    call->sets_limits = call->limit_ms > 0;
    if (call->sets_limits && !send_limits(conn, call)) {
        sent = false;
    } else if (call->sql != NULL) {
        sent = PQsendQueryParams(conn->pg, call->sql, call->parameter_count, NULL, call->parameters,
                                 NULL, NULL, 0) == 1;
    } else if (!setup.prepare) {
        sent = PQsendQueryParams(conn->pg, call_sql, CALL_PARAMETERS, NULL, call->parameters, NULL,
                                 NULL, 0) == 1;
    } else {
        char name[32];

        if (!conn->prepared) {
            call->carries_prepare = true;
            sent = send_prepare(conn);
        }
        call->generation = conn->generation;
        snprintf(name, sizeof(name), "clinicq_call_%u", conn->generation);
        sent = sent && PQsendQueryPrepared(conn->pg, name, CALL_PARAMETERS, call->parameters, NULL,
                                           NULL, 0) == 1;
    }
    if (!sent || !send_sync(conn))
        pgconn_lose(conn, PQerrorMessage(conn->pg));
}

void pgconn_flush(struct pg_conn *conn) {
    int left;

    if (!conn->dirty || conn->state < PG_PREPARING)
        return;
    left = PQflush(conn->pg);
    if (left < 0) {
        pgconn_lose(conn, PQerrorMessage(conn->pg));
        return;
    }
    conn->dirty = left > 0;
    watch(conn, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void forget_statement(struct pg_conn *conn, unsigned generation) {
    if (conn->generation == generation)
        conn->prepared = false;
}

/* Keeps the rows, or the first error, of the call at the front. */
static void take_result(struct pg_conn *conn, PGresult *result) {
    struct call *call =
        list_empty(&conn->calls) ? NULL : list_item(conn->calls.next, struct call, queue);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        if (call == NULL)
            return;
        if (call->failed && call->carries_prepare)
            forget_statement(conn, call->generation);
        pool_call_answered(call);
    } else if (call != NULL && status == PGRES_TUPLES_OK && call->sets_limits) {
        PQclear(result);
        call->sets_limits = false;
    } else if (call != NULL && status == PGRES_TUPLES_OK && call->result == NULL) {
        call->result = result;
    } else if (call != NULL && status == PGRES_FATAL_ERROR && !call->failed) {
        /* a deferred constraint fails after the rows came */
        PQclear(call->result);
        call->result = result;
        call->failed = true;
    } else {
        PQclear(result);
    }
}

/* The answer to what connected() sent. */
static void take_hello(struct pg_conn *conn, PGresult *result) {
    char line[256];

    switch (PQresultStatus(result)) {
    case PGRES_FATAL_ERROR:
        first_line(PQresultErrorMessage(result), line, sizeof(line));
        pgconn_lose(conn, line);
        break;
    case PGRES_PIPELINE_SYNC:
        become_ready(conn);
        break;
    default:
        break;
    }
    PQclear(result);
}

static void take_notices(struct pg_conn *conn) {
    PGnotify *notice;

    while ((notice = PQnotifies(conn->pg)) != NULL) {
        PQfreemem(notice);
        if (setup.notice != NULL)
            setup.notice();
    }
}

static void receive(struct pg_conn *conn) {
    bool alive = PQconsumeInput(conn->pg) == 1;
    unsigned nulls = 0;

    /* NULL ends one statement's results; two in a row: nothing more has come */
    while (conn->state >= PG_PREPARING && nulls < 2 &&
           (conn->state == PG_PREPARING || conn->in_flight > 0) && !PQisBusy(conn->pg)) {
        PGresult *result = PQgetResult(conn->pg);

        if (result == NULL) {
            nulls++;
            continue;
        }
        nulls = 0;
        if (conn->state == PG_PREPARING)
            take_hello(conn, result);
        else
            take_result(conn, result);
    }
    if (conn->state >= PG_PREPARING)
        take_notices(conn);
    if (conn->state >= PG_PREPARING && (!alive || PQstatus(conn->pg) == CONNECTION_BAD))
        pgconn_lose(conn, PQerrorMessage(conn->pg));
}

static void on_ready(struct loop_source *source, uint32_t events) {
    struct pg_conn *conn = list_item(source, struct pg_conn, source);

    if (conn->state == PG_CLOSED)
        return; /* closed earlier in this turn */
    if (conn->state == PG_CONNECTING) {
        connecting(conn);
        return;
    }
    if ((events & EPOLLOUT) != 0)
        pgconn_flush(conn);
    if (conn->state >= PG_PREPARING && (events & ~(uint32_t) EPOLLOUT) != 0)
        receive(conn);
}

void pgconn_tick(struct pg_conn *conn, int64_t now) {
    if (now < conn->at)
        return;
    if (conn->state == PG_CLOSED)
        start(conn, now);
    else
        pgconn_lose(conn, "it took too long to connect");
}

void pgconn_close(struct pg_conn *conn) {
    if (conn->state != PG_CLOSED)
        disconnect(conn);
    pool_calls_lost(conn, false);
}

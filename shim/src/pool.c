#include "pool.h"

#include "clock.h"
#include "config.h"
#include "log.h"
#include "memory.h"
#include "pgconn.h"

#include <stdlib.h>
#include <string.h>

#define CONFLICT_RETRIES 3
/* A connection that has not answered for so long gets no more calls behind the one it works on. */
#define STALL_LIMIT MS(25)
/* Most that the server may need to tell that it ended a statement. */
#define ANSWER_LIMIT MS(500)

static struct {
    struct pool pools[CALL_CLASSES];
    struct list deadlines; /* of all calls; one time limit, so in order of arrival */
    int64_t timeout_us;
    int64_t answer_us; /* what is kept of it for the server's answer */
    unsigned queue_length;
} db;

static void pool_init(enum call_class class, const char *name, unsigned size, unsigned depth) {
    struct pool *p = &db.pools[class];

    p->name = name;
    p->size = size;
    p->depth = depth;
    /* One holds what the lane is about, another gets ready meanwhile; more would only wait, and
     * hold connections that other lanes need. */
    p->lane_limit = size >= 4 ? 2 : 1;
    p->conns = memory_zero(size, sizeof(*p->conns));
    list_init(&p->waiting);
    for (unsigned i = 0; i < size; i++)
        pgconn_init(&p->conns[i], p);
}

void pool_open(const struct config *c, const char *listen, void (*notice)(void)) {
    list_init(&db.deadlines);
    db.timeout_us = MS(c->request_timeout_ms);
    db.answer_us = db.timeout_us / 20 < ANSWER_LIMIT ? db.timeout_us / 20 : ANSWER_LIMIT;
    db.queue_length = c->queue_length;
    pgconn_setup(c->dsn, c->prepare != 0, listen, notice);
    pool_init(CALL_READ, "read", c->read_connections, c->pipeline_depth);
    pool_init(CALL_WRITE, "write", c->write_connections, 1);
    pool_init(CALL_SLOW, "slow", c->slow_connections, 1);
}

static void drop_lane(struct call *call) {
    lane_drop(call->lane);
    call->lane = NULL;
}

/* Most calls expire after all others. */
static void watch_deadline(struct call *call) {
    struct list *before = db.deadlines.prev;

    while (before != &db.deadlines &&
           list_item(before, struct call, deadline)->expires_at > call->expires_at)
        before = before->prev;
    list_append(before->next, &call->deadline);
}

bool pool_submit(struct call *call) {
    struct pool *p = &db.pools[call->class];

    if (p->queued >= db.queue_length || p->size == 0) {
        drop_lane(call);
        return false;
    }
    call->state = CALL_QUEUED;
    if (!call->goes_on)
        call->expires_at = clock_us() + db.timeout_us;
    call->goes_on = false;
    call->conn = NULL;
    call->result = NULL;
    call->conflicts = 0;
    call->resent = call->prepared_again = call->failed = false;
    list_append(&p->waiting, &call->queue);
    p->queued++;
    watch_deadline(call);
    return true;
}

/* Takes the call off its connection or queue. */
static void unlink_call(struct call *call) {
    struct pool *p = &db.pools[call->class];

    list_remove(&call->queue);
    if (call->state == CALL_QUEUED)
        p->queued--;
    if (call->state == CALL_SENT) {
        call->conn->in_flight--;
        p->in_flight--;
        call->conn = NULL;
        if (call->lane != NULL)
            call->lane->active--;
    }
}

static void release(struct call *call) {
    unlink_call(call);
    list_remove(&call->deadline);
    call->state = CALL_IDLE;
    drop_lane(call);
}

static void finish(struct call *call, enum call_outcome outcome) {
    release(call);
    if (outcome != CALL_RESULT) {
        PQclear(call->result);
        call->result = NULL;
    }
    call->outcome = outcome;
    call->done(call);
}

/* Back to the front of its queue, with the time it still has. */
static void requeue(struct call *call) {
    struct pool *p = &db.pools[call->class];

    unlink_call(call);
    PQclear(call->result);
    call->result = NULL;
    call->failed = false;
    call->state = CALL_QUEUED;
    list_prepend(&p->waiting, &call->queue);
    p->queued++;
    p->retries++;
}

const char *pool_fault(const struct call *call) {
    static const char *const outcomes[] = {[CALL_RESULT] = "no reply",
                                           [CALL_EXPIRED] = "not answered in time",
                                           [CALL_BUSY] = "no connection was free in time",
                                           [CALL_AWAY] = "no database",
                                           [CALL_UNKNOWN] = "the connection was lost"};
    const char *sqlstate = call->outcome == CALL_RESULT && call->failed
                               ? PQresultErrorField(call->result, PG_DIAG_SQLSTATE)
                               : NULL;

    return sqlstate != NULL ? sqlstate : outcomes[call->outcome];
}

void pool_abandon(struct call *call) {
    struct pg_conn *conn = call->conn;

    if (call->state == CALL_IDLE)
        return;
    release(call);
    PQclear(call->result);
    call->result = NULL;
    if (conn != NULL)
        pgconn_replace(conn, "a call was abandoned");
}

static bool is_conflict(const char *sqlstate) {
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0;
}

static bool is_stale_statement(const PGresult *error, const char *sqlstate) {
    const char *source = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);

    if (strcmp(sqlstate, "26000") == 0)
        return true;
    /* "cached plan must not change result type" */
    return strcmp(sqlstate, "0A000") == 0 && source != NULL &&
           strcmp(source, "RevalidateCachedQuery") == 0;
}

/* What made one connection's statement stale is likely to have met them all. */
static void forget_statements(const struct call *call) {
    if (call->conn->generation != call->generation)
        return;
    for (unsigned i = 0; i < CALL_CLASSES; i++)
        for (unsigned k = 0; k < db.pools[i].size; k++)
            db.pools[i].conns[k].prepared = false;
}

void pool_call_answered(struct call *call) {
    const char *sqlstate = call->failed ? PQresultErrorField(call->result, PG_DIAG_SQLSTATE) : NULL;

    call->conn->moved_at = clock_us();
    if (sqlstate != NULL && is_conflict(sqlstate) && call->conflicts < CONFLICT_RETRIES) {
        call->conflicts++;
        requeue(call);
    } else if (sqlstate != NULL && call->sql == NULL && !call->prepared_again &&
               is_stale_statement(call->result, sqlstate)) {
        call->prepared_again = true;
        forget_statements(call);
        requeue(call);
    } else {
        finish(call, call->result != NULL ? CALL_RESULT : CALL_UNKNOWN);
    }
}

void pool_calls_lost(struct pg_conn *conn, bool replaced) {
    struct pool *p = conn->pool;
    int64_t now = clock_us();

    /* from the newest on, so that those put back keep their order */
    while (!list_empty(&conn->calls)) {
        struct call *call = list_item(conn->calls.prev, struct call, queue);

        p->lost++;
        if (!call->safe)
            finish(call, CALL_UNKNOWN);
        else if (call->expires_at <= now)
            finish(call, CALL_EXPIRED);
        else if (call->resent && !replaced)
            finish(call, CALL_AWAY);
        else {
            call->resent = call->resent || !replaced;
            requeue(call);
        }
    }
}

static bool is_stalled(const struct pg_conn *conn, int64_t now) {
    return conn->in_flight > 0 && now - conn->moved_at > STALL_LIMIT;
}

static struct pg_conn *least_loaded(struct pool *p, int64_t now) {
    struct pg_conn *best = NULL;

    for (unsigned i = 0; i < p->size; i++) {
        struct pg_conn *conn = &p->conns[i];

        if (conn->state != PG_READY || conn->in_flight >= p->depth || is_stalled(conn, now))
            continue;
        if (best == NULL || conn->in_flight < best->in_flight)
            best = conn;
        if (best->in_flight == 0)
            break;
    }
    return best;
}

/* What may change something is not begun when its answer could come too late. */
static bool is_late(const struct call *call, int64_t now) {
    return !call->safe && call->expires_at - now < 3 * db.answer_us;
}

static struct call *next_call(struct pool *p, int64_t now) {
    for (struct list *n = p->waiting.next; n != &p->waiting; n = n->next) {
        struct call *call = list_item(n, struct call, queue);

        if ((call->lane == NULL || call->lane->active < p->lane_limit) && !is_late(call, now))
            return call;
    }
    return NULL;
}

/* The server's own limits are for calls that are sent at once. A statement that outlives its call
 * leaves a client in the dark about what became of it. */
static void set_limits(struct call *call, int64_t now) {
    int64_t left = call->expires_at - now;

    call->limit_ms = call->lock_limit_ms = 0;
    if (left > db.timeout_us / 10 * 9 || left < 3 * db.answer_us)
        return;
    call->limit_ms = (int) ((left - db.answer_us) / MS(1));
    call->lock_limit_ms = (int) ((left - 2 * db.answer_us) / MS(1));
}

static void dispatch(struct pool *p) {
    int64_t now = p->queued > 0 ? clock_us() : 0;
    struct pg_conn *conn;
    struct call *call;

    while (p->queued > 0 && (conn = least_loaded(p, now)) != NULL &&
           (call = next_call(p, now)) != NULL) {
        list_remove(&call->queue);
        p->queued--;
        call->state = CALL_SENT;
        call->conn = conn;
        call->backend = PQbackendPID(conn->pg);
        list_append(&conn->calls, &call->queue);
        if (conn->in_flight++ == 0)
            conn->moved_at = now;
        p->in_flight++;
        if (call->lane != NULL)
            call->lane->active++;
        set_limits(call, now);
        pgconn_send(conn, call);
    }
    for (unsigned i = 0; i < p->size; i++)
        pgconn_flush(&p->conns[i]);
}

void pool_dispatch(void) {
    for (unsigned i = 0; i < CALL_CLASSES; i++)
        dispatch(&db.pools[i]);
}

static bool is_away(const struct pool *p) {
    for (unsigned i = 0; i < p->size; i++)
        if (p->conns[i].failures == 0)
            return false;
    return true;
}

static void expire(struct call *call) {
    struct pool *p = &db.pools[call->class];

    p->expired++;
    if (call->state == CALL_SENT) {
        /* it cannot be called back without waiting, so its connection goes; the server ends the
         * statement by its own time limit */
        pgconn_replace(call->conn, "a statement took longer than CLINICQ_REQUEST_TIMEOUT_MS");
    } else if (is_away(p)) {
        finish(call, CALL_AWAY);
    } else {
        finish(call, call->safe ? CALL_EXPIRED : CALL_BUSY);
    }
}

void pool_tick(int64_t now) {
    while (!list_empty(&db.deadlines)) {
        struct call *call = list_item(db.deadlines.next, struct call, deadline);

        if (call->expires_at > now)
            break;
        expire(call);
    }
    for (unsigned i = 0; i < CALL_CLASSES; i++)
        for (unsigned k = 0; k < db.pools[i].size; k++)
            pgconn_tick(&db.pools[i].conns[k], now);
}

int64_t pool_next(void) {
    int64_t next = CLOCK_NEVER;

    if (!list_empty(&db.deadlines))
        next = list_item(db.deadlines.next, struct call, deadline)->expires_at;
    for (unsigned i = 0; i < CALL_CLASSES; i++)
        for (unsigned k = 0; k < db.pools[i].size; k++)
            if (db.pools[i].conns[k].at < next)
                next = db.pools[i].conns[k].at;
    return next;
}

bool pool_ready(enum call_class class) {
    return db.pools[class].ready > 0;
}

void pool_gauges(struct pool_gauge out[CALL_CLASSES]) {
    for (unsigned i = 0; i < CALL_CLASSES; i++) {
        const struct pool *p = &db.pools[i];

        out[i] = (struct pool_gauge){.name = p->name,
                                     .size = p->size,
                                     .ready = p->ready,
                                     .in_flight = p->in_flight,
                                     .queued = p->queued,
                                     .depth = p->depth,
                                     .reconnects = p->reconnects,
                                     .retries = p->retries,
                                     .expired = p->expired,
                                     .lost = p->lost};
    }
}

void pool_close(void) {
    for (unsigned i = 0; i < CALL_CLASSES; i++) {
        struct pool *p = &db.pools[i];

        for (unsigned k = 0; k < p->size; k++)
            pgconn_close(&p->conns[k]);
        while (!list_empty(&p->waiting))
            finish(list_item(p->waiting.next, struct call, queue), CALL_AWAY);
        free(p->conns);
        p->conns = NULL;
        p->size = 0;
    }
}

/* One non-blocking libpq connection in pipeline mode. Used by pool.c only. */
#ifndef CLINICQ_PGCONN_H
#define CLINICQ_PGCONN_H

#include "list.h"
#include "loop.h"
#include "pool.h"

struct pool {
    const char *name;
    struct pg_conn *conns;
    unsigned size;
    unsigned depth;
    unsigned lane_limit;
    struct list waiting;
    unsigned queued;
    unsigned in_flight;
    unsigned ready; /* connections that are up */
    uint64_t reconnects, retries, expired, lost;
};

enum pg_state {
    PG_CLOSED,     /* until retry time `at` */
    PG_CONNECTING, /* PQconnectPoll, until `at` */
    PG_PREPARING,  /* its first statement is on its way, until `at` */
    PG_READY,
};

struct pg_conn {
    struct loop_source source;
    struct pool *pool;
    PGconn *pg;
    enum pg_state state;
    int64_t at; /* CLOCK_NEVER when ready */
    int fd;
    uint32_t events;
    unsigned failures; /* in a row */
    bool was_ready;
    bool dirty; /* something may wait to be flushed */
    bool prepared;
    unsigned generation; /* of the prepared statement */
    unsigned in_flight;
    int64_t moved_at;  /* when it last answered, or began to work */
    struct list calls; /* in the order they were sent */
};

/* listen: what each connection says first, NULL for nothing; notice: told when something came of
 * it. */
void pgconn_setup(const char *dsn, bool prepare, const char *listen, void (*notice)(void));
void pgconn_init(struct pg_conn *conn, struct pool *pool);
/* Sends a call that stands in conn->calls already. */
void pgconn_send(struct pg_conn *conn, struct call *call);
void pgconn_flush(struct pg_conn *conn);
/* Closes a healthy connection to be rid of what it works on, and connects again at once. */
void pgconn_replace(struct pg_conn *conn, const char *why);
/* Closes the connection, answers or requeues its calls, and connects again later. */
void pgconn_lose(struct pg_conn *conn, const char *why);
void pgconn_tick(struct pg_conn *conn, int64_t now);
void pgconn_close(struct pg_conn *conn);

/* Called back: the Sync of the call came; the connection's calls will have no answer, replaced if
 * the database is not to blame. */
void pool_call_answered(struct call *call);
void pool_calls_lost(struct pg_conn *conn, bool replaced);

#endif

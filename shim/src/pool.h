/* Connections to the database: three pools, each with a queue of waiting calls. */
#ifndef CLINICQ_POOL_H
#define CLINICQ_POOL_H

#include "lane.h"
#include "list.h"
#include "route.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define CALL_PARAMETERS 14

enum call_state { CALL_IDLE, CALL_QUEUED, CALL_SENT };

enum call_outcome {
    CALL_RESULT,  /* result holds rows or an error of the server */
    CALL_EXPIRED, /* what changes nothing was not answered in time */
    CALL_BUSY,    /* never sent: no connection was free in time */
    CALL_AWAY,    /* never sent, or lost twice: no database */
    CALL_UNKNOWN, /* it may change something, was sent, and its answer never came */
};

/* One statement of one transaction. Embedded in whatever waits for it; the pool holds it from
 * pool_submit() until done() or pool_abandon(). */
struct call {
    enum call_class class;
    int parameter_count; /* of sql */
    const char *sql;     /* NULL: clinicq_api.call with the parameters */
    const char *parameters[CALL_PARAMETERS];
    bool safe;         /* changes nothing (RFC 9110, 9.2.1): it may be sent again */
    bool goes_on;      /* has the time that the call before it left */
    struct lane *lane; /* owned, dropped with the call */
    void (*done)(struct call *call);

    enum call_outcome outcome;
    PGresult *result; /* whoever reads the outcome clears it */

    /* the pool's own */
    enum call_state state;
    struct list queue;    /* waiting, or in flight on conn */
    struct list deadline; /* all calls, the first to expire first */
    int64_t expires_at;
    int limit_ms;      /* the server ends it after so long; 0: after its own limits */
    int lock_limit_ms; /* and its waits for a lock after so long */
    struct pg_conn *conn;
    unsigned generation;
    int backend; /* the last process that it was sent to, 0: none */
    unsigned char conflicts;
    bool resent;
    bool prepared_again;
    bool carries_prepare;
    bool sets_limits; /* the rows of that come first */
    bool failed;      /* result is an error */
};

struct pool_gauge {
    const char *name;
    unsigned size, ready, in_flight, queued, depth;
    uint64_t reconnects, retries, expired, lost;
};

struct config;

/* listen, notice: as for pgconn_setup(). */
void pool_open(const struct config *c, const char *listen, void (*notice)(void));
/* False when the queue of the class is full, and after pool_close(); the lane is dropped then. */
bool pool_submit(struct call *call);
/* Of a call that is done without what it was made for: the outcome, or the SQLSTATE, which lasts as
 * long as the result. */
const char *pool_fault(const struct call *call);
/* Takes a call back: its connection is closed if it was in flight. */
void pool_abandon(struct call *call);
/* Sends what can be sent. Once a loop turn, after all that submits. */
void pool_dispatch(void);
/* Expires calls and opens connections. */
void pool_tick(int64_t now);
/* When pool_tick() has to run again. */
int64_t pool_next(void);
bool pool_ready(enum call_class class);
void pool_gauges(struct pool_gauge out[CALL_CLASSES]);
/* Ends every call and connection. */
void pool_close(void);

#endif

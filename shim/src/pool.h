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
    CALL_EXPIRED, /* a read was not answered in time */
    CALL_BUSY,    /* never sent: no connection was free in time */
    CALL_AWAY,    /* never sent, or a read lost twice: no database */
    CALL_UNKNOWN, /* a write was sent and its answer never came */
};

/* One statement of one transaction. Embedded in whatever waits for it; the pool holds it from
 * pool_submit() until done() or pool_abandon(). */
struct call {
    enum call_class class;
    const char *sql; /* NULL: clinicq_api.call with the parameters */
    const char *parameters[CALL_PARAMETERS];
    struct lane *lane; /* owned, dropped with the call */
    void (*done)(struct call *call);

    enum call_outcome outcome;
    PGresult *result; /* whoever reads the outcome clears it */

    /* the pool's own */
    enum call_state state;
    struct list queue;    /* waiting, or in flight on conn */
    struct list deadline; /* all calls, the oldest first */
    int64_t expires_at;
    struct pg_conn *conn;
    unsigned generation;
    int backend; /* the last process that it was sent to, 0: none */
    unsigned char conflicts;
    bool resent;
    bool prepared_again;
    bool carries_prepare;
    bool failed; /* result is an error */
};

struct pool_gauge {
    const char *name;
    unsigned size, ready, in_flight, queued, depth;
    uint64_t reconnects, retries, expired, lost;
};

struct config;

void pool_open(const struct config *c);
/* False when the queue of the class is full, and after pool_close(). */
bool pool_submit(struct call *call);
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

/*
 * estimate.h: how long those who wait in a queue will wait. Between SPI_connect and SPI_finish.
 */
#ifndef CQ_ESTIMATE_H
#define CQ_ESTIMATE_H

#include "postgres.h"

#include "lib/stringinfo.h"

typedef struct Wait {
    int64 visit_id;
    int32 token;
    int from, to; /* whole minutes until the call */
} Wait;

typedef struct Estimate {
    Wait *waits; /* in the order in which they are called */
    int count;
    const char *reason; /* why from and to are not known; NULL where they are */
    char *prefix;
    char *last_called; /* token called last today, as shown; NULL for none */
    int rooms;         /* that call from this queue */
    int samples;       /* measured services that the estimate rests on */
} Estimate;

/* False where there is no such open queue. The result lives until SPI_finish. */
extern bool estimate_queue(int64 queue_id, Estimate *estimate);

/* Appends from and to (minutes, or null) of one who waits; index -1: of nobody. */
extern void estimate_append_range(StringInfo json, const Estimate *estimate, int index);

#endif

/*
 * webhook.h: endpoints of others that are told of visits. What runs SQL here does so between
 * SPI_connect and SPI_finish.
 */
#ifndef CQ_WEBHOOK_H
#define CQ_WEBHOOK_H

#include "postgres.h"

#include "faults.h"
#include "lib/stringinfo.h"

/* Faults for an address, moves and queues (texts and ids; arrays as datums) that cannot be. */
extern void webhook_check(Faults *faults, const char *url, Datum moves, Datum queues);
extern int64 webhook_add(const char *url, Datum moves, Datum queues);
/* With what is still to be delivered to it. P0002: none. */
extern void webhook_remove(int64 id);

/* Fills SPI_tuptable with all, or one (0: all); a row as a JSON object. */
extern uint64 webhook_read(int64 id);
extern void webhook_append_json(StringInfo json, uint64 row);

#endif

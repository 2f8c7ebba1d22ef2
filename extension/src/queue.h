/*
 * queue.h: queues. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_QUEUE_H
#define CQ_QUEUE_H

#include "postgres.h"

#include "faults.h"
#include "lib/stringinfo.h"
#include "utils/date.h"

/* Checks and trims what is given (NULL: not given). */
extern void queue_check(Faults *faults, char **name, char *token_prefix);

/* Returns the id. 23505: an open queue has that name; P0002: no such clinic. */
extern int64 queue_create(int64 clinic_id, const char *name, const char *token_prefix);

/* NULL leaves as it is. P0002: no such open queue. */
extern void queue_change(int64 queue_id, const char *name, const char *token_prefix);
extern void queue_close(int64 queue_id); /* QC409: visits are open */

/* The clinic of an open queue, whose row is locked FOR KEY SHARE against closing; 0: none. */
extern int64 queue_lock(int64 queue_id);

/* Locks a queue and appends it as GET shows it now; false where key names none. For etag.c. */
extern bool queue_append_locked(const char *key, StringInfo json);

#endif

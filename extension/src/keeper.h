/*
 * keeper.h: what is done for a database by itself, job by job, in the processes of worker.h.
 */
#ifndef CQ_KEEPER_H
#define CQ_KEEPER_H

#include "postgres.h"

/* Settings, shared memory and processes. */
extern void keeper_init(void);

/* Whether a keeper works for the present database. */
extern bool keeper_is_running(void);

/* Whether one of its processes gives events their places in the feed; and something for it to do.
 */
extern bool keeper_feeds(void);
extern void keeper_wake_feed(void);

/* Something was written to the outbox, and committed. */
extern void keeper_wake_outbox(void);

#endif

/*
 * keeper.h: the background worker `clinicq keeper`, with shared_preload_libraries only: one
 * process that starts others, one for each database of clinicq.databases, which does the jobs.
 */
#ifndef CQ_KEEPER_H
#define CQ_KEEPER_H

#include "postgres.h"

/* Settings; and where the library is preloaded, shared memory and the worker. */
extern void keeper_init(void);

/* Whether a keeper works for the present database. */
extern bool keeper_is_running(void);

/* Whether one of its processes gives events their places in the feed; and something for it to do.
 */
extern bool keeper_feeds(void);
extern void keeper_wake_feed(void);

#endif

/*
 * worker.h: the background processes, with shared_preload_libraries only: one that starts the
 * others, and of each kind one for each database of clinicq.databases. Which there are, and what
 * wakes them, stands in shared memory.
 */
#ifndef CQ_WORKER_H
#define CQ_WORKER_H

#include "postgres.h"

#define DATABASES_MAX 32
/* After which a database that came, or a worker that ended, is seen. */
#define WORKER_LOOK_MS 5000

/* The feed has a process of its own: no other job may hold it up. */
typedef enum WorkerKind { WORKER_KEEPER, WORKER_FEED, WORKER_KINDS } WorkerKind;

/* Settings; and where the library is preloaded, shared memory and the first process. */
extern void workers_init(void);

/* Of a process: "clinicq keeper". */
extern const char *worker_name(WorkerKind kind);

/* What there is to do for a worker that is woken, as bits. */
#define WAKE_FEED   0x01
#define WAKE_OUTBOX 0x02

/* Whether one of a kind works for the present database; and something for it to do. */
extern bool worker_is_running(WorkerKind kind);
extern void worker_wake(WorkerKind kind, uint32 what);

/*
 * In such a process. The first connects it; false where another one does the same already, or
 * there is no room. A wait ends early when there is something to do, and reads a configuration
 * that was changed.
 */
extern bool worker_begin(Oid database, WorkerKind *kind);
extern uint32 worker_was_woken(void); /* for what, since the last time */
extern bool worker_is_wanted(void);   /* the database is still one of those configured */
extern void worker_wait(long ms);

#endif

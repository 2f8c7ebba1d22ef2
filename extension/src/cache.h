/*
 * cache.h: when to drop what a backend keeps in memory (settings, clinics, routes, readiness).
 *
 * cache_generation grows whenever one of the tables behind these changes in any backend, and
 * whenever a function is created or dropped. A cache is valid while its own copy of it is equal.
 */
#ifndef CQ_CACHE_H
#define CQ_CACHE_H

#include "postgres.h"

extern uint64 cache_generation;

extern void cache_init(void);

/* An Oid of a table in schema clinicq, InvalidOid if it is not there. */
extern Oid cache_table(const char *name);

/*
 * Raises 55000 unless clinicq.migrate() has run for the installed extension: without it,
 * triggers that audit may be missing.
 */
extern void cache_require_ready(void);

#endif

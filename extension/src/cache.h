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

/*
 * Round the reading of what a cache keeps: SPI_connect, and a snapshot of what is committed now.
 * The statement's own may be older than the change that emptied the cache. Returns the generation
 * that the cache then is of; 0, which none ever is, where it must not be kept.
 */
extern uint64 cache_fill_begin(void);
extern void cache_fill_end(uint64 generation);

/* An Oid of a table in schema clinicq, InvalidOid if it is not there. */
extern Oid cache_table(const char *name);

/*
 * Raises 55000 unless clinicq.migrate() has run for the installed extension: without it,
 * triggers that audit may be missing.
 */
extern void cache_require_ready(void);
extern bool cache_is_ready(void);

#endif

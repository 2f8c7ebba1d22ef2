/*
 * gather.h: tallies that are counted in shared memory first, so that a read writes nothing.
 *
 * There with shared_preload_libraries, and while something calls close_tallies() at least once a
 * second, which writes them: a crash loses what came in since. The first of a tally is written at
 * once then, its repetitions when its time is over. An orderly stop keeps all in a file.
 */
#ifndef CQ_GATHER_H
#define CQ_GATHER_H

#include "postgres.h"

#include "tally.h"

extern void gather_init(void);

/* False: not counted, because nobody would write it, there is no room, or a text is too long. */
extern bool gather(const Tally *tally);

/*
 * Writes what is gathered for this database, but for what somebody else writes at this moment.
 * Between SPI_connect and SPI_finish.
 */
extern void gather_flush(void);

/*
 * Writes all searches, and leaves none in memory. Under a lock of clinicq.audit_tally that keeps
 * out writers, so that none is on its way there. Between SPI_connect and SPI_finish.
 */
extern void gather_flush_searches(void);

#endif

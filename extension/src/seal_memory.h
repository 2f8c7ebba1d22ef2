/*
 * seal_memory.h: which seal this server made last, in shared memory, where SQL does not reach it.
 * There with shared_preload_libraries; forgotten when the server starts.
 */
#ifndef CQ_SEAL_MEMORY_H
#define CQ_SEAL_MEMORY_H

#include "postgres.h"

#include "merkle.h"

extern void seal_memory_init(void);

/* Once it is committed. Raises nothing. */
extern void seal_memory_keep(int64 number, const MerkleHash *hash);

/* The last one of this database; false where none is known. */
extern bool seal_memory_read(int64 *number, MerkleHash *hash);

#endif

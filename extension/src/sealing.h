/*
 * sealing.h: putting events into the tree, and the tree as it is stored.
 */
#ifndef CQ_SEALING_H
#define CQ_SEALING_H

#include "postgres.h"

#include "merkle.h"
#include "seal.h"

/* Complete subtrees from this level on are stored; below, they are made of their leaves. */
#define NODE_LEVEL 10

/* What a backend registers once. */
extern void sealing_init(void);

/* How far a large backlog has been sealed: by the order of (at, id). */
typedef struct Sweep {
    bool active;
    TimestampTz at;
    int64 id;
    int64 floor; /* of ids, where it has come to its end */
} Sweep;

/*
 * Seals one batch of events, in a transaction of READ COMMITTED. True while there are more; sweep
 * starts zeroed, and again where the transaction did not commit. Without wait nothing is sealed
 * while somebody else does. XX001: the tree is not that of the last seal, or the last seal is gone.
 */
extern bool seal_batch(Sweep *sweep, bool wait);

/* Whether nothing can have been committed since this backend found nothing to seal. */
extern bool sealing_is_idle(void);

/*
 * How many committed events are not sealed, up to a batch, and for how many seconds the oldest of
 * them. Between SPI_connect and SPI_finish.
 */
extern int64 unsealed_count(double *seconds);

/* The last seal; false where there is none. Between SPI_connect and SPI_finish. */
extern bool seal_last(Seal *seal);

/* A MerkleSubtree of the stored tree; arg: a StoredTree, zeroed at first. */
typedef struct StoredTree {
    bool filled;
    int64 first; /* position of hashes[0] */
    int count;
    MerkleHash hashes[1 << NODE_LEVEL];
} StoredTree;
extern bool stored_subtree(void *arg, unsigned level, uint64_t index, MerkleHash *hash);

#endif

/*
 * merkle.h: the hash tree of RFC 6962, section 2.1, and its two proofs. Of the server nothing is
 * needed, so that clinicq-audit is built from the same code.
 */
#ifndef CQ_MERKLE_H
#define CQ_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH   32
#define MERKLE_LEVELS 64
#define MERKLE_PROOF  (2 * MERKLE_LEVELS) /* hashes of the longest proof */

typedef struct MerkleHash {
    uint8_t bytes[MERKLE_HASH];
} MerkleHash;

/* A tree by its peaks: peaks[level] is the complete subtree of 2^level leaves, where size has it.
 */
typedef struct MerkleTree {
    uint64_t size;
    MerkleHash peaks[MERKLE_LEVELS];
} MerkleTree;

/* Told of each complete subtree: the leaves index * 2^level up to the next one's first. */
typedef void (*MerkleDone)(void *arg, unsigned level, uint64_t index, const MerkleHash *hash);
/* Gives the hash of a complete subtree; false where it cannot. */
typedef bool (*MerkleSubtree)(void *arg, unsigned level, uint64_t index, MerkleHash *hash);

extern void merkle_leaf(MerkleHash *hash, const void *data, size_t length);
extern void merkle_node(MerkleHash *hash, const MerkleHash *left, const MerkleHash *right);
extern bool merkle_equal(const MerkleHash *a, const MerkleHash *b);

/* done may be NULL. */
extern void merkle_append(MerkleTree *tree, const MerkleHash *leaf, MerkleDone done, void *arg);
extern void merkle_root(const MerkleTree *tree, MerkleHash *root);
/* The peaks of a tree of this size, from its complete subtrees. */
extern bool merkle_load(MerkleTree *tree, uint64_t size, MerkleSubtree subtree, void *arg);

/*
 * PATH(position, D[size]) and PROOF(old_size, D[size]): the number of hashes put into proof, which
 * has room for MERKLE_PROOF; -1 where subtree could not give one, or there is no such proof.
 */
extern int merkle_inclusion(uint64_t position, uint64_t size, MerkleSubtree subtree, void *arg,
                            MerkleHash *proof);
extern int merkle_consistency(uint64_t old_size, uint64_t size, MerkleSubtree subtree, void *arg,
                              MerkleHash *proof);

/* RFC 9162, sections 2.1.3.2 and 2.1.4.2. */
extern bool merkle_inclusion_holds(const MerkleHash *leaf, uint64_t position, uint64_t size,
                                   const MerkleHash *proof, int length, const MerkleHash *root);
extern bool merkle_consistency_holds(uint64_t old_size, const MerkleHash *old_root, uint64_t size,
                                     const MerkleHash *root, const MerkleHash *proof, int length);

#endif

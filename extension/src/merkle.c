#include "merkle.h"

#include <sodium.h>
#include <string.h>

typedef struct Prover {
    MerkleSubtree subtree;
    void *arg;
    MerkleHash *proof;
    int length;
} Prover;

void merkle_leaf(MerkleHash *hash, const void *data, size_t length) {
    static const unsigned char prefix = 0;
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &prefix, 1);
    crypto_hash_sha256_update(&state, data, length);
    crypto_hash_sha256_final(&state, hash->bytes);
}

void merkle_node(MerkleHash *hash, const MerkleHash *left, const MerkleHash *right) {
    unsigned char both[1 + 2 * MERKLE_HASH];

    both[0] = 1;
    memcpy(both + 1, left->bytes, MERKLE_HASH);
    memcpy(both + 1 + MERKLE_HASH, right->bytes, MERKLE_HASH);
    crypto_hash_sha256(hash->bytes, both, sizeof both);
}

bool merkle_equal(const MerkleHash *a, const MerkleHash *b) {
    return memcmp(a->bytes, b->bytes, MERKLE_HASH) == 0;
}

void merkle_append(MerkleTree *tree, const MerkleHash *leaf, MerkleDone done, void *arg) {
    MerkleHash hash = *leaf;
    unsigned level = 0;

    if (done != NULL)
        done(arg, 0, tree->size, &hash);
    for (; tree->size >> level & 1; level++) {
        MerkleHash right = hash;

        merkle_node(&hash, &tree->peaks[level], &right);
        if (done != NULL)
            done(arg, level + 1, tree->size >> (level + 1), &hash);
    }
    tree->peaks[level] = hash;
    tree->size++;
}

void merkle_root(const MerkleTree *tree, MerkleHash *root) {
    bool any = false;

    if (tree->size == 0) {
        crypto_hash_sha256(root->bytes, (const unsigned char *) "", 0);
        return;
    }
    for (unsigned level = 0; level < MERKLE_LEVELS; level++)
        if (tree->size >> level & 1) {
            MerkleHash right = *root;

            if (any)
                merkle_node(root, &tree->peaks[level], &right);
            else
                *root = tree->peaks[level];
            any = true;
        }
}

bool merkle_load(MerkleTree *tree, uint64_t size, MerkleSubtree subtree, void *arg) {
    memset(tree, 0, sizeof *tree);
    tree->size = size;
    for (unsigned level = 0; level < MERKLE_LEVELS; level++)
        if (size >> level & 1)
            if (!subtree(arg, level, (size >> level) - 1, &tree->peaks[level]))
                return false;
    return true;
}

/* The largest power of two below n, as its exponent; n > 1. */
static unsigned split_level(uint64_t n) {
    unsigned level = 0;

    while (level + 1 < MERKLE_LEVELS && (UINT64_C(2) << level) < n)
        level++;
    return level;
}

/* MTH of the leaves first to first + n; first is a multiple of a power of two that is >= n. */
static bool range_hash(const Prover *prover, uint64_t first, uint64_t n, MerkleHash *hash) {
    unsigned level;
    MerkleHash left, right;

    if (n == 1)
        return prover->subtree(prover->arg, 0, first, hash);
    level = split_level(n);
    if (n == UINT64_C(2) << level)
        return prover->subtree(prover->arg, level + 1, first >> (level + 1), hash);
    if (!prover->subtree(prover->arg, level, first >> level, &left) ||
        !range_hash(prover, first + (UINT64_C(1) << level), n - (UINT64_C(1) << level), &right))
        return false;
    merkle_node(hash, &left, &right);
    return true;
}

static bool prove_range(Prover *prover, uint64_t first, uint64_t n) {
    return range_hash(prover, first, n, &prover->proof[prover->length++]);
}

static bool inclusion(Prover *prover, uint64_t position, uint64_t first, uint64_t n) {
    uint64_t k;

    if (n == 1)
        return true;
    k = UINT64_C(1) << split_level(n);
    if (position < k)
        return inclusion(prover, position, first, k) && prove_range(prover, first + k, n - k);
    return inclusion(prover, position - k, first + k, n - k) && prove_range(prover, first, k);
}

int merkle_inclusion(uint64_t position, uint64_t size, MerkleSubtree subtree, void *arg,
                     MerkleHash *proof) {
    Prover prover = {subtree, arg, proof, 0};

    if (position >= size || !inclusion(&prover, position, 0, size))
        return -1;
    return prover.length;
}

/* SUBPROOF of RFC 6962, section 2.1.2; whole: b. */
static bool subproof(Prover *prover, uint64_t old_size, uint64_t first, uint64_t n, bool whole) {
    uint64_t k;

    if (old_size == n)
        return whole || prove_range(prover, first, n);
    k = UINT64_C(1) << split_level(n);
    if (old_size <= k)
        return subproof(prover, old_size, first, k, whole) && prove_range(prover, first + k, n - k);
    return subproof(prover, old_size - k, first + k, n - k, false) && prove_range(prover, first, k);
}

int merkle_consistency(uint64_t old_size, uint64_t size, MerkleSubtree subtree, void *arg,
                       MerkleHash *proof) {
    Prover prover = {subtree, arg, proof, 0};

    if (old_size > size || (old_size > 0 && !subproof(&prover, old_size, 0, size, true)))
        return -1;
    return prover.length;
}

bool merkle_inclusion_holds(const MerkleHash *leaf, uint64_t position, uint64_t size,
                            const MerkleHash *proof, int length, const MerkleHash *root) {
    uint64_t fn = position;
    uint64_t sn = size - 1;
    MerkleHash r = *leaf;

    if (position >= size)
        return false;
    for (int i = 0; i < length; i++) {
        MerkleHash previous = r;

        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(&r, &proof[i], &previous);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else
            merkle_node(&r, &previous, &proof[i]);
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && merkle_equal(&r, root);
}

bool merkle_consistency_holds(uint64_t old_size, const MerkleHash *old_root, uint64_t size,
                              const MerkleHash *root, const MerkleHash *proof, int length) {
    uint64_t fn = old_size - 1;
    uint64_t sn = size - 1;
    MerkleHash fr, sr;
    int next = 0;

    if (old_size > size)
        return false;
    if (old_size == 0)
        return length == 0;
    if (old_size == size)
        return length == 0 && merkle_equal(old_root, root);
    if (length == 0)
        return false;
    /* A tree of a power of two is its own first hash, which the proof leaves out. */
    fr = (old_size & (old_size - 1)) == 0 ? *old_root : proof[next++];
    sr = fr;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    for (; next < length; next++) {
        MerkleHash first = fr;
        MerkleHash second = sr;

        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(&fr, &proof[next], &first);
            merkle_node(&sr, &proof[next], &second);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else
            merkle_node(&sr, &second, &proof[next]);
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && merkle_equal(&fr, old_root) && merkle_equal(&sr, root);
}

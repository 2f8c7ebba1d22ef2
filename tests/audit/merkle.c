/* Proves merkle.c: the trees and proofs of RFC 6962 for the leaves that Certificate Transparency's
 * own tests use, and for trees of every size up to some hundred against a plain recursion. TAP. */
#include "../../extension/src/merkle.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 300

static int number = 0;
static int failed = 0;

static void ok(bool good, const char *what) {
    printf("%sok %d - %s\n", good ? "" : "not ", ++number, what);
    failed += good ? 0 : 1;
}

static bool is_hex(const MerkleHash *hash, const char *hex) {
    char text[2 * MERKLE_HASH + 1];

    sodium_bin2hex(text, sizeof text, hash->bytes, MERKLE_HASH);
    return strcmp(text, hex) == 0;
}

static MerkleHash leaves[MOST];

/* MTH as the RFC writes it. */
static MerkleHash naive(unsigned first, unsigned n) {
    MerkleHash left, right, root;
    unsigned k = 1;

    if (n == 0) {
        crypto_hash_sha256(root.bytes, (const unsigned char *) "", 0);
        return root;
    }
    if (n == 1)
        return leaves[first];
    while (2 * k < n)
        k *= 2;
    left = naive(first, k);
    right = naive(first + k, n - k);
    merkle_node(&root, &left, &right);
    return root;
}

static bool subtree(void *arg, unsigned level, uint64_t index, MerkleHash *hash) {
    (void) arg;
    *hash = naive((unsigned) (index << level), 1u << level);
    return true;
}

static void known(void) {
    static const struct {
        const char *data;
        size_t length;
        const char *root; /* with all leaves up to here */
    } vector[] = {
        {"", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"\x00", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"\x30\x31", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"\x40\x41\x42\x43", 4, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"\x50\x51\x52\x53\x54\x55\x56\x57", 8,
         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16,
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    static const char *const path_of_5_in_8[] = {
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    };
    static const char *const from_6_to_8[] = {
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    };
    MerkleTree tree = {0};
    MerkleHash root, proof[MERKLE_PROOF];
    bool good;

    merkle_root(&tree, &root);
    ok(is_hex(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
       "the empty tree");
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++) {
        char what[32];

        merkle_leaf(&leaves[i], vector[i].data, vector[i].length);
        merkle_append(&tree, &leaves[i], NULL, NULL);
        merkle_root(&tree, &root);
        snprintf(what, sizeof what, "root of %zu leaves", i + 1);
        ok(is_hex(&root, vector[i].root), what);
    }
    good = merkle_inclusion(5, 8, subtree, NULL, proof) == 3;
    for (int i = 0; i < 3; i++)
        good = good && is_hex(&proof[i], path_of_5_in_8[i]);
    ok(good, "the path of leaf 5 of 8");
    good = merkle_consistency(6, 8, subtree, NULL, proof) == 3;
    for (int i = 0; i < 3; i++)
        good = good && is_hex(&proof[i], from_6_to_8[i]);
    ok(good, "the proof from 6 to 8");
}

typedef struct Told {
    bool good;
    unsigned count;
} Told;

static void told(void *arg, unsigned level, uint64_t index, const MerkleHash *hash) {
    Told *seen = arg;
    MerkleHash expected = naive((unsigned) (index << level), 1u << level);

    seen->good = seen->good && merkle_equal(hash, &expected);
    seen->count++;
}

static bool refuse(void *arg, unsigned level, uint64_t index, MerkleHash *hash) {
    (void) arg;
    (void) hash;
    return level == 0 && index < 2;
}

/* Every size, every position, every older size; and none of the proofs holds after a change. */
static void random_trees(void) {
    MerkleTree tree = {0}, loaded;
    MerkleHash roots[MOST + 1], proof[MERKLE_PROOF];
    Told seen = {true, 0};
    bool root_good = true, load_good = true, inclusion_good = true, consistency_good = true;
    bool forged = false;

    for (unsigned i = 0; i < MOST; i++)
        randombytes_buf(leaves[i].bytes, MERKLE_HASH);
    merkle_root(&tree, &roots[0]);
    for (unsigned n = 1; n <= MOST; n++) {
        MerkleHash expected = naive(0, n), again;

        merkle_append(&tree, &leaves[n - 1], told, &seen);
        merkle_root(&tree, &roots[n]);
        root_good = root_good && merkle_equal(&roots[n], &expected);
        load_good = load_good && merkle_load(&loaded, n, subtree, NULL);
        merkle_root(&loaded, &again);
        load_good = load_good && merkle_equal(&again, &expected);
    }
    ok(root_good, "roots of trees of every size");
    ok(seen.good && seen.count >= 2 * MOST - 10, "each complete subtree is told, with its hash");
    ok(load_good, "a tree from its complete subtrees");
    for (unsigned n = 1; n <= MOST; n += n < 70 ? 1 : 17)
        for (unsigned i = 0; i < n; i++) {
            int length = merkle_inclusion(i, n, subtree, NULL, proof);
            unsigned other = (i + 1) % n;

            inclusion_good = inclusion_good && length >= 0 &&
                             merkle_inclusion_holds(&leaves[i], i, n, proof, length, &roots[n]);
            forged =
                forged ||
                (n > 1 && merkle_inclusion_holds(&leaves[i], other, n, proof, length, &roots[n])) ||
                (n > 1 && merkle_inclusion_holds(&leaves[other], i, n, proof, length, &roots[n])) ||
                merkle_inclusion_holds(&leaves[i], i, n, proof, length + 1, &roots[n]) ||
                (length > 0 &&
                 merkle_inclusion_holds(&leaves[i], i, n, proof, length - 1, &roots[n]));
            if (length > 0) {
                proof[length / 2].bytes[i % MERKLE_HASH] ^= 1;
                forged =
                    forged || merkle_inclusion_holds(&leaves[i], i, n, proof, length, &roots[n]);
            }
        }
    ok(inclusion_good, "every leaf's inclusion holds");
    for (unsigned n = 1; n <= MOST; n += n < 70 ? 1 : 17)
        for (unsigned m = 0; m <= n; m++) {
            int length = merkle_consistency(m, n, subtree, NULL, proof);

            consistency_good = consistency_good && length >= 0 &&
                               merkle_consistency_holds(m, &roots[m], n, &roots[n], proof, length);
            if (m > 0 && m < n) {
                forged = forged ||
                         merkle_consistency_holds(m, &roots[m - 1], n, &roots[n], proof, length) ||
                         merkle_consistency_holds(m, &roots[m], n, &roots[n - 1], proof, length) ||
                         merkle_consistency_holds(m, &roots[m], n, &roots[n], proof, length - 1);
                proof[length / 2].bytes[m % MERKLE_HASH] ^= 1;
                forged =
                    forged || merkle_consistency_holds(m, &roots[m], n, &roots[n], proof, length);
            }
        }
    ok(consistency_good, "every older tree is consistent with every newer one");
    ok(!forged, "no proof holds for another leaf, position, size, root or with another hash");
    ok(merkle_inclusion(5, 5, subtree, NULL, proof) == -1 &&
           merkle_consistency(6, 5, subtree, NULL, proof) == -1 &&
           merkle_inclusion(0, 8, refuse, NULL, proof) == -1 &&
           merkle_consistency(3, 8, refuse, NULL, proof) == -1 &&
           !merkle_load(&loaded, 8, refuse, NULL) &&
           !merkle_inclusion_holds(&leaves[0], 3, 3, proof, 0, &roots[3]) &&
           !merkle_consistency_holds(3, &roots[3], 2, &roots[2], proof, 0),
       "what cannot be proven is not");
}

int main(void) {
    if (sodium_init() < 0)
        return 1;
    known();
    random_trees();
    printf("1..%d\n", number);
    return failed != 0;
}

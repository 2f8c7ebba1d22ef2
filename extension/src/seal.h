/*
 * seal.h: a seal of the audit log: what it says, its text, its signature. AUDIT-FORMAT.md.
 */
#ifndef CQ_SEAL_H
#define CQ_SEAL_H

#include "postgres.h"

#include <sodium.h>

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "merkle.h"

typedef struct Seal {
    int64 number;        /* 1, 2, ... without gap */
    int64 size;          /* leaves of the tree */
    int64 previous_size; /* leaves at the seal before */
    MerkleHash root;
    MerkleHash previous; /* hash of the seal before; zeros before the first */
    TimestampTz at;
    int64 floor;     /* every event whose id is not above it is sealed */
    char system[21]; /* identifier of the database cluster */
    bool is_signed;
    uint8 public_key[crypto_sign_PUBLICKEYBYTES];
    uint8 signature[crypto_sign_BYTES];
    MerkleHash hash;
} Seal;

#define SEAL_COLUMNS                                                                              \
    "s.id, s.size, s.previous_size, s.root, s.previous_hash, s.at, s.floor, s.system_identifier," \
    " s.public_key, s.signature, s.hash"

/*
 * Reads a row of SPI_tuptable with SEAL_COLUMNS. False where a column has a length that no seal
 * has.
 */
extern bool seal_read(Seal *seal, uint64 row);

/* What is hashed and signed: one line of JSON. */
extern void seal_text(const Seal *seal, StringInfo out);
extern void seal_hash(const Seal *seal, MerkleHash *hash);
extern bool seal_signature_holds(const Seal *seal);

/* Signs with the configured key, where there is one, and sets the hash. */
extern void seal_finish(Seal *seal);

/* As it is exported and stands in the server's log. */
extern void seal_line(const Seal *seal, StringInfo line);

extern void append_hex(StringInfo out, const uint8 *bytes, int length);

/* The setting clinicq.seal_key_file. */
extern void seal_key_init(void);
extern bool seal_key_is_configured(void);
/* False where no key is configured, or it cannot be used, of which a warning tells once. */
extern bool seal_key_load(uint8 public_key[crypto_sign_PUBLICKEYBYTES],
                          uint8 secret_key[crypto_sign_SECRETKEYBYTES]);

#endif

#include "sha256.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "compat.h"

Datum sha256_datum(const char *value) {
    bytea *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
    pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

    SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
    if (context == NULL || pg_cryptohash_init(context) < 0 ||
        pg_cryptohash_update(context, (const uint8 *) value, strlen(value)) < 0 ||
        pg_cryptohash_final(context, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH) < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("SHA-256 is not available"));
    pg_cryptohash_free(context);
    return PointerGetDatum(hash);
}

#include "image_address.h"

#include <sodium.h>

#include "actor.h"
#include "dispatch.h"
#include "error.h"
#include "query.h"
#include "utils/timestamp.h"

#define SIGNATURE_DIGITS (2 * crypto_auth_hmacsha256_BYTES)
#define DAYS_GOOD        3 /* what is left of today, the next day and 24 hours more */
#define UNIX_DAYS        (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

QUERY(key_of_images, "SELECT key FROM clinicq.signing_key WHERE name = 'image'");
QUERY(user_of_address,
      "SELECT username, roles FROM clinicq.app_user WHERE id = $1 AND disabled_at IS NULL",
      INT8OID);

static void sign(int64 prescription_id, int64 user_id, int64 expires,
                 unsigned char signature[crypto_auth_hmacsha256_BYTES]) {
    char *message = psprintf("image " INT64_FORMAT " " INT64_FORMAT " " INT64_FORMAT,
                             prescription_id, user_id, expires);
    SPITupleTable *rows = SPI_tuptable;
    uint64 processed = SPI_processed;
    bytea *key;
    bool isnull;

    if (query_read(&key_of_images, NULL, NULL) == 0)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("there is no key to sign addresses of images with"),
                errhint("CALL clinicq.migrate() makes one."));
    key = DatumGetByteaPP(row_value(0, 1, &isnull));
    Assert(VARSIZE_ANY_EXHDR(key) == crypto_auth_hmacsha256_KEYBYTES); /* by a CHECK */
    crypto_auth_hmacsha256(signature, (const unsigned char *) message, strlen(message),
                           (const unsigned char *) VARDATA_ANY(key));
    SPI_freetuptable(SPI_tuptable);
    SPI_tuptable = rows;
    SPI_processed = processed;
}

static int64 unix_seconds(TimestampTz time) {
    return time / USECS_PER_SEC + (int64) UNIX_DAYS * SECS_PER_DAY;
}

char *image_address(int64 prescription_id) {
    int64 user_id = actor_current()->user_id;
    int64 now = unix_seconds(GetCurrentTransactionStartTimestamp());
    int64 expires = now - now % SECS_PER_DAY + DAYS_GOOD * SECS_PER_DAY;
    unsigned char signature[crypto_auth_hmacsha256_BYTES];
    char digits[SIGNATURE_DIGITS + 1];

    sign(prescription_id, user_id, expires, signature);
    return psprintf("%s/api/prescriptions/" INT64_FORMAT "/image/?user=" INT64_FORMAT
                    "&expires=" INT64_FORMAT "&signature=%s",
                    request_base_url(), prescription_id, user_id, expires,
                    sodium_bin2hex(digits, sizeof digits, signature, sizeof signature));
}

static bool is_signed(int64 prescription_id, int64 user_id, int64 expires, const char *digits) {
    unsigned char given[crypto_auth_hmacsha256_BYTES], own[crypto_auth_hmacsha256_BYTES];
    size_t length;

    if (digits == NULL || strlen(digits) != SIGNATURE_DIGITS ||
        sodium_hex2bin(given, sizeof given, digits, SIGNATURE_DIGITS, NULL, &length, NULL) != 0 ||
        length != sizeof given)
        return false;
    sign(prescription_id, user_id, expires, own);
    return sodium_memcmp(given, own, sizeof own) == 0;
}

void image_address_enter(int64 prescription_id, Fields *query) {
    int64 user_id = 0;
    int64 expires = 0;
    char *user = query_text(query, "user");
    char *end = query_text(query, "expires");
    Datum args[1];
    bool isnull;

    if (user == NULL || end == NULL || !parse_int64(user, &user_id) ||
        !parse_int64(end, &expires) ||
        !is_signed(prescription_id, user_id, expires, query_text(query, "signature")))
        error_not_found("image at", "this address");
    if (expires <= unix_seconds(GetCurrentTimestamp()))
        ereport(ERROR, errcode(ERRCODE_CQ_GONE), errmsg("the address of this image is too old"),
                errhint("GET /api/prescriptions/{id}/ names one that is good."));
    args[0] = Int64GetDatum(user_id);
    if (query_read(&user_of_address, args, NULL) == 0)
        error_not_found("image at", "this address");
    actor_set_user(user_id, row_text(0, 1), roles_from_array(row_value(0, 2, &isnull)));
}

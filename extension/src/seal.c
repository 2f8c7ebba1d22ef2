#include "seal.h"

#include "event_line.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"

PG_FUNCTION_INFO_V1(clinicq_seal_line);

void append_hex(StringInfo out, const uint8 *bytes, int length) {
    enlargeStringInfo(out, 2 * length + 1);
    sodium_bin2hex(out->data + out->len, 2 * (size_t) length + 1, bytes, (size_t) length);
    out->len += 2 * length;
}

static void json_hex(StringInfo json, const char *key, const uint8 *bytes, int length) {
    json_key(json, key);
    appendStringInfoChar(json, '"');
    append_hex(json, bytes, length);
    appendStringInfoChar(json, '"');
}

static void json_hex_or_null(StringInfo json, const char *key, bool isnull, const uint8 *bytes,
                             int length) {
    if (isnull)
        json_text(json, key, NULL);
    else
        json_hex(json, key, bytes, length);
}

/* A bytea column; false where its length is another. */
static bool read_bytes(uint64 row, int column, uint8 *bytes, int length) {
    bool isnull;
    Datum value = row_value(row, column, &isnull);
    bytea *data;

    memset(bytes, 0, length);
    if (isnull)
        return false;
    data = DatumGetByteaPP(value);
    if (VARSIZE_ANY_EXHDR(data) != length)
        return false;
    memcpy(bytes, VARDATA_ANY(data), length);
    return true;
}

bool seal_read(Seal *seal, uint64 row) {
    char *system = row_text(row, 8);
    bool whole = system != NULL && strlen(system) < sizeof seal->system;

    memset(seal, 0, sizeof *seal);
    seal->number = row_int64(row, 1);
    seal->size = row_int64(row, 2);
    seal->previous_size = row_int64(row, 3);
    whole = read_bytes(row, 4, seal->root.bytes, MERKLE_HASH) && whole;
    whole = read_bytes(row, 5, seal->previous.bytes, MERKLE_HASH) && whole;
    seal->at = row_int64(row, 6);
    seal->floor = row_int64(row, 7);
    strlcpy(seal->system, system ? system : "", sizeof seal->system);
    seal->is_signed = !row_isnull(row, 9);
    if (seal->is_signed) {
        whole = read_bytes(row, 9, seal->public_key, sizeof seal->public_key) && whole;
        whole = read_bytes(row, 10, seal->signature, sizeof seal->signature) && whole;
    } else
        whole = row_isnull(row, 10) && whole;
    return read_bytes(row, 11, seal->hash.bytes, MERKLE_HASH) && whole;
}

void seal_text(const Seal *seal, StringInfo out) {
    appendStringInfoChar(out, '{');
    json_int(out, "number", seal->number);
    json_int(out, "size", seal->size);
    json_int(out, "previous_size", seal->previous_size);
    json_hex(out, "root", seal->root.bytes, MERKLE_HASH);
    json_hex(out, "previous", seal->previous.bytes, MERKLE_HASH);
    line_instant(out, "at", seal->at);
    json_int(out, "floor", seal->floor);
    json_text(out, "system", seal->system);
    json_hex_or_null(out, "key", !seal->is_signed, seal->public_key, sizeof seal->public_key);
    appendStringInfoChar(out, '}');
}

void seal_hash(const Seal *seal, MerkleHash *hash) {
    StringInfoData out;

    initStringInfo(&out);
    seal_text(seal, &out);
    crypto_hash_sha256(hash->bytes, (const unsigned char *) out.data, (size_t) out.len);
    pfree(out.data);
}

bool seal_signature_holds(const Seal *seal) {
    StringInfoData out;
    bool holds;

    initStringInfo(&out);
    seal_text(seal, &out);
    holds = crypto_sign_verify_detached(seal->signature, (const unsigned char *) out.data,
                                        (size_t) out.len, seal->public_key) == 0;
    pfree(out.data);
    return holds;
}

void seal_finish(Seal *seal) {
    uint8 secret_key[crypto_sign_SECRETKEYBYTES];
    StringInfoData out;

    seal->is_signed = seal_key_load(seal->public_key, secret_key);
    initStringInfo(&out);
    seal_text(seal, &out);
    if (seal->is_signed) {
        crypto_sign_detached(seal->signature, NULL, (const unsigned char *) out.data,
                             (size_t) out.len, secret_key);
        sodium_memzero(secret_key, sizeof secret_key);
    }
    pfree(out.data);
    seal_hash(seal, &seal->hash);
}

void seal_line(const Seal *seal, StringInfo line) {
    appendStringInfoString(line, "{\"seal\":");
    seal_text(seal, line);
    json_hex(line, "hash", seal->hash.bytes, MERKLE_HASH);
    json_hex_or_null(line, "signature", !seal->is_signed, seal->signature, sizeof seal->signature);
    appendStringInfoChar(line, '}');
}

QUERY(seal_by_id, "SELECT " SEAL_COLUMNS " FROM clinicq.audit_seal s WHERE s.id = $1", INT8OID);

/* The line of a seal by its number, as it stands in the table; NULL where there is none. */
Datum clinicq_seal_line(PG_FUNCTION_ARGS) {
    Datum args[1];
    StringInfoData line;
    MemoryContext context = CurrentMemoryContext;
    Seal seal;
    bool found;

    if (PG_ARGISNULL(0))
        PG_RETURN_NULL();
    args[0] = PG_GETARG_DATUM(0);
    SPI_connect();
    found = query_read(&seal_by_id, args, NULL) > 0;
    if (found)
        seal_read(&seal, 0);
    SPI_finish();
    MemoryContextSwitchTo(context);
    if (!found)
        PG_RETURN_NULL();
    initStringInfo(&line);
    seal_line(&seal, &line);
    PG_RETURN_TEXT_P(cstring_to_text_with_len(line.data, line.len));
}

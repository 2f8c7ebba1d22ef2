/*
 * proof.c: proofs that others can check: that an event is in a tree, and that a tree grew from
 * another.
 */
#include "postgres.h"

#include "actor.h"
#include "error.h"
#include "event_line.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "sealing.h"
#include "utils/array.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_proof);
PG_FUNCTION_INFO_V1(clinicq_consistency);
PG_FUNCTION_INFO_V1(clinicq_peaks_line);

QUERY(leaf_of_event,
      "SELECT position, event_at, hash FROM clinicq.audit_leaf WHERE event_id = $1"
      " ORDER BY position LIMIT 1",
      INT8OID);
QUERY(event_of_leaf,
      "SELECT " EVENT_COLUMNS " FROM clinicq.audit_event e WHERE e.at = $1 AND e.id = $2",
      TIMESTAMPTZOID, INT8OID);

static void hex_array(StringInfo json, const MerkleHash *hashes, int count) {
    appendStringInfoChar(json, '[');
    for (int i = 0; i < count; i++) {
        appendStringInfoString(json, i > 0 ? ",\"" : "\"");
        append_hex(json, hashes[i].bytes, MERKLE_HASH);
        appendStringInfoChar(json, '"');
    }
    appendStringInfoChar(json, ']');
}

static void damaged(void) {
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("leaves or nodes of the tree are missing"),
            errhint("SELECT * FROM clinicq_audit.verify() tells what was changed."));
}

static void append_event(StringInfo json, TimestampTz at, int64 id) {
    Datum args[2] = {TimestampTzGetDatum(at), Int64GetDatum(id)};
    Datum values[EVENT_COLUMN_COUNT];
    bool nulls[EVENT_COLUMN_COUNT];

    json_key(json, "event");
    if (query_read(&event_of_leaf, args, NULL) == 0)
        appendStringInfoString(json, "null");
    else {
        heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, values, nulls);
        event_line(json, values, nulls);
    }
}

Datum clinicq_proof(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    MerkleHash path[MERKLE_PROOF];
    StringInfoData json;
    StoredTree *stored;
    TimestampTz at;
    int64 position;
    Datum args[1];
    Datum result;
    Seal seal;
    int length;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    ARG_REQUIRE(0, "event");
    args[0] = PG_GETARG_DATUM(0);
    SPI_connect();
    if (query_read(&leaf_of_event, args, NULL) == 0)
        error_none(
            "An event is sealed soon after its transaction; SELECT * FROM clinicq_audit.seal_now() does it at once.",
            "no sealed event " INT64_FORMAT, PG_GETARG_INT64(0));
    position = row_int64(0, 1);
    at = row_int64(0, 2);
    if (!seal_last(&seal))
        damaged();
    stored = palloc0(sizeof *stored);
    length = merkle_inclusion((uint64) position, (uint64) seal.size, stored_subtree, stored, path);
    if (length < 0)
        damaged();
    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_int(&json, "position", position);
    json_key(&json, "path");
    hex_array(&json, path, length);
    append_event(&json, at, PG_GETARG_INT64(0));
    json_key(&json, "sealed");
    seal_line(&seal, &json);
    appendStringInfoChar(&json, '}');
    MemoryContextSwitchTo(caller);
    result = CStringGetTextDatum(json.data);
    SPI_finish();
    PG_RETURN_DATUM(result);
}

Datum clinicq_consistency(PG_FUNCTION_ARGS) {
    MerkleHash proof[MERKLE_PROOF];
    Datum items[MERKLE_PROOF];
    StoredTree *stored = palloc0(sizeof *stored);
    Seal seal;
    int length;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    ARG_REQUIRE(0, "old_size");
    ARG_REQUIRE(1, "new_size");
    SPI_connect();
    seal_last(&seal);
    if (PG_GETARG_INT64(0) < 0 || PG_GETARG_INT64(0) > PG_GETARG_INT64(1) ||
        PG_GETARG_INT64(1) > seal.size)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("old_size must not be above new_size, nor new_size above " INT64_FORMAT,
                       seal.size),
                errhint("Sizes are those of seals."));
    length = merkle_consistency((uint64) PG_GETARG_INT64(0), (uint64) PG_GETARG_INT64(1),
                                stored_subtree, stored, proof);
    if (length < 0)
        damaged();
    SPI_finish();
    for (int i = 0; i < length; i++) {
        StringInfoData hex;

        initStringInfo(&hex);
        append_hex(&hex, proof[i].bytes, MERKLE_HASH);
        items[i] = CStringGetTextDatum(hex.data);
    }
    PG_RETURN_ARRAYTYPE_P(construct_array(items, length, TEXTOID, -1, false, TYPALIGN_INT));
}

/* What stands before the first event of an export that does not begin at position 0. */
Datum clinicq_peaks_line(PG_FUNCTION_ARGS) {
    StoredTree *stored = palloc0(sizeof *stored);
    uint64 size = (uint64) PG_GETARG_INT64(0);
    MerkleHash peaks[MERKLE_LEVELS];
    StringInfoData json;
    MerkleTree tree;
    int count = 0;

    SPI_connect();
    if (!merkle_load(&tree, size, stored_subtree, stored))
        damaged();
    SPI_finish();
    for (int level = MERKLE_LEVELS - 1; level >= 0; level--)
        if (size >> level & 1)
            peaks[count++] = tree.peaks[level];
    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_int(&json, "position", (int64) size);
    json_key(&json, "peaks");
    hex_array(&json, peaks, count);
    appendStringInfoChar(&json, '}');
    PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

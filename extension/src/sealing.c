#include "sealing.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "actor.h"
#include "cache.h"
#include "commands/dbcommands.h"
#include "event_line.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "query.h"
#include "seal_memory.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_seal_now);

#define BATCH       50000 /* leaves of a seal */
#define BATCH_TEXT  "50000"
#define CHUNK       1000 /* events in memory */
#define CHUNK_NODES (CHUNK / (1 << NODE_LEVEL) + MERKLE_LEVELS)

/*
 * Events that are not sealed. The look-up is a scalar subquery so that it stays one by the index:
 * a join could read all leaves there are. A few: by the BRIN index on id. A sweep: by the key.
 */
#define UNSEALED                                                         \
    " FROM clinicq.audit_event e WHERE e.id > $1 AND (SELECT l.position" \
    "  FROM clinicq.audit_leaf l WHERE l.event_id = e.id AND l.event_at = e.at) IS NULL "
static const char unsealed_few[] =
    "WITH e AS MATERIALIZED (SELECT " EVENT_COLUMNS UNSEALED "LIMIT " BATCH_TEXT ")"
    " SELECT " EVENT_COLUMNS " FROM e ORDER BY e.at, e.id";
static const char unsealed_sweep[] =
    "SELECT " EVENT_COLUMNS UNSEALED "AND e.at >= $2 AND (e.at, e.id) > ($2, $3)"
    " ORDER BY e.at, e.id LIMIT " BATCH_TEXT;

static const char unsealed_age[] =
    "SELECT count(*), coalesce(greatest(extract(epoch FROM clock_timestamp() - min(u.at)), 0), 0)::float8"
    " FROM (SELECT e.at" UNSEALED "LIMIT " BATCH_TEXT ") u";

QUERY(last_seal, "SELECT " SEAL_COLUMNS " FROM clinicq.audit_seal s ORDER BY s.id DESC LIMIT 1");
QUERY(seal_by_number, "SELECT " SEAL_COLUMNS " FROM clinicq.audit_seal s WHERE s.id = $1", INT8OID);
QUERY(block_of_leaves,
      "SELECT hash FROM clinicq.audit_leaf WHERE position >= $1 AND position < $1 + $2"
      " ORDER BY position",
      INT8OID, INT8OID);
QUERY(stored_node, "SELECT hash FROM clinicq.audit_node WHERE level = $1 AND index = $2", INT2OID,
      INT8OID);
QUERY(leaves_insert,
      "INSERT INTO clinicq.audit_leaf (position, event_id, event_at, hash)"
      " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bytea[])",
      INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, BYTEAARRAYOID);
QUERY(nodes_insert,
      "INSERT INTO clinicq.audit_node (level, index, hash)"
      " SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])",
      INT2ARRAYOID, INT8ARRAYOID, BYTEAARRAYOID);
QUERY(seal_insert,
      "INSERT INTO clinicq.audit_seal (id, size, previous_size, root, previous_hash, at, floor,"
      " system_identifier, public_key, signature, hash)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
      INT8OID, INT8OID, INT8OID, BYTEAOID, BYTEAOID, TIMESTAMPTZOID, INT8OID, TEXTOID, BYTEAOID,
      BYTEAOID, BYTEAOID);
QUERY(last_event_id, "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
                     " FROM clinicq.audit_event_id_seq");

/*
 * Which events need not be looked at again. An id is drawn by a transaction that has its own
 * already, so those up to last_id belong to transactions before next_xid: once these have
 * ended, all that are visible stand for all that there will be.
 */
static struct {
    Oid table; /* that all of this is about */
    bool taken;
    int64 last_id;
    FullTransactionId next_xid;
    int64 floor;               /* where there was nothing to seal, so that no seal holds it */
    FullTransactionId idle_at; /* there was nothing, and no transaction before this one ran */
} mark;

/* What is being sealed. */
typedef struct Batch {
    MerkleTree tree;
    int count, nodes;
    Datum positions[CHUNK], ids[CHUNK], ats[CHUNK], hashes[CHUNK];
    Datum levels[CHUNK_NODES], indexes[CHUNK_NODES], node_hashes[CHUNK_NODES];
} Batch;

/* Seals, which go to the server's log and are remembered once their transaction is committed. */
typedef struct PendingLine {
    struct PendingLine *next;
    SubTransactionId subtransaction;
    int64 number;
    MerkleHash hash;
    char text[FLEXIBLE_ARRAY_MEMBER];
} PendingLine;
static PendingLine *pending_lines = NULL; /* the newest first */

static void drop_lines(SubTransactionId from) {
    while (pending_lines != NULL && pending_lines->subtransaction >= from) {
        PendingLine *line = pending_lines;

        pending_lines = line->next;
        pfree(line);
    }
}

static void write_lines(const PendingLine *line) {
    if (line == NULL)
        return;
    write_lines(line->next);
    ereport(LOG, errmsg_internal("clinicq seal %s", line->text), errhidestmt(true),
            errhidecontext(true));
}

static void transaction_ended(XactEvent event, void *arg) {
    switch (event) {
    case XACT_EVENT_PRE_PREPARE:
        if (pending_lines != NULL)
            ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("a transaction that sealed the audit log cannot be prepared"));
        break;
    case XACT_EVENT_COMMIT: /* the lock of the table is still held */
        if (pending_lines != NULL)
            seal_memory_keep(pending_lines->number, &pending_lines->hash);
        write_lines(pending_lines);
        drop_lines(0);
        break;
    case XACT_EVENT_ABORT:
        drop_lines(0);
        break;
    default:
        break;
    }
}

static void subtransaction_ended(SubXactEvent event, SubTransactionId subtransaction,
                                 SubTransactionId parent, void *arg) {
    if (event == SUBXACT_EVENT_ABORT_SUB)
        drop_lines(subtransaction);
}

void sealing_init(void) {
    RegisterXactCallback(transaction_ended, NULL);
    RegisterSubXactCallback(subtransaction_ended, NULL);
}

static void log_when_committed(const Seal *seal) {
    StringInfoData out;
    PendingLine *line;

    initStringInfo(&out);
    appendStringInfo(&out, "of %s: ", get_database_name(MyDatabaseId));
    seal_line(seal, &out);
    line = MemoryContextAlloc(TopMemoryContext, offsetof(PendingLine, text) + out.len + 1);
    line->subtransaction = GetCurrentSubTransactionId();
    line->number = seal->number;
    line->hash = seal->hash;
    memcpy(line->text, out.data, out.len + 1);
    line->next = pending_lines;
    pending_lines = line;
}

static Datum bytes_datum(const void *bytes, int length) {
    bytea *data = palloc(VARHDRSZ + length);

    SET_VARSIZE(data, VARHDRSZ + length);
    memcpy(VARDATA(data), bytes, length);
    return PointerGetDatum(data);
}

static bool hash_column(MerkleHash *hash, uint64 row) {
    bool isnull;
    Datum value = row_value(row, 1, &isnull);
    bytea *data = isnull ? NULL : DatumGetByteaPP(value);

    if (data == NULL || VARSIZE_ANY_EXHDR(data) != MERKLE_HASH)
        return false;
    memcpy(hash->bytes, VARDATA_ANY(data), MERKLE_HASH);
    return true;
}

static void fill_block(StoredTree *stored, int64 first) {
    Datum args[2] = {Int64GetDatum(first), Int64GetDatum(1 << NODE_LEVEL)};
    uint64 rows = query_read(&block_of_leaves, args, NULL);

    stored->filled = true;
    stored->first = first;
    stored->count = 0;
    while (stored->count < rows && hash_column(&stored->hashes[stored->count], stored->count))
        stored->count++;
    SPI_freetuptable(SPI_tuptable);
}

bool stored_subtree(void *arg, unsigned level, uint64_t index, MerkleHash *hash) {
    StoredTree *stored = arg;
    MerkleTree tree = {0};
    int64 first = (int64) (index << level);
    int64 block = first - first % (1 << NODE_LEVEL);

    if (level >= NODE_LEVEL) {
        Datum args[2] = {Int16GetDatum((int16) level), Int64GetDatum((int64) index)};
        bool found = query_read(&stored_node, args, NULL) > 0 && hash_column(hash, 0);

        SPI_freetuptable(SPI_tuptable);
        return found;
    }
    if (!stored->filled || stored->first != block)
        fill_block(stored, block);
    if (first - block + (1 << level) > stored->count)
        return false;
    for (int i = 0; i < 1 << level; i++)
        merkle_append(&tree, &stored->hashes[first - block + i], NULL, NULL);
    merkle_root(&tree, hash);
    return true;
}

bool seal_last(Seal *seal) {
    memset(seal, 0, sizeof *seal);
    return query_read(&last_seal, NULL, NULL) > 0 && (seal_read(seal, 0), true);
}

static bool is_seal(const Seal *seal, int64 number, const MerkleHash *wanted) {
    MerkleHash hash;

    seal_hash(seal, &hash);
    return seal->number == number && merkle_equal(&hash, wanted);
}

/* The seal that this server made last has to be there: no other history gets a signature. */
static void require_remembered(const Seal *last) {
    MerkleHash hash;
    Datum args[1];
    int64 number;
    Seal seal;

    if (!seal_memory_read(&number, &hash) || is_seal(last, number, &hash))
        return;
    args[0] = Int64GetDatum(number);
    if (query_read(&seal_by_number, args, NULL) > 0 && seal_read(&seal, 0) &&
        is_seal(&seal, number, &hash))
        return;
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("the audit log no longer has seal " INT64_FORMAT " as it was made", number),
            errhint("Nothing more is sealed. The server's log has the seal; verify() with it tells "
                    "what was changed. If a backup was restored on purpose, restart the server."));
}

/* The tree of the last seal, which has to be what it was. */
static void load_tree(MerkleTree *tree, const Seal *last) {
    StoredTree *stored = palloc0(sizeof *stored);
    MerkleHash root;

    memset(&root, 0, sizeof root);
    if (merkle_load(tree, (uint64) last->size, stored_subtree, stored))
        merkle_root(tree, &root);
    if (last->number > 0 && !merkle_equal(&root, &last->root))
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("the audit log is not what seal " INT64_FORMAT " says", last->number),
                errhint("Nothing more is sealed. SELECT * FROM clinicq_audit.verify() tells what "
                        "was changed."));
    pfree(stored);
}

static void take_mark(void) {
    Oid table = cache_table("audit_event");

    if (mark.table != table)
        memset(&mark, 0, sizeof mark);
    mark.table = table;
    if (mark.taken)
        return;
    query_write(&last_event_id, NULL, NULL);
    mark.last_id = row_int64(0, 1);
    mark.next_xid = ReadNextFullTransactionId(); /* after the id */
    mark.taken = true;
}

/* Whether in this snapshot every transaction before this one has ended. */
static bool all_ended(Snapshot snapshot, FullTransactionId next) {
    return !TransactionIdPrecedes(snapshot->xmin, XidFromFullTransactionId(next));
}

bool sealing_is_idle(void) {
    return mark.table == cache_table("audit_event") && FullTransactionIdIsValid(mark.idle_at) &&
           FullTransactionIdEquals(mark.idle_at, ReadNextFullTransactionId());
}

static void node_done(void *arg, unsigned level, uint64_t index, const MerkleHash *hash) {
    Batch *batch = arg;

    if (level < NODE_LEVEL)
        return;
    Assert(batch->nodes < CHUNK_NODES);
    batch->levels[batch->nodes] = Int16GetDatum((int16) level);
    batch->indexes[batch->nodes] = Int64GetDatum((int64) index);
    batch->node_hashes[batch->nodes++] = bytes_datum(hash->bytes, MERKLE_HASH);
}

static Datum array_of(Datum *items, int count, Oid type) {
    ArrayType *array;

    if (type == BYTEAOID)
        array = construct_array(items, count, type, -1, false, TYPALIGN_INT);
    else if (type == INT2OID)
        array = construct_array(items, count, type, 2, true, TYPALIGN_SHORT);
    else
        array = construct_array(items, count, type, 8, true, TYPALIGN_DOUBLE);
    return PointerGetDatum(array);
}

static void write_chunk(Batch *batch) {
    Datum leaves[4] = {array_of(batch->positions, batch->count, INT8OID),
                       array_of(batch->ids, batch->count, INT8OID),
                       array_of(batch->ats, batch->count, TIMESTAMPTZOID),
                       array_of(batch->hashes, batch->count, BYTEAOID)};
    Datum nodes[3] = {array_of(batch->levels, batch->nodes, INT2OID),
                      array_of(batch->indexes, batch->nodes, INT8OID),
                      array_of(batch->node_hashes, batch->nodes, BYTEAOID)};

    query_write(&leaves_insert, leaves, NULL);
    if (batch->nodes > 0)
        query_write(&nodes_insert, nodes, NULL);
}

static void add_leaf(Batch *batch, HeapTuple event, TupleDesc shape, StringInfo line) {
    Datum values[EVENT_COLUMN_COUNT];
    bool nulls[EVENT_COLUMN_COUNT];
    MerkleHash hash;
    int at = batch->count++;

    heap_deform_tuple(event, shape, values, nulls);
    resetStringInfo(line);
    event_line(line, values, nulls);
    merkle_leaf(&hash, line->data, (size_t) line->len);
    batch->positions[at] = Int64GetDatum((int64) batch->tree.size);
    batch->ids[at] = values[EVENT_ID];
    batch->ats[at] = values[EVENT_AT];
    batch->hashes[at] = bytes_datum(hash.bytes, MERKLE_HASH);
    merkle_append(&batch->tree, &hash, node_done, batch);
}

/* Plans that go by an index, and in the order of the key for a sweep, whatever statistics say. */
static int begin_by_index(bool by_key) {
    int nest = NewGUCNestLevel();

    set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                      false);
    if (by_key)
        set_config_option("enable_bitmapscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
    return nest;
}

static Portal open_unsealed(const Sweep *sweep, int64 floor) {
    Oid types[3] = {INT8OID, TIMESTAMPTZOID, INT8OID};
    Datum args[3] = {Int64GetDatum(floor), TimestampTzGetDatum(sweep->at),
                     Int64GetDatum(sweep->id)};
    int nest = begin_by_index(sweep->active);
    Portal portal = SPI_cursor_open_with_args(NULL, sweep->active ? unsealed_sweep : unsealed_few,
                                              sweep->active ? 3 : 1, types, args, NULL, true,
                                              CURSOR_OPT_NO_SCROLL);

    AtEOXact_GUC(true, nest);
    return portal;
}

int64 unsealed_count(double *seconds) {
    Oid types[1] = {INT8OID};
    Datum args[1];
    Seal last;
    bool isnull;
    int nest;

    seal_last(&last);
    args[0] = Int64GetDatum(last.floor);
    nest = begin_by_index(false);
    SPI_execute_with_args(unsealed_age, 1, types, args, NULL, true, 0);
    AtEOXact_GUC(true, nest);
    *seconds = DatumGetFloat8(row_value(0, 2, &isnull));
    return row_int64(0, 1);
}

/* Puts up to BATCH events into the tree; whether there may be more. */
static bool add_leaves(Batch *batch, Sweep *sweep, int64 floor) {
    MemoryContext chunk =
        AllocSetContextCreate(CurrentMemoryContext, "sealing", ALLOCSET_DEFAULT_SIZES);
    Portal portal = open_unsealed(sweep, floor);
    uint64 end = batch->tree.size + BATCH;

    while (batch->tree.size < end) {
        SPITupleTable *events;
        MemoryContext before;
        StringInfoData line;

        SPI_cursor_fetch(portal, true, CHUNK);
        events = SPI_tuptable;
        if (SPI_processed == 0)
            break;
        before = MemoryContextSwitchTo(chunk);
        initStringInfo(&line);
        batch->count = batch->nodes = 0;
        for (int i = 0; i < events->numvals; i++)
            add_leaf(batch, events->vals[i], events->tupdesc, &line);
        write_chunk(batch);
        sweep->at = DatumGetTimestampTz(batch->ats[batch->count - 1]);
        sweep->id = DatumGetInt64(batch->ids[batch->count - 1]);
        MemoryContextSwitchTo(before);
        MemoryContextReset(chunk);
        SPI_freetuptable(events);
    }
    SPI_cursor_close(portal);
    MemoryContextDelete(chunk);
    return batch->tree.size == end;
}

static void write_seal(const Seal *last, const MerkleTree *tree, int64 floor) {
    Seal seal = {.number = last->number + 1,
                 .size = (int64) tree->size,
                 .previous_size = last->size,
                 .previous = last->hash,
                 .floor = floor,
                 .at = GetCurrentTimestamp()};
    char nulls[] = "           ";
    Datum args[11];

    merkle_root(tree, &seal.root);
    snprintf(seal.system, sizeof seal.system, UINT64_FORMAT, GetSystemIdentifier());
    seal_finish(&seal);
    args[0] = Int64GetDatum(seal.number);
    args[1] = Int64GetDatum(seal.size);
    args[2] = Int64GetDatum(seal.previous_size);
    args[3] = bytes_datum(seal.root.bytes, MERKLE_HASH);
    args[4] = bytes_datum(seal.previous.bytes, MERKLE_HASH);
    args[5] = TimestampTzGetDatum(seal.at);
    args[6] = Int64GetDatum(seal.floor);
    args[7] = CStringGetTextDatum(seal.system);
    args[8] = bytes_datum(seal.public_key, sizeof seal.public_key);
    args[9] = bytes_datum(seal.signature, sizeof seal.signature);
    args[10] = bytes_datum(seal.hash.bytes, MERKLE_HASH);
    if (!seal.is_signed)
        nulls[8] = nulls[9] = 'n';
    query_write(&seal_insert, args, nulls);
    log_when_committed(&seal);
}

/* After a batch: where the next one goes on, and below which id nothing is left to seal. */
static int64 advance(Sweep *sweep, bool ripe, bool more, int64 floor) {
    int64 reached = ripe ? mark.last_id : 0;

    if (sweep->active)
        reached = more ? 0 : sweep->floor; /* it passes over what is committed behind it */
    else if (ripe)
        mark.taken = false;
    if (more && !sweep->active)
        *sweep = (Sweep){true, DT_NOBEGIN, PG_INT64_MIN, reached};
    if (more)
        return floor;
    memset(sweep, 0, sizeof *sweep);
    return Max(floor, reached);
}

/* False: somebody else seals, or retention takes a month away. */
static bool lock_seals(bool wait) {
    Oid table = cache_table("audit_seal");

    if (!wait)
        return ConditionalLockRelationOid(table, ShareRowExclusiveLock);
    LockRelationOid(table, ShareRowExclusiveLock);
    return true;
}

bool seal_batch(Sweep *sweep, bool wait) {
    Batch *batch;
    Seal last;
    int64 floor;
    bool ripe, idle, more;
    FullTransactionId next;

    if (IsolationUsesXactSnapshot())
        ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                errmsg("sealing needs the isolation level READ COMMITTED"));
    if (!lock_seals(wait))
        return false;
    SPI_connect();
    take_mark();
    next = ReadNextFullTransactionId();
    PushActiveSnapshot(GetTransactionSnapshot());
    ripe = all_ended(GetActiveSnapshot(), mark.next_xid);
    idle = all_ended(GetActiveSnapshot(), next);
    mark.idle_at = InvalidFullTransactionId;
    batch = palloc0(sizeof *batch);
    seal_last(&last);
    require_remembered(&last);
    load_tree(&batch->tree, &last);
    floor = Max(last.floor, mark.floor);
    more = add_leaves(batch, sweep, floor);
    PopActiveSnapshot();
    floor = advance(sweep, ripe, more, floor);
    if (batch->tree.size > last.size)
        write_seal(&last, &batch->tree, floor);
    else {
        mark.floor = floor;
        mark.idle_at = idle ? next : InvalidFullTransactionId;
    }
    SPI_finish();
    return more;
}

Datum clinicq_seal_now(PG_FUNCTION_ARGS) {
    Sweep sweep = {0};
    Seal seal;
    TupleDesc shape;
    Datum values[2];
    bool nulls[2] = {false, false};
    StringInfoData root;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    if (!query_may_write())
        ereport(ERROR, errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                errmsg("the audit log cannot be sealed in a transaction that only reads"),
                errhint("Seal on the primary server."));
    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "seal_now() must return a record");
    initStringInfo(&root);
    while (seal_batch(&sweep, true))
        CHECK_FOR_INTERRUPTS();
    SPI_connect();
    PushActiveSnapshot(GetLatestSnapshot());
    nulls[1] = !seal_last(&seal);
    PopActiveSnapshot();
    SPI_finish();
    append_hex(&root, seal.root.bytes, MERKLE_HASH);
    values[0] = Int64GetDatum(seal.size);
    values[1] = CStringGetTextDatum(root.data);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

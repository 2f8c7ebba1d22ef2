/*
 * verify.c: whether the audit log is what its seals say. Events, leaves and seals are read once, in
 * the order of the tree; what is kept in memory does not grow with them. Of a period, the leaves of
 * its seals: the tree before them comes from the stored nodes, if these give the root that was
 * sealed.
 */
#include "postgres.h"

#include "actor.h"
#include "error.h"
#include "event_line.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "query.h"
#include "sealing.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_verify);

#define FETCH        500
#define PENDING_MOST 1000
#define PROBLEM_MOST 10000
#define EARLIER_MOST USECS_PER_HOUR

/* The look-ups are lateral with a limit so that each stays one by the key. */
static const char leaves_sql[] =
    "SELECT l.position, l.event_at, l.event_id, l.hash, e.*"
    " FROM clinicq.audit_leaf l LEFT JOIN LATERAL ("
    "  SELECT " EVENT_COLUMNS " FROM clinicq.audit_event e"
    "  WHERE e.at = l.event_at AND e.id = l.event_id"
    "  AND ($1 IS NULL OR l.event_at >= $1) AND ($2 IS NULL OR l.event_at < $2) LIMIT 1) e ON true"
    " WHERE l.position >= $3 AND l.position < $4 ORDER BY l.position";
static const char seals_sql[] = "SELECT " SEAL_COLUMNS " FROM clinicq.audit_seal s ORDER BY s.id";
QUERY(
    added_events,
    "SELECT e.at, e.id FROM clinicq.audit_event e WHERE e.id <= $3"
    " AND ($1 IS NULL OR e.at >= $1) AND ($2 IS NULL OR e.at < $2)"
    " AND NOT EXISTS (SELECT FROM clinicq.audit_leaf l WHERE l.event_id = e.id AND l.event_at = e.at)"
    " ORDER BY e.at, e.id LIMIT " CppAsString2(PROBLEM_MOST),
    TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID);
QUERY(span_of_period, "SELECT first, after FROM clinicq_audit.export_span($1, $2)", TIMESTAMPTZOID,
      TIMESTAMPTZOID);
QUERY(leaf_at, "SELECT event_id, event_at FROM clinicq.audit_leaf WHERE position = $1", INT8OID);
QUERY(first_by_key, "SELECT min(id) FROM clinicq.audit_seal WHERE public_key = $1", BYTEAOID);
QUERY(seal_by_number, "SELECT " SEAL_COLUMNS " FROM clinicq.audit_seal s WHERE s.id = $1", INT8OID);
QUERY(month_partition,
      "SELECT n FROM to_char($1 AT TIME ZONE 'UTC', '\"audit_event_\"YYYY_MM') AS n"
      " WHERE to_regclass('clinicq.' || n) IS NULL",
      TIMESTAMPTZOID);
/* May raise 22P02 or 22003; what is there as JSON but no seal gives nulls. */
QUERY(trusted_fields,
      "SELECT (j -> 'seal' ->> 'number')::bigint, (j -> 'seal' ->> 'size')::bigint, j ->> 'hash'"
      " FROM (SELECT $1::jsonb AS j) AS t",
      TEXTOID);

/*
 * What retention took away says a sealed event. Its own time can be anything, and so can that of
 * what is gone: only the times of seals are signed. limit, seven years before that of its own seal,
 * is of the month that went and of the seals that hold it; null: its leaf is of no seal.
 */
#define MONTH_TEXT "'^[1-9]\\d{3}-(0[1-9]|1[0-2])-01T00:00:00Z$'"
QUERY(removals,
      "SELECT CASE WHEN t.lower ~ " MONTH_TEXT " THEN t.lower::timestamptz END,"
      " CASE WHEN t.upper ~ " MONTH_TEXT " THEN t.upper::timestamptz END,"
      " CASE WHEN t.first ~ '^\\d{1,18}$' THEN t.first::bigint END,"
      " CASE WHEN t.last ~ '^\\d{1,18}$' THEN t.last::bigint END,"
      " (SELECT (s.at AT TIME ZONE 'UTC' - interval '7 years') AT TIME ZONE 'UTC'"
      "  FROM clinicq.audit_seal s WHERE s.size > t.position ORDER BY s.size LIMIT 1),"
      " t.position, t.at, t.id"
      " FROM (SELECT e.at, e.id, (SELECT l.position FROM clinicq.audit_leaf l"
      "  WHERE l.event_id = e.id AND l.event_at = e.at) AS position, e.changes ->> 'from' AS lower,"
      "  e.changes ->> 'to' AS upper, e.changes ->> 'first' AS first, e.changes ->> 'last' AS last"
      "  FROM clinicq.audit_event e WHERE e.action = 'RETENTION' AND e.entity = 'audit_event') AS t"
      " WHERE t.position IS NOT NULL ORDER BY t.position");

typedef struct Removal {
    TimestampTz from, to;
    int64 first, last;
    TimestampTz limit;
} Removal;

/* An event that does not fit its leaf, until the next seal tells which of them is true. */
typedef struct Pending {
    int64 position;
    TimestampTz at;
    int64 id;
} Pending;

/* Positions that follow each other, told of in one row. */
typedef struct Run {
    int64 first, last; /* first < 0: none */
    TimestampTz at, last_at;
    int64 id;
} Run;

/* When a number was drawn: that of the event with the highest one. */
typedef struct Drawn {
    int64 id; /* 0: none yet */
    TimestampTz at;
} Drawn;

/* After each call of SPI its own memory is the present one, which lives as long as this function:
 * what may be many times goes back to that of a seal or of some leaves. */
typedef struct Verify {
    ReturnSetInfo *result;
    uint64 problems;
    Datum since, until; /* of events; */
    bool from_start, to_end;
    int64 first, after; /* the positions that are read, whole seals */
    int64 newest;       /* seal */
    TimestampTz sealed_at;
    Drawn drawn, latest; /* before this seal; so far */
    Portal leaves;
    SPITupleTable *rows; /* of leaves, those from next on unread */
    uint64 next, count;
    MerkleTree stored;     /* of the leaves as they stand in the table */
    MerkleTree recomputed; /* of the events, where they are there */
    bool differ, lost;
    Seal previous;
    bool previous_whole;
    int64 lost_from;
    Run missing;
    Removal *removals;
    uint64 removal_count;
    Pending pending[PENDING_MOST];
    int pendings;
    int64 last_id; /* of the leaf before, in this seal */
    TimestampTz last_at;
    bool node_differs;
    int64 node_position;
    int64 first_signed; /* seal, by any key; 0: none yet */
    int64 first_by_key; /* by the key that is configured; 0: none */
    uint8 public_key[crypto_sign_PUBLICKEYBYTES];
    MemoryContext chunk;
    StringInfoData line;
} Verify;

static void report(Verify *v, const char *problem, int64 seal, int64 position, const Pending *event,
                   const char *detail) {
    Datum values[6] = {0, Int64GetDatum(seal), Int64GetDatum(position)};
    bool nulls[6] = {false, seal == 0, position < 0, event == NULL, event == NULL, detail == NULL};

    if (v->problems++ >= PROBLEM_MOST)
        return;
    values[0] = CStringGetTextDatum(problem);
    if (event != NULL) {
        values[3] = TimestampTzGetDatum(event->at);
        values[4] = Int64GetDatum(event->id);
    }
    if (detail != NULL)
        values[5] = CStringGetTextDatum(detail);
    tuplestore_putvalues(v->result->setResult, v->result->setDesc, values, nulls);
}

static void report_missing(Verify *v, int64 seal, const Run *run) {
    MemoryContext before = CurrentMemoryContext;
    Pending event = {run->first, run->at, run->id};
    Datum args[1] = {TimestampTzGetDatum(run->at)};
    bool whole = query_read(&month_partition, args, NULL) > 0;
    char *partition = whole ? row_text(0, 1) : NULL;

    SPI_freetuptable(SPI_tuptable);
    MemoryContextSwitchTo(before);
    if (whole)
        report(v, "partition missing", seal, run->first, &event,
               psprintf("%s is gone, with the events of positions " INT64_FORMAT
                        " to " INT64_FORMAT,
                        partition, run->first, run->last));
    else if (run->first == run->last)
        report(v, "event missing", seal, run->first, &event, NULL);
    else
        report(v, "events missing", seal, run->first, &event,
               psprintf(INT64_FORMAT " events, of positions " INT64_FORMAT " to " INT64_FORMAT,
                        run->last - run->first + 1, run->first, run->last));
}

/* One row for events that are gone one after the other, or a whole partition. */
static void flush_missing(Verify *v, int64 seal) {
    if (v->missing.first < 0)
        return;
    if (v->problems < PROBLEM_MOST)
        report_missing(v, seal, &v->missing);
    else
        v->problems++;
    v->missing.first = -1;
}

static void add_missing(Verify *v, int64 seal, const Pending *event) {
    Run *run = &v->missing;

    if (run->first >= 0 && run->last + 1 != event->position)
        flush_missing(v, seal);
    if (run->first < 0)
        *run = (Run){event->position, event->position, event->at, event->at, event->id};
    run->last = event->position;
    run->last_at = event->at;
}

static void node_done(void *arg, unsigned level, uint64_t index, const MerkleHash *hash) {
    Verify *v = arg;
    MerkleHash stored;

    if (level < NODE_LEVEL || v->lost || v->node_differs)
        return;
    if (!stored_subtree(NULL, level, index, &stored) || !merkle_equal(&stored, hash)) {
        v->node_differs = true;
        v->node_position = (int64) (index << level);
    }
}

static void append(Verify *v, const MerkleHash *stored, const MerkleHash *recomputed) {
    if (!v->differ && !merkle_equal(stored, recomputed)) {
        v->recomputed = v->stored;
        v->differ = true;
    }
    merkle_append(&v->stored, stored, node_done, v);
    if (v->differ)
        merkle_append(&v->recomputed, recomputed, NULL, NULL);
}

/* Past leaves that are not there: the next root cannot be that of its seal. */
static void skip_gap(Verify *v, int64 seal, int64 until) {
    int64 first = (int64) v->stored.size;

    flush_missing(v, seal);
    report(v, first + 1 == until ? "leaf missing" : "leaves missing", seal, first, NULL,
           psprintf("positions " INT64_FORMAT " to " INT64_FORMAT " are not in the tree", first,
                    until - 1));
    v->stored.size = v->recomputed.size = (uint64) until;
}

static bool in_range(const Verify *v, TimestampTz at) {
    return (v->from_start || at >= DatumGetTimestampTz(v->since)) &&
           (v->to_end || at < DatumGetTimestampTz(v->until));
}

/* When the first event is missing: they are found by reading the whole log. */
static void load_removals(Verify *v) {
    MemoryContext before = CurrentMemoryContext;
    uint64 rows = query_read(&removals, NULL, NULL);
    SPITupleTable *table = SPI_tuptable;

    v->removals = MemoryContextAlloc(GetMemoryChunkContext(v), Max(rows, 1) * sizeof *v->removals);
    for (uint64 i = 0; i < rows; i++) {
        Pending event;
        bool readable = true;

        SPI_tuptable = table;
        event = (Pending){row_int64(i, 6), row_int64(i, 7), row_int64(i, 8)};
        for (int column = 1; column <= 4; column++)
            readable = readable && !row_isnull(i, column);
        if (!readable)
            report(v, "retention unreadable", 0, event.position, &event,
                   "it does not say what went, so it makes nothing lawful");
        else if (!row_isnull(i, 5) && row_int64(i, 2) <= row_int64(i, 5))
            v->removals[v->removal_count++] =
                (Removal){row_int64(i, 1), row_int64(i, 2), row_int64(i, 3), row_int64(i, 4),
                          row_int64(i, 5)};
    }
    SPI_freetuptable(table);
    MemoryContextSwitchTo(before);
}

static bool is_removed(Verify *v, int64 seal, const Pending *event) {
    if (v->removals == NULL)
        load_removals(v);
    for (uint64 i = 0; seal != 0 && i < v->removal_count; i++) {
        const Removal *r = &v->removals[i];

        if (v->sealed_at <= r->limit && event->at >= r->from && event->at < r->to &&
            event->position >= r->first && event->position <= r->last)
            return true;
    }
    return false;
}

/*
 * An event's number is drawn when the event is made, however long its transaction then lasts. So a
 * number above those that were sealed before belongs to a time after theirs, unless the clock was
 * set back, and then it was when the seal was made, soon after.
 */
static void check_time(Verify *v, int64 seal, const Pending *event) {
    TimestampTz drawn_after = Min(v->drawn.at, v->sealed_at);

    if (v->drawn.id != 0 && event->id > v->drawn.id && event->at < drawn_after &&
        event->at + EARLIER_MOST < drawn_after)
        report(v, "event back-dated", seal, event->position, event,
               psprintf("its number was drawn after %s, or the clock was set back since",
                        timestamptz_to_str(drawn_after)));
    if (event->id > v->latest.id)
        v->latest = (Drawn){event->id, event->at};
}

static void check_leaf(Verify *v, int64 seal, HeapTuple row, TupleDesc shape) {
    Datum values[4 + EVENT_COLUMN_COUNT];
    bool nulls[4 + EVENT_COLUMN_COUNT];
    MerkleHash stored = {{0}}, recomputed;
    Pending event;
    bytea *hash;

    heap_deform_tuple(row, shape, values, nulls);
    event = (Pending){DatumGetInt64(values[0]), DatumGetTimestampTz(values[1]),
                      DatumGetInt64(values[2])};
    if (event.position > v->stored.size)
        skip_gap(v, seal, event.position);
    if (v->last_id != 0 &&
        (event.at < v->last_at || (event.at == v->last_at && event.id <= v->last_id)))
        report(v, "leaves reordered", seal, event.position, &event,
               "in a seal they stand by time and id");
    v->last_at = event.at;
    v->last_id = event.id;
    check_time(v, seal, &event);
    hash = DatumGetByteaPP(values[3]);
    if (VARSIZE_ANY_EXHDR(hash) == MERKLE_HASH)
        memcpy(stored.bytes, VARDATA_ANY(hash), MERKLE_HASH);
    recomputed = stored;
    if (!nulls[4]) {
        resetStringInfo(&v->line);
        event_line(&v->line, values + 4, nulls + 4);
        merkle_leaf(&recomputed, v->line.data, (size_t) v->line.len);
        if (!merkle_equal(&stored, &recomputed)) {
            if (v->pendings < PENDING_MOST)
                v->pending[v->pendings++] = event;
            else
                report(v, "event changed", seal, event.position, &event, NULL);
        }
    } else if (in_range(v, event.at) && !is_removed(v, seal, &event))
        add_missing(v, seal, &event);
    append(v, &stored, &recomputed);
}

/* Reads the leaves up to a position, the last one's end where it is negative. */
static void read_leaves(Verify *v, int64 seal, int64 until) {
    MemoryContext caller = CurrentMemoryContext;

    while (until < 0 || v->stored.size < until) {
        bool isnull;

        if (v->next >= v->count) {
            if (v->rows != NULL)
                SPI_freetuptable(v->rows);
            CHECK_FOR_INTERRUPTS();
            SPI_cursor_fetch(v->leaves, true, FETCH);
            MemoryContextSwitchTo(caller);
            v->rows = SPI_tuptable;
            v->count = SPI_processed;
            v->next = 0;
            if (v->count == 0)
                return;
        }
        if (until >= 0 && DatumGetInt64(SPI_getbinval(v->rows->vals[v->next], v->rows->tupdesc, 1,
                                                      &isnull)) >= until)
            return;
        MemoryContextSwitchTo(v->chunk);
        check_leaf(v, seal, v->rows->vals[v->next], v->rows->tupdesc);
        MemoryContextSwitchTo(caller);
        if (v->next++ % 100 == 0)
            MemoryContextReset(v->chunk);
    }
}

static void flush_pending(Verify *v, int64 seal, const char *problem, const char *detail) {
    for (int i = 0; i < v->pendings; i++)
        report(v, problem, seal, v->pending[i].position, &v->pending[i], detail);
    v->pendings = 0;
}

/* The tree of a seal from the stored nodes, if these give its root. */
static bool load_stored(Verify *v, const Seal *seal) {
    StoredTree *stored = palloc0(sizeof *stored);
    MemoryContext before = CurrentMemoryContext;
    MerkleTree tree;
    MerkleHash root;
    bool found = merkle_load(&tree, (uint64) seal->size, stored_subtree, stored);

    MemoryContextSwitchTo(before);
    pfree(stored);
    if (!found)
        return false;
    merkle_root(&tree, &root);
    if (!merkle_equal(&root, &seal->root))
        return false;
    v->stored = tree;
    return true;
}

static void check_root(Verify *v, const Seal *seal) {
    MerkleHash stored, recomputed;
    bool stored_holds, recomputed_holds;

    merkle_root(&v->stored, &stored);
    recomputed = stored;
    if (v->differ)
        merkle_root(&v->recomputed, &recomputed);
    stored_holds = merkle_equal(&stored, &seal->root);
    recomputed_holds = merkle_equal(&recomputed, &seal->root);
    if (stored_holds)
        flush_pending(v, seal->number, "event changed", "its leaf is as it was sealed");
    else if (recomputed_holds) {
        flush_pending(v, seal->number, "leaf altered", "its event is as it was sealed");
        v->stored = v->recomputed;
    } else
        flush_pending(v, seal->number, "event changed",
                      "its leaf, too, or another one is not as it was sealed");
    if (stored_holds || recomputed_holds || load_stored(v, seal)) {
        if (v->lost && v->lost_from < v->previous.number)
            report(v, "root differs", v->lost_from + 1, -1, NULL,
                   psprintf("so do those of all seals up to " INT64_FORMAT, v->previous.number));
        if (!stored_holds && !recomputed_holds && !v->lost)
            report(v, "root differs", seal->number, v->previous.size, NULL,
                   "the leaves do not give it; the stored nodes do");
        v->lost = false;
    } else if (!v->lost) {
        report(v, "root differs", seal->number, v->previous.size, NULL,
               psprintf("a leaf or the seal is not what it was, of positions " INT64_FORMAT
                        " to " INT64_FORMAT,
                        v->previous.size, seal->size - 1));
        v->lost = true;
        v->lost_from = seal->number;
    }
    v->differ = false;
    if (v->node_differs && stored_holds)
        report(v, "node altered", seal->number, v->node_position, NULL,
               "a stored subtree that begins here is not that of its leaves");
    v->node_differs = false;
}

/* The tree as it was before the period. */
static void begin_period(Verify *v, const Seal *seal, bool whole) {
    Datum args[1] = {Int64GetDatum(seal->size - 1)};

    if (!whole || !load_stored(v, seal)) {
        v->stored.size = v->recomputed.size = (uint64) seal->size;
        v->lost = true;
        v->lost_from = seal->number;
        if (whole)
            report(v, "root differs", seal->number, v->previous.size, NULL,
                   "the stored nodes and leaves up to here do not give it");
    }
    if (query_read(&leaf_at, args, NULL) > 0)
        v->latest = (Drawn){row_int64(0, 1), row_int64(0, 2)};
}

/* Signatures before the period and after it are those of the newest seal's, which follows them. */
static bool is_signature_checked(const Verify *v, const Seal *seal) {
    return seal->number == v->newest || (seal->size >= v->first && seal->previous_size < v->after);
}

/* What a seal says by itself, and whether it follows the one before; false: it was altered. */
static bool check_seal(Verify *v, const Seal *seal, bool whole) {
    MerkleHash hash;

    if (seal->number != v->previous.number + 1)
        report(v, "seal missing", v->previous.number + 1, -1, NULL,
               psprintf("the next one is " INT64_FORMAT, seal->number));
    else if (v->previous_whole && (!merkle_equal(&seal->previous, &v->previous.hash) ||
                                   seal->previous_size != v->previous.size))
        report(v, "seal altered", seal->number, -1, NULL, "it does not follow the seal before it");
    seal_hash(seal, &hash);
    whole = whole && merkle_equal(&hash, &seal->hash) && seal->size > seal->previous_size;
    if (!whole)
        report(v, "seal altered", seal->number, -1, NULL, "its hash is not that of what it says");
    if (seal->is_signed && is_signature_checked(v, seal) && !seal_signature_holds(seal))
        report(v, "signature wrong", seal->number, -1, NULL, NULL);
    else if (!seal->is_signed && v->first_signed > 0)
        report(v, "signature missing", seal->number, -1, NULL, "a seal before it is signed");
    else if (v->first_by_key > 0 && seal->number >= v->first_by_key &&
             memcmp(seal->public_key, v->public_key, sizeof v->public_key) != 0)
        report(v, "signature missing", seal->number, -1, NULL,
               "seals before it are signed with the key that is configured");
    if (seal->is_signed && v->first_signed == 0)
        v->first_signed = seal->number;
    return whole;
}

/* With its leaves, where it is of the period. */
static void check_row(Verify *v, uint64 row) {
    Seal seal;
    bool whole = seal_read(&seal, row);

    whole = check_seal(v, &seal, whole);
    v->last_id = 0;
    v->sealed_at = seal.at;
    v->drawn = v->latest;
    if (v->first > 0 && seal.size == v->first)
        begin_period(v, &seal, whole);
    else if (whole && seal.size > v->first && seal.previous_size < v->after) {
        /* else the leaves count with the next seal */
        read_leaves(v, seal.number, seal.size);
        if (v->stored.size < seal.size)
            skip_gap(v, seal.number, seal.size);
        flush_missing(v, seal.number);
        check_root(v, &seal);
    }
    v->previous = seal;
    v->previous_whole = whole;
}

static void check_seals(Verify *v, Portal seals) {
    MemoryContext of_seal =
        AllocSetContextCreate(CurrentMemoryContext, "verify seal", ALLOCSET_SMALL_SIZES);

    for (;;) {
        SPITupleTable *rows;
        uint64 count;

        SPI_cursor_fetch(seals, true, FETCH);
        rows = SPI_tuptable;
        count = SPI_processed;
        if (count == 0)
            break;
        for (uint64 i = 0; i < count; i++) {
            MemoryContext before = MemoryContextSwitchTo(of_seal);

            SPI_tuptable = rows;
            check_row(v, i);
            MemoryContextSwitchTo(before);
            MemoryContextReset(of_seal);
        }
        SPI_freetuptable(rows);
    }
    if (v->lost && v->lost_from < v->previous.number)
        report(v, "root differs", v->lost_from + 1, -1, NULL,
               psprintf("so do those of all seals up to " INT64_FORMAT, v->previous.number));
}

static void check_added(Verify *v) {
    Datum args[3] = {v->since, v->until, Int64GetDatum(v->previous.floor)};
    char nulls[] = {v->from_start ? 'n' : ' ', v->to_end ? 'n' : ' ', ' '};
    uint64 count = query_read(&added_events, args, nulls);
    SPITupleTable *rows = SPI_tuptable;

    for (uint64 i = 0; i < count; i++) {
        Pending event;

        SPI_tuptable = rows;
        event = (Pending){-1, row_int64(i, 1), row_int64(i, 2)};
        report(v, "event added", 0, -1, &event, "it is not in the tree, though later ones are");
    }
}

/* A seal that was kept elsewhere, as its line of JSON. */
static void check_trusted(Verify *v, Datum line) {
    int64 number, size;
    char *hash;
    StringInfoData found_hash;
    Seal found;
    Datum args[1] = {line};

    if (query_read(&trusted_fields, args, NULL) == 0 || row_isnull(0, 1) || row_isnull(0, 2) ||
        row_isnull(0, 3))
        ereport(
            ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("trusted_seal is not a seal"),
            errhint(
                "Give the whole line of JSON, as it was exported or stands in the server's log."));
    number = row_int64(0, 1);
    size = row_int64(0, 2);
    hash = row_text(0, 3);
    if (number < 1)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("trusted_seal is not a seal: its number is " INT64_FORMAT, number),
                errhint("Seals are numbered from 1."));
    if (number > v->previous.number) {
        report(v, "backup restored", number, -1, NULL,
               psprintf("the trusted seal is of " INT64_FORMAT
                        " events; the log ends with seal " INT64_FORMAT " of " INT64_FORMAT,
                        size, v->previous.number, v->previous.size));
        return;
    }
    args[0] = Int64GetDatum(number);
    if (query_read(&seal_by_number, args, NULL) == 0)
        return; /* told as missing */
    seal_read(&found, 0);
    initStringInfo(&found_hash);
    append_hex(&found_hash, found.hash.bytes, MERKLE_HASH);
    if (strcmp(found_hash.data, hash) != 0)
        report(v, "history replaced", number, -1, NULL,
               "the trusted seal of this number is another one");
}

static void load_configured_key(Verify *v) {
    uint8 secret_key[crypto_sign_SECRETKEYBYTES];
    Datum args[1];
    bytea *key;

    if (!seal_key_load(v->public_key, secret_key))
        return;
    sodium_memzero(secret_key, sizeof secret_key);
    key = palloc(VARHDRSZ + sizeof v->public_key);
    SET_VARSIZE(key, VARHDRSZ + sizeof v->public_key);
    memcpy(VARDATA(key), v->public_key, sizeof v->public_key);
    args[0] = PointerGetDatum(key);
    query_read(&first_by_key, args, NULL);
    if (!row_isnull(0, 1))
        v->first_by_key = row_int64(0, 1);
}

/* No difference: a clinic may have had its key later. But what is not signed anybody can make. */
static void tell_unsigned(const Verify *v) {
    if (v->first_signed > 1)
        ereport(NOTICE, errmsg("the first signed seal is number " INT64_FORMAT
                               ": those before it are not signed",
                               v->first_signed));
    else if (v->first_signed == 0 && v->previous.number > 0 && seal_key_is_configured())
        ereport(NOTICE,
                errmsg("none of the " INT64_FORMAT " seals is signed, though a key is configured",
                       v->previous.number));
}

/* Nothing is read where no leaf is of the period. */
static void find_span(Verify *v) {
    Datum args[2] = {v->since, v->until};
    char nulls[] = {v->from_start ? 'n' : ' ', v->to_end ? 'n' : ' '};
    Seal newest;

    v->after = PG_INT64_MAX;
    v->newest = seal_last(&newest) ? newest.number : 0;
    if (v->from_start && v->to_end)
        return;
    query_read(&span_of_period, args, nulls);
    v->first = row_isnull(0, 1) ? 0 : row_int64(0, 1);
    if (row_isnull(0, 1) || row_isnull(0, 2))
        v->after = 0;
    else if (!v->to_end)
        v->after = row_int64(0, 2);
}

static Portal open_leaves(Verify *v) {
    Oid types[4] = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID};
    Datum args[4] = {v->since, v->until, Int64GetDatum(v->first), Int64GetDatum(v->after)};
    char nulls[] = {v->from_start ? 'n' : ' ', v->to_end ? 'n' : ' ', ' ', ' '};

    return SPI_cursor_open_with_args(NULL, leaves_sql, 4, types, args, nulls, true,
                                     CURSOR_OPT_NO_SCROLL);
}

Datum clinicq_verify(PG_FUNCTION_ARGS) {
    Verify *v;
    Portal seals;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    v = palloc0(sizeof *v);
    v->result = (ReturnSetInfo *) fcinfo->resultinfo;
    v->from_start = PG_ARGISNULL(0);
    v->to_end = PG_ARGISNULL(1);
    v->since = v->from_start ? 0 : PG_GETARG_DATUM(0);
    v->until = v->to_end ? 0 : PG_GETARG_DATUM(1);
    v->missing.first = -1;
    v->previous_whole = true;
    v->chunk = AllocSetContextCreate(CurrentMemoryContext, "verify", ALLOCSET_DEFAULT_SIZES);
    initStringInfo(&v->line);
    load_configured_key(v);
    find_span(v);
    v->leaves = open_leaves(v);
    seals =
        SPI_cursor_open_with_args(NULL, seals_sql, 0, NULL, NULL, NULL, true, CURSOR_OPT_NO_SCROLL);
    check_seals(v, seals);
    read_leaves(v, 0, -1);
    flush_missing(v, 0);
    flush_pending(v, 0, "event changed", "its leaf is of no seal");
    if (v->stored.size > v->previous.size)
        report(v, "leaves added", 0, v->previous.size, NULL,
               psprintf(INT64_FORMAT " leaves are of no seal",
                        (int64) v->stored.size - v->previous.size));
    check_added(v);
    if (!PG_ARGISNULL(2))
        check_trusted(v, PG_GETARG_DATUM(2));
    tell_unsigned(v);
    if (v->problems > PROBLEM_MOST) {
        uint64 others = v->problems - PROBLEM_MOST;

        v->problems = 0;
        report(v, "and more", 0, -1, NULL, psprintf(UINT64_FORMAT " other differences", others));
    }
    SPI_cursor_close(v->leaves);
    SPI_cursor_close(seals);
    PopActiveSnapshot();
    SPI_finish();
    return (Datum) 0;
}

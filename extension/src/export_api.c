/*
 * export_api.c: exports over HTTP, in pages that the shim strings together: GET /api/audit/export/,
 * /api/audit/seals/ and /api/audit/snapshot/. A page holds no state but its cursor, which says
 * which event noted the export, so that none goes on that was never noted.
 */
#include "postgres.h"

#include "actor.h"
#include "dispatch.h"
#include "error.h"
#include "event_line.h"
#include "export.h"
#include "fields.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "table.h"
#include "utils/date.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_api_export_audit);
PG_FUNCTION_INFO_V1(clinicq_api_export_seals);
PG_FUNCTION_INFO_V1(clinicq_api_export_snapshot);
PG_FUNCTION_INFO_V1(clinicq_require_kind);

#define PAGE_ROWS 1000
#define PAGE_TEXT (256 * 1024) /* a page ends behind the row that reaches it */
#define WINDOW    "20000"      /* rows that a page looks at, whether they belong to it or not */
#define KEYS      3

/* Rows after a key. The first columns of the rows are the key, then what is to be seen. */
QUERY(events_page,
      "SELECT x.at, x.id, 0::bigint, x.* FROM clinicq_audit.exported_event x"
      " WHERE x.at >= $1 AND (x.at, x.id) > ($1, $2) AND x.at < $5"
      " ORDER BY x.at, x.id LIMIT " CppAsString2(PAGE_ROWS),
      TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID);
QUERY(sealed_span, "SELECT first, after FROM clinicq_audit.export_span($1, $2)", TIMESTAMPTZOID,
      TIMESTAMPTZOID);
QUERY(sealed_peaks, "SELECT clinicq_audit.peaks_line($1)", INT8OID);
QUERY(
    sealed_page,
    "SELECT l.position, encode(l.hash, 'hex'), (SELECT p.contents FROM clinicq.audit_personal p"
    "  WHERE $3 AND p.event_id = x.id), x.*"
    " FROM clinicq.audit_leaf l LEFT JOIN LATERAL (SELECT " EVENT_COLUMNS
    "  FROM clinicq.audit_event e WHERE e.at = l.event_at AND e.id = l.event_id LIMIT 1) x ON true"
    " WHERE l.position > $1 AND l.position < $2 ORDER BY l.position"
    " LIMIT " CppAsString2(PAGE_ROWS),
    INT8OID, INT8OID, BOOLOID);
QUERY(seals_page,
      "SELECT s.id, clinicq_audit.seal_line(s.id) FROM clinicq.audit_seal s WHERE s.id > $1"
      " ORDER BY s.id LIMIT " CppAsString2(PAGE_ROWS),
      INT8OID);

#define WINDOW_END(table)                                \
    "SELECT max(id) FROM (SELECT id FROM clinicq." table \
    " WHERE id > $1 ORDER BY id LIMIT " WINDOW ") w"
#define SNAPSHOT(view, in_period)                                                              \
    "SELECT x.* FROM clinicq_audit." view " x WHERE x.key > $1 AND x.key <= $4 AND " in_period \
    " ORDER BY x.key LIMIT " CppAsString2(PAGE_ROWS)
QUERY(patients_window, WINDOW_END("patient"), INT8OID);
QUERY(patients_page,
      SNAPSHOT("exported_patient",
               "((x.created_at AT TIME ZONE 'UTC')::date BETWEEN $2 AND $3 OR EXISTS ("
               "SELECT FROM clinicq.visit v"
               " WHERE v.patient_id = x.key AND v.service_day BETWEEN $2 AND $3))"),
      INT8OID, DATEOID, DATEOID, INT8OID);
QUERY(visits_window, WINDOW_END("visit"), INT8OID);
QUERY(visits_page, SNAPSHOT("exported_visit", "x.service_day BETWEEN $2 AND $3"), INT8OID, DATEOID,
      DATEOID, INT8OID);
QUERY(queues_window, WINDOW_END("queue"), INT8OID);
QUERY(queues_page,
      "SELECT x.*, (SELECT count(*) FROM clinicq.visit v WHERE v.queue_id = x.key"
      "  AND v.service_day BETWEEN $2 AND $3) AS visits"
      " FROM clinicq_audit.exported_queue x WHERE x.key > $1 AND x.key <= $4 ORDER BY x.key",
      INT8OID, DATEOID, DATEOID, INT8OID);

static const struct Snapshot {
    const char *kind;
    KeptQuery *window, *page;
} snapshots[] = {
    {"patients", &patients_window, &patients_page},
    {"visits", &visits_window, &visits_page},
    {"queues", &queues_window, &queues_page},
};

typedef struct Export {
    MemoryContext caller;
    const char *name; /* of the file, without its ending */
    bool csv, safe;
    bool sealed; /* the sealed events, with these positions, the last one excluded */
    int64 span_first, span_after;
    Datum from, to;
    bool has_from, has_to;
    StringInfoData detail; /* of the event: what was asked for */
    bool first;            /* this page */
    AuditKey event;
    int64 key[KEYS]; /* of the last row */
    bool more;
    StringInfoData text;
} Export;

/* The detail of the event: what was asked for. */
static void describe(Export *e, Fields *query, const char *kind, const char *const *asked) {
    initStringInfo(&e->detail);
    appendStringInfoChar(&e->detail, '{');
    json_text(&e->detail, "kind", kind);
    for (; *asked != NULL; asked++) {
        char *value = query_text(query, *asked);

        if (value != NULL)
            json_text(&e->detail, *asked, value);
    }
    appendStringInfoChar(&e->detail, '}');
}

/* "<at>.<id>.<key>.<key>.<key>" */
static bool read_cursor(const char *cursor, Export *e) {
    int64 part[2 + KEYS];
    char *copy = pstrdup(cursor);
    char *rest = NULL;
    int count = 0;

    for (char *word = strtok_r(copy, ".", &rest); word != NULL; word = strtok_r(NULL, ".", &rest))
        if (count == lengthof(part) || !parse_int64(word, &part[count++]))
            return false;
    if (count != lengthof(part))
        return false;
    e->event = (AuditKey){part[0], part[1]};
    for (int i = 0; i < KEYS; i++)
        e->key[i] = part[2 + i];
    return true;
}

/* The positions of the sealed events that are asked for. */
static void find_span(Export *e) {
    Datum args[2] = {e->from, e->to};
    char nulls[] = {e->has_from ? ' ' : 'n', e->has_to ? ' ' : 'n', '\0'};

    query_read(&sealed_span, args, nulls);
    if (row_isnull(0, 1) || row_isnull(0, 2))
        return;
    e->span_first = row_int64(0, 1);
    e->span_after = row_int64(0, 2);
}

/* With the span, which holds for all pages, whatever a cursor says. */
static void note(Export *e) {
    StringInfoData detail;

    initStringInfo(&detail);
    appendBinaryStringInfo(&detail, e->detail.data, e->detail.len - 1);
    if (e->sealed) {
        json_int(&detail, "first", e->span_first);
        json_int(&detail, "after", e->span_after);
    }
    appendStringInfoChar(&detail, '}');
    e->event = export_begin("export", detail.data);
}

/* Between SPI_connect and the end of the page. */
static void begin(Export *e, Fields *query) {
    char *cursor = query_text(query, "cursor");

    e->first = cursor == NULL;
    if (cursor != NULL && !read_cursor(cursor, e))
        faults_add(query->faults, "cursor", "must be one that a page named");
    faults_raise(query->faults);
    if (e->first) {
        if (e->sealed)
            find_span(e);
        note(e);
    } else if (!export_was_begun(e->event, e->detail.data, &e->span_first, &e->span_after)) {
        faults_add(query->faults, "cursor", "belongs to no export of yours of the last day");
        faults_raise(query->faults);
    }
    initStringInfo(&e->text);
}

/* Sends what there is, as a JSON string, and names the next page. */
static Datum finish(Export *e) {
    MemoryContext spi = MemoryContextSwitchTo(e->caller);
    StringInfo json = makeStringInfo();
    StringInfo headers = makeStringInfo();

    escape_json(json, e->text.data);
    appendStringInfoChar(headers, '{');
    json_text(headers, "Content-Type",
              e->csv ? "text/csv; charset=utf-8" : "application/x-ndjson; charset=utf-8");
    json_text(headers, "Content-Disposition",
              psprintf("attachment; filename=\"%s.%s\"", e->name, e->csv ? "csv" : "jsonl"));
    if (e->more)
        json_text(headers, "Next-Page",
                  psprintf(INT64_FORMAT "." INT64_FORMAT "." INT64_FORMAT "." INT64_FORMAT
                                        "." INT64_FORMAT,
                           e->event.at, e->event.id, e->key[0], e->key[1], e->key[2]));
    appendStringInfoChar(headers, '}');
    MemoryContextSwitchTo(spi);
    SPI_finish();
    return reply(200, json, headers);
}

static bool is_full(const Export *e) {
    return e->text.len >= PAGE_TEXT;
}

/* Rows of SPI_tuptable, whose first `keys` columns are keys; whether all of them found room. */
static bool append_rows(Export *e, int keys) {
    uint64 rows = SPI_processed;

    if (e->csv && e->first)
        table_append_csv_names(&e->text, keys + 1);
    for (uint64 row = 0; row < rows; row++) {
        if (is_full(e))
            return false;
        for (int i = 0; i < keys; i++)
            e->key[i] = row_int64(row, i + 1);
        if (e->csv)
            table_append_csv_row(&e->text, row, keys + 1, e->safe);
        else {
            table_append_json_row(&e->text, row, keys + 1);
            appendStringInfoChar(&e->text, '\n');
        }
    }
    return true;
}

/* Every event, by time, as a table. None before the beginning, whatever a cursor says. */
static void page_of_events(Export *e) {
    TimestampTz beginning = e->has_from ? DatumGetTimestampTz(e->from) : DT_NOBEGIN;
    Datum args[5] = {0};

    if (e->first || e->key[0] < beginning) {
        e->key[0] = beginning;
        e->key[1] = PG_INT64_MIN;
    }
    args[0] = TimestampTzGetDatum(e->key[0]);
    args[1] = Int64GetDatum(e->key[1]);
    args[4] = e->has_to ? e->to : TimestampTzGetDatum(DT_NOEND);
    e->more = query_read(&events_page, args, NULL) == PAGE_ROWS;
    e->more = !append_rows(e, KEYS) || e->more;
}

/* An event as clinicq-audit reads it: the hashed bytes, and what can be erased beside them. */
static void append_sealed(StringInfo out, uint64 row) {
    Datum values[EVENT_COLUMN_COUNT];
    bool nulls[EVENT_COLUMN_COUNT];
    bool isnull;
    Datum personal = row_value(row, 3, &isnull);

    for (int i = 0; i < EVENT_COLUMN_COUNT; i++)
        values[i] = row_value(row, 4 + i, &nulls[i]);
    appendStringInfo(out, "{\"position\":" INT64_FORMAT ",\"leaf\":\"%s\"", row_int64(row, 1),
                     row_text(row, 2));
    if (!isnull) {
        Jsonb *contents = DatumGetJsonbP(personal);

        appendStringInfoString(out, ",\"personal\":");
        JsonbToCString(out, &contents->root, VARSIZE(contents));
    }
    appendStringInfoString(out, ",\"event\":");
    if (nulls[0])
        appendStringInfoString(out, "null");
    else
        event_line(out, values, nulls);
    appendStringInfoString(out, "}\n");
}

static void append_peaks(Export *e) {
    Datum args[1] = {Int64GetDatum(e->span_first)};

    if (e->span_first == 0 || e->span_first >= e->span_after)
        return;
    query_read(&sealed_peaks, args, NULL);
    appendStringInfo(&e->text, "%s\n", row_text(0, 1));
}

/*
 * The sealed events in the order of the tree: positions after key[0] and before key[1]. Where the
 * export was noted, these are within what was noted.
 */
static void page_of_sealed(Export *e) {
    Datum args[3];
    uint64 rows, row;

    if (e->first)
        append_peaks(e);
    if (e->first || e->event.id != 0) {
        e->key[0] = e->first ? e->span_first - 1 : Max(e->key[0], e->span_first - 1);
        e->key[1] = e->span_after;
    }
    args[0] = Int64GetDatum(e->key[0]);
    args[1] = Int64GetDatum(e->key[1]);
    args[2] = BoolGetDatum((actor_roles() & ROLE_AUDITOR) != 0);
    rows = query_read(&sealed_page, args, NULL);
    for (row = 0; row < rows && !is_full(e); row++) {
        e->key[0] = row_int64(row, 1);
        append_sealed(&e->text, row);
    }
    e->more = row < rows || rows == PAGE_ROWS;
}

Datum clinicq_api_export_audit(PG_FUNCTION_ARGS) {
    static const char *const asked[] = {"from", "to", "format", NULL};
    Export e = {.caller = CurrentMemoryContext, .name = "audit"};
    Fields *query;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    query = fields_of_query(fcinfo);
    e.csv = query_choice(query, "format", "jsonl", "csv");
    e.sealed = !e.csv;
    e.safe = !query_choice(query, "safe", "on", "off");
    e.has_from = query_time(query, "from", &e.from);
    e.has_to = query_time(query, "to", &e.to);
    describe(&e, query, "audit", asked);
    SPI_connect();
    begin(&e, query);
    if (e.csv)
        page_of_events(&e);
    else
        page_of_sealed(&e);
    return finish(&e);
}

Datum clinicq_api_export_seals(PG_FUNCTION_ARGS) {
    static const char *const asked[] = {NULL};
    Export e = {.caller = CurrentMemoryContext, .name = "seals"};
    Fields *query;
    Datum args[1];
    uint64 rows, row;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    query = fields_of_query(fcinfo);
    describe(&e, query, "seals", asked);
    SPI_connect();
    begin(&e, query);
    args[0] = Int64GetDatum(e.key[0]);
    rows = query_read(&seals_page, args, NULL);
    for (row = 0; row < rows && !is_full(&e); row++) {
        e.key[0] = row_int64(row, 1);
        appendStringInfo(&e.text, "%s\n", row_text(row, 2));
    }
    e.more = row < rows || rows == PAGE_ROWS;
    return finish(&e);
}

static const struct Snapshot *read_kind(const char *kind, Faults *faults) {
    for (int i = 0; kind != NULL && i < lengthof(snapshots); i++)
        if (strcmp(kind, snapshots[i].kind) == 0)
            return &snapshots[i];
    faults_add(faults, "kind", "must be one of patients, visits, queues");
    return &snapshots[0];
}

Datum clinicq_require_kind(PG_FUNCTION_ARGS) {
    Faults *faults;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    faults = faults_new();
    read_kind(ARG_CSTRING(0), faults);
    faults_raise(faults);
    PG_RETURN_VOID();
}

static void page_of_snapshot(Export *e, const struct Snapshot *snapshot) {
    Datum args[4] = {Int64GetDatum(e->key[0]),
                     e->has_from ? e->from : DateADTGetDatum(DATEVAL_NOBEGIN),
                     e->has_to ? e->to : DateADTGetDatum(DATEVAL_NOEND)};
    bool none, all;

    query_read(snapshot->window, args, NULL);
    args[3] = row_value(0, 1, &none);
    if (none) {
        args[3] = args[0];
        all = query_read(snapshot->page, args, NULL) == 0;
    } else
        all = query_read(snapshot->page, args, NULL) < PAGE_ROWS;
    e->more = !none;
    if (append_rows(e, 1) && all && !none)
        e->key[0] = DatumGetInt64(args[3]);
}

Datum clinicq_api_export_snapshot(PG_FUNCTION_ARGS) {
    static const char *const asked[] = {"from", "to", "format", NULL};
    Export e = {.caller = CurrentMemoryContext};
    const struct Snapshot *snapshot;
    Fields *query;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    query = fields_of_query(fcinfo);
    snapshot = read_kind(query_text(query, "kind"), query->faults);
    e.name = snapshot->kind;
    e.csv = query_choice(query, "format", "jsonl", "csv");
    e.safe = !query_choice(query, "safe", "on", "off");
    e.has_from = query_day(query, "from", &e.from);
    e.has_to = query_day(query, "to", &e.to);
    describe(&e, query, snapshot->kind, asked);
    SPI_connect();
    begin(&e, query);
    page_of_snapshot(&e, snapshot);
    return finish(&e);
}

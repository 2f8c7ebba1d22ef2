/*
 * retention.c: months of the audit log that are older than the law asks for. A month goes only as a
 * whole, sealed, verified, and with the hash of its export as proof that somebody has it. Readers,
 * writers and sealing go on meanwhile, but for the moment in which it goes.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "actor.h"
#include "audit.h"
#include "error.h"
#include "faults.h"
#include "fmgr.h"
#include "json.h"
#include "miscadmin.h"
#include "personal.h"
#include "query.h"
#include "setting.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_apply_retention);

#define LOCK_TRIES   100
#define LOCK_WAIT    "50ms" /* so long at the most does a writer wait behind us, each time */
#define LOCK_REST_US 200000L

typedef struct Month {
    char *partition; /* quoted, with its schema; NULL: none */
    char *name;      /* 2019-01 */
    Datum from, to;
    bool is_first_day, is_over;
    int64 events, unsealed, first, last;
} Month;

typedef struct TreeEnd {
    int64 size;
    char *root;
} TreeEnd;

QUERY(
    month_named,
    "SELECT to_regclass(to_char(m, '\"clinicq.audit_event_\"YYYY_MM'))::text, to_char(m, 'YYYY-MM'),"
    " m AT TIME ZONE 'UTC', (m + interval '1 month') AT TIME ZONE 'UTC',"
    " m = date_trunc('month', m),"
    " (m + interval '1 month') <= (now() AT TIME ZONE 'UTC') - make_interval(years => $2)"
    " FROM (SELECT $1::timestamp AS m) AS t",
    DATEOID, INT4OID);
/* Of the seals that hold the positions: an event's own time can be anything, theirs is signed. */
QUERY(seals_are_young,
      "SELECT EXISTS (SELECT FROM clinicq.audit_seal WHERE id BETWEEN"
      "  (SELECT id FROM clinicq.audit_seal WHERE size > $1 ORDER BY size LIMIT 1) AND"
      "  (SELECT id FROM clinicq.audit_seal WHERE size > $2 ORDER BY size LIMIT 1)"
      " AND at > (now() AT TIME ZONE 'UTC' - make_interval(years => $3)) AT TIME ZONE 'UTC')",
      INT8OID, INT8OID, INT4OID);
QUERY(seals_lock, "LOCK TABLE clinicq.audit_seal IN SHARE ROW EXCLUSIVE MODE NOWAIT");
QUERY(seals_end,
      "SELECT size, encode(root, 'hex') FROM clinicq.audit_seal ORDER BY id DESC LIMIT 1");
/* An event of retention that says nothing makes nothing lawful, and can never be taken back. */
QUERY(month_differences,
      "SELECT count(*) FROM clinicq_audit.verify($1, $2) WHERE problem <> 'retention unreadable'",
      TIMESTAMPTZOID, TIMESTAMPTZOID);
QUERY(log_lock, "LOCK TABLE clinicq.audit_event IN ACCESS EXCLUSIVE MODE");

static void run(const char *statement) {
    int code = SPI_execute(statement, false, 0);

    if (code < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                errmsg("%s: %s", SPI_result_code_string(code), statement));
}

static Month find_month(Datum day) {
    Datum args[2] = {day, Int32GetDatum(setting_int(SETTING_AUDIT_RETENTION_YEARS))};
    Month month = {0};
    bool isnull;

    query_write(&month_named, args, NULL);
    month.partition = row_text(0, 1);
    month.name = row_text(0, 2);
    month.from = row_value(0, 3, &isnull);
    month.to = row_value(0, 4, &isnull);
    month.is_first_day = DatumGetBool(row_value(0, 5, &isnull));
    month.is_over = DatumGetBool(row_value(0, 6, &isnull));
    return month;
}

static void require_month(const Month *month) {
    Faults *faults = faults_new();

    if (!month->is_first_day)
        faults_add(faults, "month", "must be the first day of a month");
    faults_raise(faults);
    if (month->partition == NULL)
        error_not_found("month of the audit log", month->name);
    if (!month->is_over)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the audit log of %s is kept for %d years", month->name,
                       setting_int(SETTING_AUDIT_RETENTION_YEARS)),
                errhint("The setting audit_retention_years says so; seven years are the least."));
}

/* Nobody writes into the month from here on. Nobody does, but by hand. */
static void require_sealed(Month *month) {
    run(psprintf("LOCK TABLE %s IN SHARE MODE", month->partition));
    run(psprintf("SELECT count(*), count(*) - count(l.position), coalesce(min(l.position), -1),"
                 " coalesce(max(l.position), -1) FROM %s e LEFT JOIN clinicq.audit_leaf l"
                 " ON l.event_id = e.id AND l.event_at = e.at",
                 month->partition));
    month->events = row_int64(0, 1);
    month->unsealed = row_int64(0, 2);
    month->first = row_int64(0, 3);
    month->last = row_int64(0, 4);
    if (month->unsealed > 0)
        ereport(
            ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
            errmsg(INT64_FORMAT " events of %s are not sealed yet", month->unsealed, month->name),
            errhint("SELECT * FROM clinicq_audit.seal_now() seals them."));
}

/* verify() finds nothing lawful that is sealed for less than seven years. */
static void require_old_seals(const Month *month) {
    int32 years = setting_int(SETTING_AUDIT_RETENTION_YEARS);
    Datum args[3] = {Int64GetDatum(month->first), Int64GetDatum(month->last), Int32GetDatum(years)};

    query_write(&seals_are_young, args, NULL);
    if (row_bool(0, 1))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the audit log of %s was sealed less than %d years ago", month->name, years),
                errhint("The time of a seal is signed, that of an event is not."));
}

/* SHA-256 of the file that the export of the month gives, to an auditor or to others. */
static char *hash_export(const Month *month, bool personal) {
    Oid types[3] = {TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID};
    Datum args[3] = {month->from, month->to, BoolGetDatum(personal)};
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * crypto_hash_sha256_BYTES + 1];
    crypto_hash_sha256_state state;
    Portal lines = SPI_cursor_open_with_args(NULL, "SELECT clinicq_audit.event_lines($1, $2, $3)",
                                             3, types, args, NULL, true, CURSOR_OPT_NO_SCROLL);

    crypto_hash_sha256_init(&state);
    do {
        CHECK_FOR_INTERRUPTS();
        SPI_cursor_fetch(lines, true, 500);
        for (uint64 row = 0; row < SPI_processed; row++) {
            char *line = row_text(row, 1);

            crypto_hash_sha256_update(&state, (unsigned char *) line, strlen(line));
            crypto_hash_sha256_update(&state, (const unsigned char *) "\n", 1);
            pfree(line);
        }
        SPI_freetuptable(SPI_tuptable);
    } while (SPI_processed > 0);
    SPI_cursor_close(lines);
    crypto_hash_sha256_final(&state, digest);
    return pstrdup(sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
}

static void require_export(const Month *month, const char *exported) {
    if (pg_strcasecmp(exported, hash_export(month, true)) != 0 &&
        pg_strcasecmp(exported, hash_export(month, false)) != 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("exported is not the SHA-256 of the export of %s", month->name),
                errhint("COPY (SELECT clinicq_audit.export_events(from, to)) of the month writes "
                        "it as AUDIT-FORMAT.md says; sha256sum tells the hash of the file."));
}

static void require_proof(const Month *month) {
    Datum args[2] = {month->from, month->to};

    query_read(&month_differences, args, NULL);
    if (row_int64(0, 1) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the audit log is not what its seals say; nothing is removed"),
                errhint("SELECT * FROM clinicq_audit.verify() tells what was changed."));
}

/* The seals first: who seals reads the log. */
static void take_locks(void *arg) {
    query_write(&seals_lock, NULL, NULL);
    query_write(&log_lock, NULL, NULL);
}

static void lock_log(void) {
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (query_try(LOCK_WAIT, take_locks, NULL))
            return;
        CHECK_FOR_INTERRUPTS();
        pg_usleep(LOCK_REST_US);
    }
    ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE),
            errmsg("the audit log was in use all the time"),
            errhint("Nothing was removed. A transaction may have been open for long; try again."));
}

/* The last seal as it is now that nothing is sealed. */
static TreeEnd read_end(void) {
    TreeEnd end = {0, ""};

    if (query_write(&seals_end, NULL, NULL) > 0)
        end = (TreeEnd){row_int64(0, 1), row_text(0, 2)};
    return end;
}

static void tell(const Month *month, const char *exported, const TreeEnd *end) {
    StringInfoData detail;

    initStringInfo(&detail);
    appendStringInfoChar(&detail, '{');
    json_text(&detail, "month", month->name);
    json_timestamp(&detail, "from", DatumGetTimestampTz(month->from), "Z");
    json_timestamp(&detail, "to", DatumGetTimestampTz(month->to), "Z");
    json_int(&detail, "first", month->first);
    json_int(&detail, "last", month->last);
    json_int(&detail, "events", month->events);
    json_int(&detail, "size", end->size);
    json_text(&detail, "root", end->root);
    json_text(&detail, "exported", exported);
    appendStringInfoChar(&detail, '}');
    audit_event_with("RETENTION", "audit_event", 0, detail.data, "done");
}

Datum clinicq_apply_retention(PG_FUNCTION_ARGS) {
    Month month;
    char *exported;
    TreeEnd end;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "month");
    ARG_REQUIRE(1, "exported");
    exported = ARG_CSTRING(1);
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                errmsg("retention needs the isolation level READ COMMITTED"));
    SPI_connect();
    month = find_month(PG_GETARG_DATUM(0));
    require_month(&month);
    require_sealed(&month);
    require_old_seals(&month);
    require_export(&month, exported);
    require_proof(&month);
    personal_delete(psprintf("DELETE FROM clinicq.audit_personal WHERE event_id IN"
                             " (SELECT id FROM %s)",
                             month.partition));
    lock_log();
    end = read_end();
    run(psprintf("DROP TABLE %s", month.partition));
    tell(&month, exported, &end);
    SPI_finish();
    PG_RETURN_INT64(month.events);
}

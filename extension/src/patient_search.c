#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "look.h"
#include "page.h"
#include "patient.h"
#include "query.h"
#include "registration.h"
#include "restriction.h"

PG_FUNCTION_INFO_V1(clinicq_find_patients);

#define SEEN "removed_at IS NULL AND (NOT restricted OR id = ANY ($8))"

/*
 * $1 term, $2 term as a LIKE pattern in the middle, $3 at the start, in lower case, $4 its digits
 * (as a number), $5 its digits as a pattern in the middle, $6 offset, $7 limit, $8 the restricted
 * patients whom the actor may see. Each rank stops at one row more than is counted exactly. The
 * plan is made anew each time: which index serves depends on the term.
 */
QUERY_OPTIONS(
    patients_matching, CURSOR_OPT_CUSTOM_PLAN,
    "WITH hit AS MATERIALIZED ("
    " SELECT id, min(rank) AS rank FROM ("
    "  (SELECT id, 0 AS rank FROM clinicq.patient"
    "   WHERE replace(registration_number, '-', '') = $4 AND removed_at IS NULL)"
    "  UNION ALL (SELECT id, 1 FROM clinicq.patient"
    "   WHERE phone = $1 AND " SEEN " LIMIT 10001)"
    "  UNION ALL (SELECT id, 2 FROM clinicq.patient"
    "   WHERE lower(name) LIKE $3 AND " SEEN " LIMIT 10001)"
    "  UNION ALL (SELECT id, 3 FROM clinicq.patient WHERE " SEEN " AND"
    "   (name ILIKE $2 OR phone ILIKE $2 OR replace(registration_number, '-', '') LIKE $5)"
    "   LIMIT 10001)"
    " ) found GROUP BY id),"
    " page AS (SELECT h.id, h.rank, p.registration_number FROM hit h"
    "  JOIN clinicq.patient p ON p.id = h.id ORDER BY h.rank, p.registration_number"
    "  OFFSET $6 LIMIT $7)"
    " SELECT " PATIENT_COLUMNS ", (SELECT count(*) FROM hit)"
    " FROM (SELECT count(*) FROM hit) AS total (count) LEFT JOIN page ON true"
    " LEFT JOIN clinicq.patient p ON p.id = page.id"
    " ORDER BY page.rank, page.registration_number",
    TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8ARRAYOID);

#define COUNT_COLUMN 11

/* term as a LIKE pattern: its own % _ \ taken literally. */
static char *like_pattern(const char *before, const char *term, const char *after) {
    StringInfoData pattern;

    initStringInfo(&pattern);
    appendStringInfoString(&pattern, before);
    for (; *term; term++) {
        if (*term == '%' || *term == '_' || *term == '\\')
            appendStringInfoChar(&pattern, '\\');
        appendStringInfoChar(&pattern, *term);
    }
    appendStringInfoString(&pattern, after);
    return pattern.data;
}

uint64 patient_search(const char *term, int64 offset, int64 limit, int64 *count,
                      bool *count_exact) {
    char *trimmed = trim_blanks(term);
    char *digits = registration_digits(trimmed);
    text *lowered;
    Datum args[8];
    char nulls[] = "        ";
    uint64 rows;

    if (*trimmed == '\0') /* blanks alone: names that have one inside */
        trimmed = pstrdup(" ");
    lowered = DatumGetTextPP(DirectFunctionCall1Coll(
        lower, DEFAULT_COLLATION_OID, CStringGetTextDatum(like_pattern("", trimmed, "%"))));
    args[0] = CStringGetTextDatum(trimmed);
    args[1] = CStringGetTextDatum(like_pattern("%", trimmed, "%"));
    args[2] = PointerGetDatum(lowered);
    args[3] = digits ? CStringGetTextDatum(digits) : (Datum) 0;
    args[4] = digits ? CStringGetTextDatum(like_pattern("%", digits, "%")) : (Datum) 0;
    args[5] = Int64GetDatum(offset);
    args[6] = Int64GetDatum(limit);
    if (!sight_patients(&args[7]))
        nulls[7] = 'n'; /* the planner drops the condition */
    if (digits == NULL)
        nulls[3] = nulls[4] = 'n';
    rows = query_read(&patients_matching, args, nulls);
    *count = row_int64(0, COUNT_COLUMN);
    *count_exact = *count <= PAGE_COUNT_EXACT;
    return row_isnull(0, 1) ? 0 : rows;
}

/* The first five of row's PATIENT_COLUMNS, masked like patient_append_json() does. */
static void patient_columns(uint64 row, Datum columns[5], bool nulls[5]) {
    for (int i = 0; i < 5; i++)
        columns[i] = row_value(row, i + 1, &nulls[i]);
    if (sight_of(row_int64(row, 10), row_bool(row, 9)) != SIGHT_NONE)
        return;
    columns[1] = CStringGetTextDatum(RESTRICTED_NAME);
    nulls[2] = true;
    columns[3] = columns[4] = CStringGetTextDatum("");
}

void patient_searched(const char *term, uint64 rows, int64 count) {
    look_search(trim_blanks(term), count);
    if (rows == 1 && count == 1)
        patient_seen(0);
}

Datum clinicq_find_patients(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    int32 max_rows = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
    int64 count;
    bool count_exact;
    uint64 rows;

    actor_require(ROLES_CARE);
    ARG_REQUIRE(0, "query");
    if (*ARG_CSTRING(0) == '\0')
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("query must not be empty"));
    if (max_rows < 1 || max_rows > 1000)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("max_rows must be from 1 to 1000"));
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    rows = patient_search(ARG_CSTRING(0), 0, max_rows, &count, &count_exact);
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[5];
        bool nulls[5];

        patient_columns(row, columns, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    patient_searched(ARG_CSTRING(0), rows, count);
    SPI_finish();
    return (Datum) 0;
}

/*
 * board.c: what a screen in the waiting room shows.
 */
#include "postgres.h"

#include "actor.h"
#include "clock.h"
#include "fields.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "patient.h"
#include "priority.h"
#include "query.h"
#include "reply.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_board);
PG_FUNCTION_INFO_V1(clinicq_api_get_board);

/* $1 queue or NULL, $2 clinic, $3 its day, $4 and $5 of priority_ageing(). */
#define BOARD_TYPES INT8OID, INT8OID, DATEOID, INT2ARRAYOID, INT4OID
#define BOARD_COLUMNS                                                        \
    "SELECT q.token_prefix, v.token_number, v.status, r.name, q.id, q.name," \
    " p.name, p.id, p.restricted, v.updated_at FROM clinicq.visit v"         \
    " JOIN clinicq.queue q ON q.id = v.queue_id AND q.clinic_id = $2"        \
    " JOIN clinicq.patient p ON p.id = v.patient_id"                         \
    " LEFT JOIN clinicq.room r ON r.id = v.room_id WHERE v.service_day = $3" \
    " AND ($1 IS NULL OR v.queue_id = $1)"
QUERY(board_called,
      BOARD_COLUMNS
      " AND v.status IN ('START', 'IN_ROOM') ORDER BY v.updated_at DESC, v.id LIMIT 100",
      BOARD_TYPES);
QUERY(board_next,
      BOARD_COLUMNS
      " AND v.status = 'WAITING' ORDER BY q.name, q.id, " VISIT_ORDER("$4", "$5") " LIMIT 200",
      BOARD_TYPES);
QUERY(board_clinic, "SELECT clinic_id FROM clinicq.queue WHERE id = $1", INT8OID);

static void board_args(Datum args[5], char nulls[6], bool named) {
    int64 clinic_id = clock_first_clinic();

    strlcpy(nulls, named ? "     " : "n    ", 6);
    if (named && query_read(&board_clinic, args, NULL) > 0)
        clinic_id = row_int64(0, 1);
    args[1] = Int64GetDatum(clinic_id);
    args[2] = DateADTGetDatum(clock_today(clinic_id));
    priority_ageing(clinic_id, &args[3], &args[4]);
}

static char *token_of(uint64 row) {
    return visit_token_text(row_text(row, 1), row_int32(row, 2));
}

/* In the form that the caller may see. */
static const char *name_of(uint64 row) {
    return patient_shown_name(row_text(row, 7), row_int64(row, 8), row_bool(row, 9));
}

static void put_rows(ReturnSetInfo *result, uint64 rows) {
    for (uint64 row = 0; row < rows; row++) {
        Datum values[5] = {
            CStringGetTextDatum(token_of(row)), CStringGetTextDatum(row_text(row, 3)),
            row_isnull(row, 4) ? (Datum) 0 : CStringGetTextDatum(row_text(row, 4)),
            CStringGetTextDatum(row_text(row, 6)), CStringGetTextDatum(name_of(row))};
        bool nulls[5] = {[2] = row_isnull(row, 4)};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
}

Datum clinicq_board(PG_FUNCTION_ARGS) {
    Datum args[5] = {PG_GETARG_DATUM(0)};
    char nulls[6];

    actor_require(ROLES_BOARD);
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    board_args(args, nulls, !PG_ARGISNULL(0));
    put_rows((ReturnSetInfo *) fcinfo->resultinfo, query_read(&board_called, args, nulls));
    put_rows((ReturnSetInfo *) fcinfo->resultinfo, query_read(&board_next, args, nulls));
    SPI_finish();
    return (Datum) 0;
}

static void append_rows(StringInfo json, const char *key, uint64 rows) {
    json_key(json, key);
    appendStringInfoChar(json, '[');
    for (uint64 row = 0; row < rows; row++) {
        json_comma(json);
        appendStringInfoChar(json, '{');
        json_text(json, "token", token_of(row));
        json_text(json, "status", row_text(row, 3));
        json_text(json, "room", row_text(row, 4));
        json_int(json, "queue", row_int64(row, 5));
        json_text(json, "queue_name", row_text(row, 6));
        json_text(json, "name", name_of(row));
        json_timestamp(json, "since", row_int64(row, 10), "Z");
        appendStringInfoChar(json, '}');
    }
    appendStringInfoChar(json, ']');
}

Datum clinicq_api_get_board(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *query;
    Datum args[5] = {0};
    char nulls[6];
    bool named;

    actor_require(ROLES_BOARD);
    query = fields_of_query(fcinfo);
    named = query_id(query, "queue", &args[0]);
    faults_raise(query->faults);
    SPI_connect();
    board_args(args, nulls, named);
    appendStringInfoChar(json, '{');
    append_rows(json, "called", query_read(&board_called, args, nulls));
    append_rows(json, "next", query_read(&board_next, args, nulls));
    appendStringInfoChar(json, '}');
    SPI_finish();
    return reply(200, json, NULL);
}

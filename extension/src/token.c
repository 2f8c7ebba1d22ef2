#include "token.h"

#include "actor.h"
#include "clock.h"
#include "error.h"
#include "fmgr.h"
#include "query.h"

PG_FUNCTION_INFO_V1(clinicq_issue_token);
PG_FUNCTION_INFO_V1(clinicq_last_token);

QUERY(
    token_next,
    "INSERT INTO clinicq.token_counter AS c (queue_id, service_day, last_token) VALUES ($1, $2, 1)"
    " ON CONFLICT (queue_id, service_day) DO UPDATE SET last_token = c.last_token + 1"
    " RETURNING last_token",
    INT8OID, DATEOID);
QUERY(token_back,
      "UPDATE clinicq.token_counter SET last_token = last_token - 1"
      " WHERE queue_id = $1 AND service_day = $2",
      INT8OID, DATEOID);
QUERY(token_last,
      "SELECT coalesce((SELECT last_token FROM clinicq.token_counter"
      " WHERE queue_id = q.id AND service_day = coalesce($2, $3)), 0)"
      " FROM clinicq.queue q WHERE id = $1",
      INT8OID, DATEOID, DATEOID);
QUERY(queue_clinic, "SELECT clinic_id FROM clinicq.queue WHERE id = $1", INT8OID);

int32 token_issue(int64 queue_id, DateADT day) {
    Datum args[2] = {Int64GetDatum(queue_id), DateADTGetDatum(day)};

    query_write(&token_next, args, NULL);
    return row_int32(0, 1);
}

void token_give_back(int64 queue_id, DateADT day) {
    Datum args[2] = {Int64GetDatum(queue_id), DateADTGetDatum(day)};

    query_write(&token_back, args, NULL);
}

/*
 * open_visit() and transfer_visit() call token_issue() in C, never this: whoever comes here
 * would take a number without a visit.
 */
Datum clinicq_issue_token(PG_FUNCTION_ARGS) {
    actor_require(ROLES_CARE);
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("a token is given only together with a visit"),
            errhint("Call clinicq.open_visit() or clinicq.transfer_visit()."));
}

Datum clinicq_last_token(PG_FUNCTION_ARGS) {
    Datum args[3];
    char nulls[3] = {' ', PG_ARGISNULL(1) ? 'n' : ' ', ' '};
    int32 last;

    actor_require(ROLES_ALL);
    ARG_REQUIRE(0, "queue");
    args[0] = PG_GETARG_DATUM(0);
    args[1] = PG_GETARG_DATUM(1);
    SPI_connect();
    if (query_read(&queue_clinic, args, NULL) == 0)
        error_not_found("queue", psprintf(INT64_FORMAT, PG_GETARG_INT64(0)));
    args[2] = DateADTGetDatum(clock_today(row_int64(0, 1)));
    query_read(&token_last, args, nulls);
    last = row_int32(0, 1);
    SPI_finish();
    PG_RETURN_INT32(last);
}

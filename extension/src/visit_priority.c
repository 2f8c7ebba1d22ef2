/*
 * visit_priority.c: changing the priority of visits that are open.
 */
#include "postgres.h"

#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "priority.h"
#include "query.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_change_priority);

QUERY(clinic_of_visit,
      "SELECT q.clinic_id FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id"
      " WHERE v.id = $1",
      INT8OID);
QUERY(priority_lock, "SELECT status, priority FROM clinicq.visit WHERE id = $1 FOR NO KEY UPDATE",
      INT8OID);
/* The event keeps the status; it tells the board that the order has changed. */
#define CHANGE_PRIORITY(which)                                                  \
    "WITH v AS (UPDATE clinicq.visit SET priority = $2, updated_at = now(),"    \
    "  version = version + 1 WHERE " which " RETURNING *),"                     \
    " e AS (INSERT INTO clinicq.visit_event"                                    \
    "  (visit_id, move, from_status, to_status, room_id, actor_id, actor_name)" \
    "  SELECT id, 'priority', status, status, room_id, nullif($3, 0), $4 FROM v)"
QUERY(priority_update, CHANGE_PRIORITY("id = $1") "SELECT " VISIT_COLUMNS " FROM v" VISIT_JOINS,
      INT8OID, INT2OID, INT8OID, TEXTOID);
QUERY(priority_update_class,
      CHANGE_PRIORITY(
          "priority = $1 AND status IN " VISIT_OPEN
          " AND queue_id IN (SELECT id FROM clinicq.queue WHERE clinic_id = $5)") "SELECT FROM v",
      INT2OID, INT2OID, INT8OID, TEXTOID, INT8OID);

int64 visit_clinic(int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};

    if (query_write(&clinic_of_visit, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
    return row_int64(0, 1);
}

void visit_change_priority(int64 visit_id, int16 rank) {
    const Actor *actor = actor_current();
    Datum args[4] = {Int64GetDatum(visit_id), Int16GetDatum(rank), Int64GetDatum(actor->user_id),
                     CStringGetTextDatum(actor->name)};
    char *status;

    if (query_write(&priority_lock, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
    status = row_text(0, 1);
    if (row_int16(0, 2) == rank) {
        visit_read(visit_id);
        return;
    }
    if (!visit_is_open(status))
        ereport(ERROR, errcode(ERRCODE_CQ_CONFLICT),
                errmsg("the visit is %s; its priority can be changed while it is open", status),
                errhint("Read the visit again: somebody else may have moved it."));
    query_write(&priority_update, args, NULL);
}

void visit_change_rank(int64 clinic_id, int16 rank, int16 new_rank) {
    const Actor *actor = actor_current();
    Datum args[5] = {Int16GetDatum(rank), Int16GetDatum(new_rank), Int64GetDatum(actor->user_id),
                     CStringGetTextDatum(actor->name), Int64GetDatum(clinic_id)};

    query_write(&priority_update_class, args, NULL);
}

Datum clinicq_change_priority(PG_FUNCTION_ARGS) {
    Datum result;
    int64 clinic_id;
    int rank;

    actor_require(visit_open_roles());
    ARG_REQUIRE(0, "visit");
    ARG_REQUIRE(1, "priority");
    SPI_connect();
    clinic_id = visit_clinic(PG_GETARG_INT64(0));
    rank = priority_rank(clinic_id, ARG_CSTRING(1));
    if (rank < 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("priority: must be one of: %s", priority_names(clinic_id)));
    visit_change_priority(PG_GETARG_INT64(0), (int16) rank);
    result = visit_record(fcinfo);
    SPI_finish();
    return result;
}

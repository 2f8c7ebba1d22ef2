#include "queue.h"

#include "actor.h"
#include "clock.h"
#include "error.h"
#include "fmgr.h"
#include "query.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_create_queue);
PG_FUNCTION_INFO_V1(clinicq_rename_queue);
PG_FUNCTION_INFO_V1(clinicq_close_queue);

QUERY(queue_insert,
      "INSERT INTO clinicq.queue (clinic_id, name, token_prefix) VALUES ($1, $2, $3) RETURNING id",
      INT8OID, TEXTOID, TEXTOID);
QUERY(
    queue_update,
    "UPDATE clinicq.queue SET name = coalesce($2, name), token_prefix = coalesce($3, token_prefix),"
    " updated_at = now(), version = version + 1 WHERE id = $1 AND closed_at IS NULL",
    INT8OID, TEXTOID, TEXTOID);
QUERY(queue_lock_whole, "SELECT FROM clinicq.queue WHERE id = $1 AND closed_at IS NULL FOR UPDATE",
      INT8OID);
QUERY(queue_lock_key,
      "SELECT clinic_id FROM clinicq.queue WHERE id = $1 AND closed_at IS NULL FOR KEY SHARE",
      INT8OID);
QUERY(queue_open_visits,
      "SELECT count(*) FROM clinicq.visit WHERE queue_id = $1"
      " AND status IN " VISIT_OPEN,
      INT8OID);
QUERY(
    queue_set_closed,
    "UPDATE clinicq.queue SET closed_at = now(), updated_at = now(), version = version + 1 WHERE id = $1",
    INT8OID);

#define NAME_MAX_CHARS 100
#define PREFIX_MAX     4

void queue_check(Faults *faults, char **name, char *token_prefix) {
    if (*name != NULL)
        *name = faults_check_text(faults, "name", *name, 1, NAME_MAX_CHARS);
    if (token_prefix != NULL &&
        (strlen(token_prefix) > PREFIX_MAX ||
         strspn(token_prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(token_prefix)))
        faults_add(faults, "token_prefix", "must be up to %d capitals or digits", PREFIX_MAX);
}

static char *id_text(int64 id) {
    return psprintf(INT64_FORMAT, id);
}

int64 queue_create(int64 clinic_id, const char *name, const char *token_prefix) {
    Datum args[3] = {Int64GetDatum(clinic_id), CStringGetTextDatum(name),
                     CStringGetTextDatum(token_prefix)};

    clock_today(clinic_id); /* raises P0002 for a clinic that does not exist */
    query_write(&queue_insert, args, NULL);
    return row_int64(0, 1);
}

void queue_change(int64 queue_id, const char *name, const char *token_prefix) {
    Datum args[3] = {Int64GetDatum(queue_id), name ? CStringGetTextDatum(name) : (Datum) 0,
                     token_prefix ? CStringGetTextDatum(token_prefix) : (Datum) 0};
    char nulls[3] = {' ', name ? ' ' : 'n', token_prefix ? ' ' : 'n'};

    if (query_write(&queue_update, args, nulls) == 0)
        error_not_found("open queue", id_text(queue_id));
}

void queue_close(int64 queue_id) {
    Datum args[1] = {Int64GetDatum(queue_id)};

    if (query_write(&queue_lock_whole, args, NULL) == 0)
        error_not_found("open queue", id_text(queue_id));
    visit_close_earlier_of_queue(queue_id);
    query_write(&queue_open_visits, args, NULL);
    if (row_int64(0, 1) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("%lld visits of the queue are open", (long long) row_int64(0, 1)),
                errhint("Finish, cancel or transfer them first."));
    query_write(&queue_set_closed, args, NULL);
}

int64 queue_lock(int64 queue_id) {
    Datum args[1] = {Int64GetDatum(queue_id)};

    return query_write(&queue_lock_key, args, NULL) > 0 ? row_int64(0, 1) : 0;
}

Datum clinicq_create_queue(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *name = PG_ARGISNULL(0) ? "" : ARG_CSTRING(0);
    char *prefix = PG_ARGISNULL(1) ? "" : ARG_CSTRING(1);
    int64 id;

    actor_require(ROLE_ADMIN);
    queue_check(faults, &name, prefix);
    faults_raise(faults);
    SPI_connect();
    id = queue_create(PG_ARGISNULL(2) ? clock_first_clinic() : PG_GETARG_INT64(2), name, prefix);
    SPI_finish();
    PG_RETURN_INT64(id);
}

Datum clinicq_rename_queue(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *name = PG_ARGISNULL(1) ? "" : ARG_CSTRING(1);

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "queue");
    queue_check(faults, &name, NULL);
    faults_raise(faults);
    SPI_connect();
    queue_change(PG_GETARG_INT64(0), name, NULL);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_close_queue(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "queue");
    SPI_connect();
    queue_close(PG_GETARG_INT64(0));
    SPI_finish();
    PG_RETURN_VOID();
}

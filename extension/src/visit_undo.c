/*
 * visit_undo.c: taking back the last move of a visit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "actor.h"
#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "utils/timestamp.h"
#include "visit.h"
#include "visit_move.h"

PG_FUNCTION_INFO_V1(clinicq_undo_visit);
PG_FUNCTION_INFO_V1(clinicq_api_undo_visit);

#define UNDO_SECONDS 60

/* A visit that a transfer has just made stands for the one that it was made from. */
QUERY(undo_which,
      "SELECT coalesce((SELECT v.transferred_from FROM clinicq.visit v"
      " WHERE v.id = $1 AND NOT EXISTS (SELECT FROM clinicq.visit_event e"
      "  WHERE e.visit_id = v.id AND e.move <> 'open')), $1)",
      INT8OID);
QUERY(undo_lock, "SELECT status, transferred_to FROM clinicq.visit WHERE id = $1 FOR NO KEY UPDATE",
      INT8OID);
/* The last move, and the room that the visit had before it. */
QUERY(undo_last,
      "SELECT e.move, e.from_status, e.to_status, e.at,"
      " e.actor_id IS NOT DISTINCT FROM nullif($2, 0) AND e.actor_name = $3,"
      " coalesce((SELECT b.room_id FROM clinicq.visit_event b"
      "  WHERE b.visit_id = $1 AND b.id < e.id ORDER BY b.id DESC LIMIT 1), 0)"
      " FROM clinicq.visit_event e WHERE e.visit_id = $1 ORDER BY e.id DESC LIMIT 1",
      INT8OID, INT8OID, TEXTOID);
QUERY(undo_update,
      "WITH v AS (UPDATE clinicq.visit SET status = $2, room_id = nullif($3, 0),"
      "  transferred_to = NULL, updated_at = now(), version = version + 1"
      "  WHERE id = $1 RETURNING id, status, room_id)"
      "INSERT INTO clinicq.visit_event"
      " (visit_id, move, from_status, to_status, room_id, actor_id, actor_name)"
      " SELECT id, 'undo', $4, status, room_id, nullif($5, 0), $6 FROM v",
      INT8OID, TEXTOID, INT8OID, TEXTOID, INT8OID, TEXTOID);
QUERY(undo_untouched,
      "SELECT FROM clinicq.visit WHERE id = $1 AND status = 'WAITING' AND version = 1"
      " FOR NO KEY UPDATE",
      INT8OID);
QUERY(
    undo_cancel,
    "WITH c AS (UPDATE clinicq.visit_contact c SET visit_id = o.id, service_day = o.service_day,"
    "  near_at = NULL FROM clinicq.visit n JOIN clinicq.visit o ON o.id = n.transferred_from"
    "  WHERE n.id = $1 AND c.visit_id = n.id),"
    " v AS (UPDATE clinicq.visit SET status = 'CANCELLED', transferred_from = NULL,"
    "  updated_at = now(), version = version + 1 WHERE id = $1 RETURNING id, status)"
    "INSERT INTO clinicq.visit_event (visit_id, move, from_status, to_status, actor_id, actor_name)"
    " SELECT id, 'undo', 'WAITING', status, nullif($2, 0), $3 FROM v",
    INT8OID, INT8OID, TEXTOID);

static void refuse(const char *why) {
    ereport(
        ERROR, errcode_refused(ERRCODE_CQ_CONFLICT), errmsg("%s", why),
        errhint("Only the last move of a visit can be undone, by who made it, within %d seconds.",
                UNDO_SECONDS));
}

/* The visit that a transfer made goes, while nobody has done anything with it; its token is used.
 */
static void cancel_new(int64 visit_id) {
    const Actor *actor = actor_current();
    Datum args[3] = {Int64GetDatum(visit_id), Int64GetDatum(actor->user_id),
                     CStringGetTextDatum(actor->name)};

    if (query_write(&undo_untouched, args, NULL) == 0)
        refuse("the visit in the other queue has gone on since the transfer");
    query_write(&undo_cancel, args, NULL);
}

/* Returns the visit whose move was undone; over HTTP also where this user has done so already. */
static int64 undo(int64 visit_id) {
    const Actor *actor = actor_current();
    Datum args[6] = {Int64GetDatum(visit_id), Int64GetDatum(actor->user_id),
                     CStringGetTextDatum(actor->name)};
    int64 other;
    int64 room;
    TimestampTz at;
    char *move;
    char *from;
    char *to;
    bool own;

    query_write(&undo_which, args, NULL);
    visit_id = row_int64(0, 1);
    args[0] = Int64GetDatum(visit_id);
    if (query_write(&undo_lock, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
    other = row_isnull(0, 2) ? 0 : row_int64(0, 2);
    if (query_write(&undo_last, args, NULL) == 0)
        refuse("the visit has not moved");
    move = row_text(0, 1);
    from = row_text(0, 2);
    to = row_text(0, 3);
    at = row_int64(0, 4);
    own = row_bool(0, 5);
    room = row_int64(0, 6);
    if (own && actor->http && strcmp(move, "undo") == 0)
        return visit_id;
    if (from == NULL || strcmp(from, to) == 0 || strcmp(move, "undo") == 0)
        refuse(psprintf("the last move of the visit, %s, cannot be undone", move));
    if (!own)
        refuse(psprintf("the last move of the visit, %s, was made by somebody else", move));
    if (GetCurrentTransactionStartTimestamp() - at > UNDO_SECONDS * USECS_PER_SEC)
        refuse(psprintf("the last move of the visit, %s, was made more than %d seconds ago", move,
                        UNDO_SECONDS));
    if (other != 0)
        cancel_new(other);
    if (!visit_is_open(to) && visit_is_open(from))
        move_check_open_again(visit_id);
    if (strcmp(from, "START") != 0 && strcmp(from, "IN_ROOM") != 0)
        room = 0;
    if (room != 0)
        move_check_room(visit_id, room);
    args[1] = CStringGetTextDatum(from);
    args[2] = Int64GetDatum(room);
    args[3] = CStringGetTextDatum(to);
    args[4] = Int64GetDatum(actor->user_id);
    args[5] = CStringGetTextDatum(actor->name);
    query_write(&undo_update, args, NULL);
    return visit_id;
}

Datum clinicq_undo_visit(PG_FUNCTION_ARGS) {
    Datum result;

    actor_require(ROLES_CARE);
    ARG_REQUIRE(0, "visit");
    SPI_connect();
    visit_read(undo(PG_GETARG_INT64(0)));
    result = visit_record(fcinfo);
    SPI_finish();
    return result;
}

Datum clinicq_api_undo_visit(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();

    actor_require(ROLES_CARE);
    SPI_connect();
    visit_read(undo(path_id(fcinfo, 0, "visit")));
    visit_append_json(json, 0);
    SPI_finish();
    return reply(200, json, NULL);
}

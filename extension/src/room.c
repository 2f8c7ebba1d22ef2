#include "room.h"

#include "actor.h"
#include "clock.h"
#include "error.h"
#include "faults.h"
#include "fields.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_create_room);
PG_FUNCTION_INFO_V1(clinicq_rename_room);
PG_FUNCTION_INFO_V1(clinicq_close_room);
PG_FUNCTION_INFO_V1(clinicq_sign_in_room);
PG_FUNCTION_INFO_V1(clinicq_sign_out_room);
PG_FUNCTION_INFO_V1(clinicq_api_list_rooms);
PG_FUNCTION_INFO_V1(clinicq_api_create_room);
PG_FUNCTION_INFO_V1(clinicq_api_update_room);
PG_FUNCTION_INFO_V1(clinicq_api_close_room);
PG_FUNCTION_INFO_V1(clinicq_api_sign_in_room);
PG_FUNCTION_INFO_V1(clinicq_api_sign_out_room);

#define NAME_MAX_CHARS 100

QUERY(room_insert, "INSERT INTO clinicq.room (clinic_id, name) VALUES ($1, $2) RETURNING id",
      INT8OID, TEXTOID);
QUERY(room_update,
      "UPDATE clinicq.room SET name = coalesce($2, name), updated_at = now(), version = version + 1"
      " WHERE id = $1 AND closed_at IS NULL",
      INT8OID, TEXTOID);
QUERY(room_set_closed,
      "UPDATE clinicq.room SET closed_at = now(), updated_at = now(), version = version + 1"
      " WHERE id = $1",
      INT8OID);
QUERY(room_open, "SELECT clinic_id FROM clinicq.room WHERE id = $1 AND closed_at IS NULL", INT8OID);
QUERY(room_lock,
      "SELECT clinic_id, name FROM clinicq.room WHERE id = $1 AND closed_at IS NULL"
      " FOR NO KEY UPDATE",
      INT8OID);
QUERY(room_lock_now,
      "SELECT clinic_id, name FROM clinicq.room WHERE id = $1 AND closed_at IS NULL"
      " FOR NO KEY UPDATE SKIP LOCKED",
      INT8OID);
QUERY(room_holds,
      "SELECT q.token_prefix, v.token_number FROM clinicq.visit v"
      " JOIN clinicq.queue q ON q.id = v.queue_id"
      " WHERE v.room_id = $1 AND v.service_day = $2 AND v.status IN ('START', 'IN_ROOM')",
      INT8OID, DATEOID);
#define SIGNED_IN                                                          \
    " FROM clinicq.room_session s JOIN clinicq.room r ON r.id = s.room_id" \
    " JOIN unnest($1::bigint[], $2::date[]) AS today (clinic_id, day)"     \
    "  ON today.clinic_id = r.clinic_id AND today.day = s.service_day"     \
    " WHERE r.closed_at IS NULL"
#define OWN_SESSION "coalesce(s.user_id, 0) = $3 AND s.user_name = $4"
QUERY(session_of_actor, "SELECT s.room_id" SIGNED_IN " AND " OWN_SESSION, INT8ARRAYOID,
      DATEARRAYOID, INT8OID, TEXTOID);
QUERY(session_of_room, "SELECT s.user_name, coalesce(s.user_id, 0)" SIGNED_IN " AND s.room_id = $3",
      INT8ARRAYOID, DATEARRAYOID, INT8OID);
QUERY(session_end_own,
      "DELETE FROM clinicq.room_session s WHERE " OWN_SESSION " AND s.room_id <> $1 AND $2",
      INT8OID, BOOLOID, INT8OID, TEXTOID);
QUERY(session_put,
      "INSERT INTO clinicq.room_session (room_id, service_day, user_id, user_name)"
      " VALUES ($1, $2, nullif($3, 0), $4) ON CONFLICT (room_id) DO UPDATE SET"
      "  service_day = excluded.service_day, user_id = excluded.user_id,"
      "  user_name = excluded.user_name, signed_in_at = now()",
      INT8OID, DATEOID, INT8OID, TEXTOID);
QUERY(session_end, "DELETE FROM clinicq.room_session WHERE room_id = $1", INT8OID);

/* Who is signed in, and who is inside, today. */
#define ROOM_ROWS                                                                              \
    "SELECT r.id, r.clinic_id, r.name, s.user_name, q.token_prefix, v.token_number, v.status," \
    " r.created_at, r.updated_at FROM clinicq.room r"                                          \
    " JOIN unnest($1::bigint[], $2::date[]) AS today (clinic_id, day)"                         \
    "  ON today.clinic_id = r.clinic_id"                                                       \
    " LEFT JOIN clinicq.room_session s ON s.room_id = r.id AND s.service_day = today.day"      \
    " LEFT JOIN clinicq.visit v ON v.room_id = r.id AND v.service_day = today.day"             \
    "  AND v.status IN ('START', 'IN_ROOM') LEFT JOIN clinicq.queue q ON q.id = v.queue_id"    \
    " WHERE r.closed_at IS NULL AND ($3 = 0 OR r.id = $3) ORDER BY r.name, r.id"
QUERY(rooms_all, ROOM_ROWS, INT8ARRAYOID, DATEARRAYOID, INT8OID);

static void not_found(int64 room_id) {
    error_not_found("open room", psprintf(INT64_FORMAT, room_id));
}

bool room_is_open(int64 room_id) {
    Datum args[1] = {Int64GetDatum(room_id)};

    return query_write(&room_open, args, NULL) > 0;
}

int64 room_of_actor(void) {
    const Actor *actor = actor_current();
    Datum args[4] = {0, 0, Int64GetDatum(actor->user_id), CStringGetTextDatum(actor->name)};

    clock_todays(&args[0], &args[1]);
    return query_write(&session_of_actor, args, NULL) > 0 ? row_int64(0, 1) : 0;
}

/* QC409 where a patient is in the room, which is locked. */
static void require_empty(int64 room_id, const char *name, int64 clinic_id) {
    Datum args[2] = {Int64GetDatum(room_id), DateADTGetDatum(clock_today(clinic_id))};

    if (query_write(&room_holds, args, NULL) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("room %s holds a patient already: token %s", name,
                       visit_token_text(row_text(0, 1), row_int32(0, 2))),
                errhint("Finish that visit first, or choose another room."));
}

void room_try_lock(int64 room_id, int64 clinic_id) {
    Datum args[1] = {Int64GetDatum(room_id)};

    if (query_write(&room_lock_now, args, NULL) == 0) {
        if (!room_is_open(room_id))
            not_found(room_id);
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("somebody else is calling to this room at this moment"),
                errhint("Look again who is in the room."));
    }
    if (row_int64(0, 1) != clinic_id)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the room is of another clinic than the queue"),
                errhint("Choose a room of the queue's clinic."));
    require_empty(room_id, row_text(0, 2), clinic_id);
}

static void room_name_check(Faults *faults, char **name) {
    *name = faults_check_text(faults, "name", *name, 1, NAME_MAX_CHARS);
}

static int64 room_create(int64 clinic_id, const char *name) {
    Datum args[2] = {Int64GetDatum(clinic_id), CStringGetTextDatum(name)};

    clock_today(clinic_id); /* raises P0002 for a clinic that does not exist */
    query_write(&room_insert, args, NULL);
    return row_int64(0, 1);
}

static void room_rename(int64 room_id, const char *name) {
    Datum args[2] = {Int64GetDatum(room_id), name ? CStringGetTextDatum(name) : (Datum) 0};
    char nulls[2] = {' ', name ? ' ' : 'n'};

    if (query_write(&room_update, args, nulls) == 0)
        not_found(room_id);
}

/* Locks the room and returns its clinic. */
static int64 lock(int64 room_id, char **name) {
    Datum args[1] = {Int64GetDatum(room_id)};

    if (query_write(&room_lock, args, NULL) == 0)
        not_found(room_id);
    *name = row_text(0, 2);
    return row_int64(0, 1);
}

static void room_close(int64 room_id) {
    Datum args[1] = {Int64GetDatum(room_id)};
    char *name;
    int64 clinic_id = lock(room_id, &name);

    require_empty(room_id, name, clinic_id);
    query_write(&session_end, args, NULL);
    query_write(&room_set_closed, args, NULL);
}

/* True where somebody is signed into the room today; name and whether it is the actor. */
static bool session_read(int64 room_id, char **name, bool *own) {
    const Actor *actor = actor_current();
    Datum args[3] = {0, 0, Int64GetDatum(room_id)};

    clock_todays(&args[0], &args[1]);
    if (query_write(&session_of_room, args, NULL) == 0)
        return false;
    *name = row_text(0, 1);
    *own = row_int64(0, 2) == actor->user_id && strcmp(*name, actor->name) == 0;
    return true;
}

static void sign_in(int64 room_id) {
    const Actor *actor = actor_current();
    Datum args[4] = {Int64GetDatum(room_id), 0, Int64GetDatum(actor->user_id),
                     CStringGetTextDatum(actor->name)};
    char *room;
    char *name;
    bool own;
    int64 clinic_id = lock(room_id, &room);

    if (session_read(room_id, &name, &own) && !own)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("%s is signed into room %s", name, room),
                errhint("Sign out there first; an administrator may do it."));
    args[1] = BoolGetDatum(true);
    query_write(&session_end_own, args, NULL);
    args[1] = DateADTGetDatum(clock_today(clinic_id));
    query_write(&session_put, args, NULL);
}

/* Out of a room nobody is signed into: nothing to do. */
static void sign_out(int64 room_id) {
    Datum args[1] = {Int64GetDatum(room_id)};
    char *room;
    char *name;
    bool own;

    lock(room_id, &room);
    if (!session_read(room_id, &name, &own))
        return;
    if (!own && !(actor_roles() & ROLE_ADMIN))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("%s is signed into room %s", name, room),
                errhint("Only who is signed in, or an administrator, signs out."));
    query_write(&session_end, args, NULL);
}

Datum clinicq_create_room(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *name = PG_ARGISNULL(0) ? "" : ARG_CSTRING(0);
    int64 id;

    actor_require(ROLE_ADMIN);
    room_name_check(faults, &name);
    faults_raise(faults);
    SPI_connect();
    id = room_create(PG_ARGISNULL(1) ? clock_first_clinic() : PG_GETARG_INT64(1), name);
    SPI_finish();
    PG_RETURN_INT64(id);
}

Datum clinicq_rename_room(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *name = PG_ARGISNULL(1) ? "" : ARG_CSTRING(1);

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "room");
    room_name_check(faults, &name);
    faults_raise(faults);
    SPI_connect();
    room_rename(PG_GETARG_INT64(0), name);
    SPI_finish();
    PG_RETURN_VOID();
}

static Datum room_for_psql(FunctionCallInfo fcinfo, void (*what)(int64 room_id)) {
    ARG_REQUIRE(0, "room");
    SPI_connect();
    what(PG_GETARG_INT64(0));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_close_room(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    return room_for_psql(fcinfo, room_close);
}

Datum clinicq_sign_in_room(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    return room_for_psql(fcinfo, sign_in);
}

Datum clinicq_sign_out_room(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    return room_for_psql(fcinfo, sign_out);
}

static void room_append_json(StringInfo json, uint64 row) {
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_int(json, "clinic", row_int64(row, 2));
    json_text(json, "name", row_text(row, 3));
    json_text(json, "user", actor_roles() & ROLES_CARE ? row_text(row, 4) : NULL);
    json_text(json, "token",
              row_isnull(row, 6) ? NULL : visit_token_text(row_text(row, 5), row_int32(row, 6)));
    json_text(json, "status", row_text(row, 7));
    json_timestamp(json, "created_at", row_int64(row, 8), "Z");
    json_timestamp(json, "updated_at", row_int64(row, 9), "Z");
    appendStringInfoChar(json, '}');
}

/* Rooms as they stand now, one or (0) all. */
static uint64 rooms_read(int64 room_id) {
    Datum args[3] = {0, 0, Int64GetDatum(room_id)};

    clock_todays(&args[0], &args[1]);
    return query_write(&rooms_all, args, NULL);
}

Datum clinicq_api_list_rooms(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    uint64 rows;

    actor_require(ROLES_BOARD);
    appendStringInfoChar(json, '[');
    SPI_connect();
    rows = rooms_read(0);
    for (uint64 row = 0; row < rows; row++)
        room_append_json(json, row);
    SPI_finish();
    appendStringInfoChar(json, ']');
    return reply(200, json, NULL);
}

/* SPI is connected, and finished here; json was made before. */
static Datum room_reply(int status, int64 room_id, StringInfo json) {
    if (rooms_read(room_id) == 0)
        not_found(room_id);
    room_append_json(json, 0);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_create_room(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *name;

    actor_require(ROLE_ADMIN);
    fields = fields_of_body(fcinfo);
    if (field_given(fields, "name", &name, true))
        room_name_check(fields->faults, &name);
    faults_raise(fields->faults);
    SPI_connect();
    return room_reply(201, room_create(clock_first_clinic(), name), json);
}

Datum clinicq_api_update_room(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *name;
    int64 id;

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "room");
    fields = fields_of_body(fcinfo);
    if (field_given(fields, "name", &name, false))
        room_name_check(fields->faults, &name);
    faults_raise(fields->faults);
    SPI_connect();
    room_rename(id, name);
    return room_reply(200, id, json);
}

Datum clinicq_api_close_room(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    SPI_connect();
    room_close(path_id(fcinfo, 0, "room"));
    SPI_finish();
    return reply(204, NULL, NULL);
}

static Datum session_for_http(FunctionCallInfo fcinfo, void (*what)(int64 room_id)) {
    StringInfo json = makeStringInfo();
    int64 id;

    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    id = path_id(fcinfo, 0, "room");
    SPI_connect();
    what(id);
    return room_reply(200, id, json);
}

Datum clinicq_api_sign_in_room(PG_FUNCTION_ARGS) {
    return session_for_http(fcinfo, sign_in);
}

Datum clinicq_api_sign_out_room(PG_FUNCTION_ARGS) {
    return session_for_http(fcinfo, sign_out);
}

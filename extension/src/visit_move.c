#include "visit_move.h"

#include "access/xact.h"
#include "actor.h"
#include "clock.h"
#include "error.h"
#include "fmgr.h"
#include "query.h"
#include "setting.h"
#include "visit.h"

/* States as bits, in the order of state_names. */
#define WAITING     0x01
#define START       0x02
#define IN_ROOM     0x04
#define HELD        0x08
#define DONE        0x10
#define NO_SHOW     0x20
#define CANCELLED   0x40
#define TRANSFERRED 0x80

static const char *const state_names[] = {"WAITING", "START",   "IN_ROOM",   "HELD",
                                          "DONE",    "NO_SHOW", "CANCELLED", "TRANSFERRED"};

typedef struct MoveRule {
    const char *name; /* as in clinicq.visit_event.move */
    uint32 from;
    uint32 to;
    uint32 roles;
} MoveRule;

static const MoveRule rules[MOVE_COUNT] = {
    [MOVE_START] = {"start", WAITING, START, ROLE_ADMIN | ROLE_DOCTOR},
    [MOVE_IN_ROOM] = {"in_room", START, IN_ROOM, ROLE_ADMIN | ROLE_DOCTOR},
    [MOVE_SEND_BACK] = {"send_back", START | IN_ROOM, WAITING, ROLE_ADMIN | ROLE_DOCTOR},
    [MOVE_DONE] = {"done", IN_ROOM, DONE, ROLE_ADMIN | ROLE_DOCTOR},
    [MOVE_NO_SHOW] = {"no_show", START, NO_SHOW, ROLES_CARE},
    [MOVE_RECALL] = {"recall", NO_SHOW, WAITING, ROLES_CARE},
    [MOVE_CANCEL] = {"cancel", WAITING | HELD, CANCELLED, ROLES_CARE},
    [MOVE_TRANSFER] = {"transfer", WAITING | START | HELD, TRANSFERRED, ROLES_CARE},
    [MOVE_HOLD] = {"hold", WAITING | START, HELD, ROLES_CARE},
    [MOVE_RESUME] = {"resume", HELD, WAITING, ROLES_CARE},
    [MOVE_ANNOUNCE] = {"announce", START, START, ROLES_CARE},
};

QUERY(visit_lock,
      "SELECT patient_id, queue_id, priority, status, service_day FROM clinicq.visit WHERE id = $1"
      " FOR NO KEY UPDATE",
      INT8OID);
QUERY(move_made_before,
      "SELECT FROM clinicq.visit_event WHERE visit_id = $1 AND move = $2 AND actor_id = $3 LIMIT 1",
      INT8OID, TEXTOID, INT8OID);
QUERY(
    visit_update,
    "WITH v AS ("
    " UPDATE clinicq.visit SET status = $2, updated_at = now(), version = version + 1,"
    "  room_id = CASE WHEN $2 IN ('WAITING', 'HELD', 'CANCELLED') THEN NULL ELSE coalesce(nullif($3, 0), room_id) END,"
    "  place = CASE WHEN $8 THEN (SELECT last_token + 1 FROM clinicq.token_counter c"
    "   WHERE c.queue_id = visit.queue_id AND c.service_day = visit.service_day) ELSE place END,"
    "  returned_at = CASE WHEN $8 THEN now() ELSE returned_at END"
    " WHERE id = $1 RETURNING *),"
    " e AS (INSERT INTO clinicq.visit_event"
    "  (visit_id, move, from_status, to_status, room_id, actor_id, actor_name)"
    "  SELECT id, $4, $5, status, room_id, nullif($6, 0), $7 FROM v)"
    "SELECT " VISIT_COLUMNS " FROM v" VISIT_JOINS,
    INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, BOOLOID);
QUERY(last_calls,
      "SELECT max(at) FILTER (WHERE move = 'no_show'),"
      " count(*) FILTER (WHERE move IN ('start', 'announce') AND id >= (SELECT max(s.id)"
      "  FROM clinicq.visit_event s WHERE s.visit_id = $1 AND s.move = 'start'))"
      " FROM clinicq.visit_event WHERE visit_id = $1",
      INT8OID);
QUERY(other_open_visit,
      "SELECT v.id FROM clinicq.visit v JOIN clinicq.visit o ON o.patient_id = v.patient_id"
      " AND o.queue_id = v.queue_id AND o.service_day = v.service_day AND o.id <> v.id"
      " WHERE v.id = $1 AND o.status IN " VISIT_OPEN,
      INT8OID);
QUERY(recall_state,
      "SELECT p.removed_at IS NOT NULL, q.closed_at IS NOT NULL, q.clinic_id, v.service_day"
      " FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id"
      " JOIN clinicq.queue q ON q.id = v.queue_id WHERE v.id = $1 FOR KEY SHARE OF p, q",
      INT8OID);
/* Whoever opens a visit there holds the counter's row, so of the two one waits. */
QUERY(recall_lock,
      "SELECT FROM clinicq.token_counter c JOIN clinicq.visit v ON v.queue_id = c.queue_id"
      " AND v.service_day = c.service_day WHERE v.id = $1 FOR NO KEY UPDATE OF c",
      INT8OID);
QUERY(room_lock,
      "SELECT r.name FROM clinicq.room r JOIN clinicq.queue q ON q.clinic_id = r.clinic_id"
      " JOIN clinicq.visit v ON v.queue_id = q.id WHERE v.id = $1 AND r.id = $2"
      " AND r.closed_at IS NULL FOR NO KEY UPDATE OF r",
      INT8OID, INT8OID);
QUERY(room_taken,
      "SELECT q.token_prefix, o.token_number"
      " FROM clinicq.visit v JOIN clinicq.visit o ON o.service_day = v.service_day"
      " JOIN clinicq.queue q ON q.id = o.queue_id"
      " WHERE v.id = $1 AND o.room_id = $2 AND o.status IN ('START', 'IN_ROOM') AND o.id <> v.id",
      INT8OID, INT8OID);

bool move_is_event(const char *name) {
    static const char *const others[] = {"open", "priority", "undo", "day_end"};

    for (int i = 0; i < lengthof(rules); i++)
        if (strcmp(rules[i].name, name) == 0)
            return true;
    for (int i = 0; i < lengthof(others); i++)
        if (strcmp(others[i], name) == 0)
            return true;
    return false;
}

uint32 move_roles(Move move) {
    return rules[move].roles;
}

static uint32 state_bit(const char *name) {
    for (int i = 0; i < lengthof(state_names); i++)
        if (strcmp(name, state_names[i]) == 0)
            return 1u << i;
    return 0;
}

static const char *state_list(uint32 states) {
    StringInfoData list;

    initStringInfo(&list);
    for (int i = 0; i < lengthof(state_names); i++)
        if (states & (1u << i))
            appendStringInfo(&list, "%s%s", list.len > 0 ? " or " : "", state_names[i]);
    return list.data;
}

static bool made_before(Move move, int64 visit_id) {
    const Actor *actor = actor_current();
    Datum args[3] = {Int64GetDatum(visit_id), CStringGetTextDatum(rules[move].name),
                     Int64GetDatum(actor->user_id)};

    return actor->http && query_write(&move_made_before, args, NULL) > 0;
}

bool move_check(Move move, int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};
    SPITupleTable *locked;
    char *status;

    if (query_write(&visit_lock, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
    status = row_text(0, 4);
    if (rules[move].from & state_bit(status))
        return true;
    locked = SPI_tuptable;
    if (!made_before(move, visit_id))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the visit is %s; %s is possible from %s", status, rules[move].name,
                       state_list(rules[move].from)),
                errhint("Read the visit again: somebody else may have moved it."));
    SPI_tuptable = locked;
    return false;
}

/* A room must be of the queue's clinic and empty. Locked, so that of two who call to it one waits.
 */
void move_check_room(int64 visit_id, int64 room_id) {
    Datum args[2] = {Int64GetDatum(visit_id), Int64GetDatum(room_id)};
    char *name;

    if (query_write(&room_lock, args, NULL) == 0)
        error_not_found("room", psprintf(INT64_FORMAT, room_id));
    name = row_text(0, 1);
    if (query_write(&room_taken, args, NULL) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("room %s holds a patient already: token %s", name,
                       visit_token_text(row_text(0, 1), row_int32(0, 2))),
                errhint("Finish that visit first, or choose another room."));
}

/* What a recall opens again has to be there still: patient, queue and day. Locked, so it stays. */
void move_check_open_again(int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};
    const char *fault = NULL;
    bool isnull;
    DateADT day;

    query_write(&recall_state, args, NULL);
    day = row_int32(0, 4);
    if (DatumGetBool(row_value(0, 1, &isnull)))
        fault = "the patient has been removed";
    else if (DatumGetBool(row_value(0, 2, &isnull)))
        fault = "the queue is closed";
    else if (day != clock_today(row_int64(0, 3)))
        fault = "the visit is of an earlier day";
    if (fault != NULL)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT), errmsg("%s", fault),
                errhint("Open a new visit instead."));
    query_write(&recall_lock, args, NULL);
    if (query_write(&other_open_visit, args, NULL) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the patient has another open visit in this queue"),
                errhint("Go on with that visit."));
}

/* A no-show needs as many calls as the clinic asks for, since the last start. */
static void check_calls(int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};
    int wanted = setting_int(SETTING_NO_SHOW_CALLS);

    if (wanted <= 1)
        return;
    query_write(&last_calls, args, NULL);
    if (row_int64(0, 2) < wanted)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the patient was called %lld of %d times before a no-show",
                       (long long) row_int64(0, 2), wanted),
                errhint("Announce the visit again first."));
}

static void check_cool_down(int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};
    int minutes = setting_int(SETTING_NO_SHOW_COOL_DOWN_MINUTES);
    int64 left = minutes * USECS_PER_MINUTE;

    if (minutes == 0)
        return;
    query_write(&last_calls, args, NULL);
    if (row_isnull(0, 1))
        return;
    left -= GetCurrentTransactionStartTimestamp() - row_int64(0, 1);
    if (left > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("a recall is possible %d minutes after the no-show, in %lld seconds",
                       minutes, (long long) (left / USECS_PER_SEC + 1)),
                errhint("Wait until then, or open a new visit."));
}

void move_make(Move move, int64 visit_id, int64 room_id) {
    const Actor *actor = actor_current();
    Datum args[8];

    if (!move_check(move, visit_id)) {
        visit_read(visit_id);
        return;
    }
    args[0] = Int64GetDatum(visit_id);
    args[4] = CStringGetTextDatum(row_text(0, 4));
    if (move == MOVE_NO_SHOW)
        check_calls(visit_id);
    if (move == MOVE_RECALL) {
        check_cool_down(visit_id);
        move_check_open_again(visit_id);
    }
    if (room_id != 0)
        move_check_room(visit_id, room_id);
    args[1] = CStringGetTextDatum(state_list(rules[move].to));
    args[2] = Int64GetDatum(room_id);
    args[3] = CStringGetTextDatum(rules[move].name);
    args[5] = Int64GetDatum(actor->user_id);
    args[6] = CStringGetTextDatum(actor->name);
    args[7] = BoolGetDatum(rules[move].to == WAITING && setting_is(SETTING_RETURN_PLACE, "end"));
    query_write(&visit_update, args, NULL);
}

static Datum move_for_psql(FunctionCallInfo fcinfo, Move move) {
    Datum result;

    ARG_REQUIRE(0, "visit");
    SPI_connect();
    move_make(move, PG_GETARG_INT64(0),
              PG_NARGS() > 1 && !PG_ARGISNULL(1) ? PG_GETARG_INT64(1) : 0);
    result = visit_record(fcinfo);
    SPI_finish();
    return result;
}

#define MOVE_FUNCTION(function, move)       \
    PG_FUNCTION_INFO_V1(function);          \
    Datum function(PG_FUNCTION_ARGS) {      \
        actor_require(move_roles(move));    \
        return move_for_psql(fcinfo, move); \
    }

MOVE_FUNCTION(clinicq_start_visit, MOVE_START)
MOVE_FUNCTION(clinicq_enter_room, MOVE_IN_ROOM)
MOVE_FUNCTION(clinicq_return_to_waiting, MOVE_SEND_BACK)
MOVE_FUNCTION(clinicq_finish_visit, MOVE_DONE)
MOVE_FUNCTION(clinicq_cancel_visit, MOVE_CANCEL)
MOVE_FUNCTION(clinicq_mark_no_show, MOVE_NO_SHOW)
MOVE_FUNCTION(clinicq_recall_visit, MOVE_RECALL)
MOVE_FUNCTION(clinicq_hold_visit, MOVE_HOLD)
MOVE_FUNCTION(clinicq_resume_visit, MOVE_RESUME)
MOVE_FUNCTION(clinicq_announce_visit, MOVE_ANNOUNCE)

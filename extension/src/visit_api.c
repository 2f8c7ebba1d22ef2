/*
 * visit_api.c: the routes under /api/visits/.
 */
#include "postgres.h"

#include "actor.h"
#include "clock.h"
#include "contact.h"
#include "error.h"
#include "etag.h"
#include "fields.h"
#include "json.h"
#include "look.h"
#include "page.h"
#include "patient.h"
#include "priority.h"
#include "query.h"
#include "queue.h"
#include "reply.h"
#include "restriction.h"
#include "room.h"
#include "utils/array.h"
#include "visit.h"
#include "visit_move.h"

PG_FUNCTION_INFO_V1(clinicq_api_list_visits);
PG_FUNCTION_INFO_V1(clinicq_api_open_visit);
PG_FUNCTION_INFO_V1(clinicq_api_get_visit);
PG_FUNCTION_INFO_V1(clinicq_api_update_visit);

#define VISITS_PATH     "/api/visits/"
#define VISITS_PAGE     200
#define VISITS_PAGE_MAX 500

/* $1 statuses, $2 queue, $3 and $4 clinics and their days today, $5 and $6 first and last day. */
#define OF_TODAY                                                       \
    " JOIN unnest($3::bigint[], $4::date[]) AS today (clinic_id, day)" \
    "  ON today.clinic_id = q.clinic_id AND today.day = v.service_day" \
    " WHERE ($1::text[] IS NULL OR v.status = ANY ($1)) AND ($2::bigint IS NULL OR v.queue_id = $2)"
#define OF_DAYS                                               \
    " WHERE v.service_day >= coalesce($5::date, '-infinity')" \
    " AND v.service_day <= coalesce($6::date, 'infinity')"    \
    " AND ($1::text[] IS NULL OR v.status = ANY ($1)) AND ($2::bigint IS NULL OR v.queue_id = $2)"
/* $7 offset, $8 limit, $9 the visit that the page begins after. */
#define ONE_PAGE                                                                  \
    " AND ($9::bigint IS NULL OR (v.service_day, q.name, v.token_number, v.id) >" \
    "  (SELECT c.service_day, cq.name, c.token_number, c.id FROM clinicq.visit c" \
    "   JOIN clinicq.queue cq ON cq.id = c.queue_id WHERE c.id = $9))"            \
    " ORDER BY v.service_day, q.name, v.token_number, v.id OFFSET $7 LIMIT $8"
#define FILTER_TYPES \
    TEXTARRAYOID, INT8OID, INT8ARRAYOID, DATEARRAYOID, DATEOID, DATEOID, INT8OID, INT8OID, INT8OID

QUERY(visits_today, "SELECT " VISIT_COLUMNS " FROM " VISIT_TABLES OF_TODAY ONE_PAGE, FILTER_TYPES);
QUERY(visits_of_days, "SELECT " VISIT_COLUMNS " FROM " VISIT_TABLES OF_DAYS ONE_PAGE, FILTER_TYPES);
QUERY(visits_today_count,
      "SELECT count(*) FROM (SELECT FROM " VISIT_TABLES OF_TODAY " LIMIT 10001) AS counted",
      FILTER_TYPES);
QUERY(visits_of_days_count,
      "SELECT count(*), (SELECT greatest(reltuples, 0)::bigint FROM pg_class"
      "  WHERE oid = 'clinicq.visit'::regclass)"
      " FROM (SELECT FROM " VISIT_TABLES OF_DAYS " LIMIT 10001) AS counted",
      FILTER_TYPES);

QUERY(visit_lock_row, "SELECT FROM clinicq.visit WHERE id = $1 FOR NO KEY UPDATE", INT8OID);

/* A comma list of statuses in any case, as text[]. */
static Datum read_statuses(char *list) {
    ArrayBuildState *statuses = initArrayResult(TEXTOID, CurrentMemoryContext, false);

    while (list != NULL) {
        char *comma = strchr(list, ',');
        char *status;

        if (comma != NULL)
            *comma++ = '\0';
        status = trim_blanks(list);
        for (char *at = status; *at; at++)
            *at = (char) pg_ascii_toupper((unsigned char) *at);
        statuses = accumArrayResult(statuses, CStringGetTextDatum(status), false, TEXTOID,
                                    CurrentMemoryContext);
        list = comma;
    }
    return makeArrayResult(statuses, CurrentMemoryContext);
}

/* What a list of visits asks for: the arguments $1 to $9. */
typedef struct VisitList {
    ListPage page;
    bool of_today;
    Datum args[9];
    char nulls[10];
} VisitList;

static void read_filters(VisitList *list, Fields *query) {
    Datum *args = list->args;
    char *nulls = list->nulls;
    char *statuses = query_text(query, "status");

    memcpy(nulls, "nn  nn  n", sizeof list->nulls);
    if (statuses != NULL) {
        args[0] = read_statuses(statuses);
        nulls[0] = ' ';
    }
    if (query_id(query, "queue", &args[1]))
        nulls[1] = ' ';
    if (query_day(query, "date", &args[4])) {
        args[5] = args[4];
        nulls[4] = nulls[5] = ' ';
    }
    if (query_day(query, "from", &args[4]))
        nulls[4] = ' ';
    if (query_day(query, "to", &args[5]))
        nulls[5] = ' ';
    if (query_id(query, "cursor", &args[8]))
        nulls[8] = ' ';
    faults_raise(query->faults);
    list->of_today = nulls[4] == 'n' && nulls[5] == 'n';
    clock_todays(&args[2], &args[3]);
}

static uint64 read_page(VisitList *list) {
    list->args[6] = Int64GetDatum(Max(page_offset(&list->page), 0));
    list->args[7] = Int64GetDatum(list->page.size + 1); /* one more tells whether it goes on */
    return query_read(list->of_today ? &visits_today : &visits_of_days, list->args, list->nulls);
}

/* How many there are decides which page it is, but for a first one that holds all. */
static uint64 choose_page(VisitList *list) {
    ListPage *page = &list->page;
    int64 count;

    if (page->number == 1 && page->cursor == NULL) {
        uint64 found = read_page(list);

        page_settle(page, (int64) found, true);
        if (found <= page->size)
            return found;
    }
    query_read(list->of_today ? &visits_today_count : &visits_of_days_count, list->args,
               list->nulls);
    count = row_int64(0, 1);
    if (count > PAGE_COUNT_EXACT && !list->of_today)
        count = Max(count, row_int64(0, 2));
    page_settle(page, count, count <= PAGE_COUNT_EXACT);
    return read_page(list);
}

Datum clinicq_api_list_visits(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    Fields *query;
    VisitList list = {0};
    StringInfoData rows;
    char *last_key = NULL;
    uint64 found;

    actor_require(ROLES_BOARD);
    query = fields_of_query(fcinfo);
    page_read(&list.page, query, VISITS_PATH, VISITS_PAGE, VISITS_PAGE_MAX);
    read_filters(&list, query);
    initStringInfo(&rows);
    appendStringInfoChar(&rows, '[');
    SPI_connect();
    found = choose_page(&list);
    if (found > list.page.size) {
        found = list.page.size;
        last_key = MemoryContextStrdup(caller, psprintf(INT64_FORMAT, row_int64(found - 1, 1)));
    }
    for (uint64 row = 0; row < found; row++)
        visit_append_json(&rows, row);
    SPI_finish();
    appendStringInfoChar(&rows, ']');
    return page_reply(&list.page, &rows, last_key);
}

/* The visit, which is left as it is; SPI is connected, and finished here. */
static Datum visit_shown(StringInfo json, int64 id) {
    visit_read(id);
    visit_append_json(json, 0);
    look_read("visit", id, sight_outcome(sight_of(row_int64(0, 12), row_bool(0, 11))));
    SPI_finish();
    return reply(200, json, NULL);
}

bool visit_append_locked(const char *key, StringInfo json) {
    Datum id;

    if (!entity_lock(&visit_lock_row, key, &id))
        return false;
    visit_read(DatumGetInt64(id));
    visit_append_json(json, 0);
    return true;
}

/* Row 0 of VISIT_COLUMNS as reply; SPI is connected, and finished here. */
static Datum visit_reply(int status, StringInfo json) {
    visit_append_json(json, 0);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_get_visit(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();

    actor_require(ROLES_BOARD);
    SPI_connect();
    return visit_shown(json, path_id(fcinfo, 0, "visit"));
}

/* Locks the queue that the body names, and returns its clinic; 0 where there is a fault or none is
 * named. */
static int64 read_queue(Fields *fields, bool required, int64 *queue_id) {
    FieldState state = field_int64(fields, "queue", queue_id);
    int64 clinic_id = 0;

    if (state == FIELD_VALUE && (clinic_id = queue_lock(*queue_id)) == 0)
        faults_add(fields->faults, "queue", "is not an open queue");
    if (state == FIELD_NULL)
        faults_add(fields->faults, "queue", "must not be null");
    if (state == FIELD_ABSENT && required)
        faults_add(fields->faults, "queue", "is required");
    return clinic_id;
}

/* The priority that the body names, as a rank; -1 where none is given. */
static int read_priority(Fields *fields, int64 clinic_id) {
    char *class;
    int rank;

    if (!field_given(fields, "priority", &class, false) || clinic_id == 0)
        return -1;
    rank = priority_rank(clinic_id, class);
    if (rank < 0)
        faults_add(fields->faults, "priority", "must be one of: %s", priority_names(clinic_id));
    return rank;
}

/* The visit is read anew where something was asked for, so that it shows it. */
static void notify(int64 visit_id, const Contact *contact) {
    if (contact->state == FIELD_ABSENT)
        return;
    contact_apply(visit_id, contact);
    visit_read(visit_id);
}

Datum clinicq_api_open_visit(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *number;
    int64 patient_id = 0;
    int64 queue_id = 0;
    int64 clinic_id;
    int priority;
    Contact contact;
    bool is_new;

    actor_require(visit_open_roles());
    fields = fields_of_body(fcinfo);
    SPI_connect();
    if (field_given(fields, "patient", &number, true) && (patient_id = patient_lock(number)) == 0)
        faults_add(fields->faults, "patient", "is not the registration number of a patient");
    clinic_id = read_queue(fields, true, &queue_id);
    priority = Max(read_priority(fields, clinic_id), 0); /* the ordinary patient */
    contact_read(fields, &contact);
    faults_raise(fields->faults);
    is_new = visit_open(patient_id, queue_id, clinic_id, (int16) priority);
    notify(row_int64(0, 1), &contact);
    return visit_reply(is_new ? 201 : 200, json);
}

/* Where both are given the visit that goes on in the other queue gets priority and messages. */
Datum clinicq_api_update_visit(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    int64 visit_id;
    int64 queue_id = 0;
    int64 clinic_id;
    int priority;
    Contact contact;

    actor_require(move_roles(MOVE_TRANSFER));
    visit_id = path_id(fcinfo, 0, "visit");
    fields = fields_of_body(fcinfo);
    SPI_connect();
    clinic_id = read_queue(fields, false, &queue_id);
    priority = read_priority(fields, clinic_id != 0 ? clinic_id : visit_clinic(visit_id));
    contact_read(fields, &contact);
    faults_raise(fields->faults);
    if (priority >= 0)
        actor_require(visit_open_roles());
    if (clinic_id == 0 && priority < 0 && contact.state == FIELD_ABSENT) /* nothing to change */
        return visit_shown(json, visit_id);
    if (clinic_id != 0) {
        visit_transfer(visit_id, queue_id);
        visit_id = row_int64(0, 1);
    }
    if (priority >= 0)
        visit_change_priority(visit_id, (int16) priority);
    notify(visit_id, &contact);
    return visit_reply(200, json);
}

/* The body is never read, whatever it is (apps send anything), so the room is in the query. */
static int64 read_room(FunctionCallInfo fcinfo) {
    Fields *query = fields_of_query(fcinfo);
    Datum room_id = 0;

    if (query_id(query, "room", &room_id) && !room_is_open(DatumGetInt64(room_id)))
        faults_add(query->faults, "room", "is not an open room");
    faults_raise(query->faults);
    return DatumGetInt64(room_id);
}

static Datum move_for_http(FunctionCallInfo fcinfo, Move move) {
    StringInfo json = makeStringInfo();
    int64 room_id;

    actor_require(move_roles(move));
    SPI_connect();
    room_id = move == MOVE_START ? read_room(fcinfo) : 0;
    move_make(move, path_id(fcinfo, 0, "visit"), room_id);
    return visit_reply(200, json);
}

#define MOVE_ROUTE(function, move)          \
    PG_FUNCTION_INFO_V1(function);          \
    Datum function(PG_FUNCTION_ARGS) {      \
        return move_for_http(fcinfo, move); \
    }

MOVE_ROUTE(clinicq_api_start_visit, MOVE_START)
MOVE_ROUTE(clinicq_api_enter_room, MOVE_IN_ROOM)
MOVE_ROUTE(clinicq_api_return_to_waiting, MOVE_SEND_BACK)
MOVE_ROUTE(clinicq_api_finish_visit, MOVE_DONE)
MOVE_ROUTE(clinicq_api_cancel_visit, MOVE_CANCEL)
MOVE_ROUTE(clinicq_api_mark_no_show, MOVE_NO_SHOW)
MOVE_ROUTE(clinicq_api_recall_visit, MOVE_RECALL)
MOVE_ROUTE(clinicq_api_hold_visit, MOVE_HOLD)
MOVE_ROUTE(clinicq_api_resume_visit, MOVE_RESUME)
MOVE_ROUTE(clinicq_api_announce_visit, MOVE_ANNOUNCE)

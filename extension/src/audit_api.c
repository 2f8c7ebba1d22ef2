/*
 * audit_api.c: GET /api/audit/, the audit log for auditors.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "actor.h"
#include "audit_history.h"
#include "error.h"
#include "fields.h"
#include "json.h"
#include "look.h"
#include "page.h"
#include "reply.h"
#include "utils/array.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_api_list_events);

#define AUDIT_PATH     "/api/audit/"
#define AUDIT_PAGE     100
#define AUDIT_PAGE_MAX 500
/* What no index finds is looked for among so many events at a time, so that a page takes no longer
 * than that; the next page goes on from there. */
#define SCANNED_MAX 100000

#define NEWEST_FIRST " ORDER BY e.at DESC, e.id DESC"
#define FILTER                                                                  \
    " ($7 IS NULL OR e.actor_name = $7) AND ($8 IS NULL OR e.action = $8)"      \
    " AND ($9 IS NULL OR e.entity = $9) AND ($10 IS NULL OR e.entity_id = $10)" \
    " AND ($11 IS NULL OR e.outcome = $11) AND ($12 IS NULL OR e.door = $12)"   \
    " AND ($13 IS NULL OR e.client = $13) AND ($14 IS NULL OR e.request_id = $14)"
#define SCANNED "SELECT * FROM clinicq_audit.event e WHERE " EVENT_IN_BOUNDS NEWEST_FIRST

/* The plans are made anew each time: which conditions there are decides them. */
QUERY_OPTIONS(events_by_time, CURSOR_OPT_CUSTOM_PLAN,
              "SELECT " EVENT_COLUMNS_SHOWN " FROM (" SCANNED
              " LIMIT $21) e WHERE" FILTER NEWEST_FIRST " LIMIT $20",
              FILTER_TYPES);
QUERY_OPTIONS(events_scanned, CURSOR_OPT_CUSTOM_PLAN,
              "SELECT e.at, e.id FROM (" SCANNED " OFFSET $21 - 1 LIMIT 1) e", FILTER_TYPES);
QUERY_OPTIONS(events_by_key, CURSOR_OPT_CUSTOM_PLAN,
              "WITH e AS MATERIALIZED (" EVENT_OF_KEYS " AND " EVENT_IN_BOUNDS " AND" FILTER ")"
              " SELECT " EVENT_COLUMNS_SHOWN " FROM e" NEWEST_FIRST " LIMIT $20",
              FILTER_TYPES);

static const struct {
    const char *name;
    EventFilter arg;
} text_filters[] = {{"actor", FILTER_ACTOR},          {"action", FILTER_ACTION},
                    {"entity", FILTER_ENTITY},        {"entity_id", FILTER_ENTITY_ID},
                    {"outcome", FILTER_OUTCOME},      {"door", FILTER_DOOR},
                    {"request_id", FILTER_REQUEST_ID}};

static bool is_address(const char *value) {
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, value, bytes) == 1 || inet_pton(AF_INET6, value, bytes) == 1;
}

/* The time, in microseconds, and id of an event, as "time.id". */
static void read_cursor(EventQuery *events, Fields *query) {
    char *cursor = query_text(query, "cursor");
    char *dot = cursor != NULL ? strchr(cursor, '.') : NULL;
    int64 at = 0;
    int64 id = 0;

    if (cursor == NULL)
        return;
    if (dot != NULL)
        *dot++ = '\0';
    if (dot == NULL || !parse_int64(cursor, &at) || !parse_int64(dot, &id) ||
        !IS_VALID_TIMESTAMP(at))
        faults_add(query->faults, "cursor", "must be that of a page's next");
    event_query_set(events, FILTER_BEFORE, TimestampTzGetDatum(at));
    event_query_set(events, FILTER_BEFORE_ID, Int64GetDatum(id));
}

static char *cursor_of(int64 at, bool counted, int64 id) {
    return psprintf(INT64_FORMAT "." INT64_FORMAT, at, counted ? PG_INT64_MAX : id);
}

static void read_client(EventQuery *events, Fields *query) {
    char *client = query_text(query, "client");

    if (client == NULL)
        return;
    if (!is_address(client))
        faults_add(query->faults, "client", "must be an address, as 192.0.2.1");
    else
        event_query_set(events, FILTER_CLIENT,
                        DirectFunctionCall1(inet_in, CStringGetDatum(client)));
}

/* The conditions as a JSON object, for the event that tells of this look. */
static char *filters_json(Fields *query) {
    static const char *const other[] = {"from", "to", "client", "patient"};
    StringInfoData json;
    char *value;

    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    for (int i = 0; i < lengthof(text_filters); i++)
        if ((value = query_text(query, text_filters[i].name)) != NULL)
            json_text(&json, text_filters[i].name, value);
    for (int i = 0; i < lengthof(other); i++)
        if ((value = query_text(query, other[i])) != NULL)
            json_text(&json, other[i], value);
    appendStringInfoChar(&json, '}');
    return json.data;
}

/* Reads all conditions; returns the patient that is asked for, 0 for none. */
static int64 read_filters(EventQuery *events, Fields *query) {
    char *number = query_text(query, "patient");
    int64 patient_id = 0;
    Datum at;

    if (query_time(query, "from", &at))
        event_query_set(events, FILTER_FROM, at);
    if (query_time(query, "to", &at))
        event_query_set(events, FILTER_TO, at);
    for (int i = 0; i < lengthof(text_filters); i++) {
        char *value = query_text(query, text_filters[i].name);

        if (value != NULL)
            event_query_set(events, text_filters[i].arg, CStringGetTextDatum(value));
    }
    read_client(events, query);
    read_cursor(events, query);
    if (number != NULL && (patient_id = event_query_patient(events, number)) == 0)
        faults_add(query->faults, "patient", "is not the registration number of a patient");
    faults_raise(query->faults);
    if (number == NULL && events->nulls[FILTER_ENTITY_ID] == ' ')
        event_query_set(events, FILTER_KEYS,
                        PointerGetDatum(construct_array(&events->args[FILTER_ENTITY_ID], 1, TEXTOID,
                                                        -1, false, TYPALIGN_INT)));
    return patient_id;
}

/* Whether no condition would pass over an event in the bounds. */
static bool takes_all(const EventQuery *events) {
    for (int arg = FILTER_ACTOR; arg <= FILTER_KEYS; arg++)
        if (events->nulls[arg] == ' ')
            return false;
    return true;
}

static void append_events(StringInfo json, uint64 rows) {
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[EVENT_COLUMN_COUNT];
        bool nulls[EVENT_COLUMN_COUNT];

        row_values(row, columns, nulls);
        json_comma(json);
        event_line(json, columns, nulls);
    }
}

/*
 * Appends one page of events and returns where the next begins, NULL at the end. Where the page is
 * not full, there may be more beyond what was scanned.
 */
static char *append_page(StringInfo json, EventQuery *events, int size) {
    bool by_key = events->nulls[FILTER_KEYS] == ' ';
    int64 scanned = takes_all(events) ? size + 1 : SCANNED_MAX;
    uint64 found;

    event_query_set(events, FILTER_LIMIT, Int64GetDatum(size + 1));
    event_query_set(events, FILTER_SCANNED, Int64GetDatum(scanned));
    found = query_write(by_key ? &events_by_key : &events_by_time, events->args, events->nulls);
    append_events(json, Min(found, size));
    if (found > size)
        return cursor_of(row_int64(size - 1, 2), row_isnull(size - 1, 1), row_int64(size - 1, 1));
    if (by_key || scanned <= size + 1 ||
        query_write(&events_scanned, events->args, events->nulls) == 0)
        return NULL;
    return cursor_of(row_int64(0, 1), row_isnull(0, 2), row_int64(0, 2));
}

Datum clinicq_api_list_events(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    StringInfo json = makeStringInfo();
    EventQuery events;
    Fields *query;
    ListPage page;
    char *next;
    int64 patient_id;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    query = fields_of_query(fcinfo);
    page_read(&page, query, AUDIT_PATH, AUDIT_PAGE, AUDIT_PAGE_MAX);
    SPI_connect();
    event_query_begin(&events);
    patient_id = read_filters(&events, query);
    appendStringInfoChar(json, '[');
    next = append_page(json, &events, page.size);
    appendStringInfoChar(json, ']');
    if (next != NULL)
        next = MemoryContextStrdup(caller, next);
    look_audit(patient_id, filters_json(query));
    SPI_finish();
    return page_reply_keyset(&page, json, next);
}

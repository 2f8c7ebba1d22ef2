/*
 * patient_api.c: the routes under /api/patients/.
 */
#include "postgres.h"

#include "actor.h"
#include "clock.h"
#include "error.h"
#include "fields.h"
#include "json.h"
#include "look.h"
#include "page.h"
#include "patient.h"
#include "query.h"
#include "registration.h"
#include "reply.h"
#include "utils/array.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_api_list_patients);
PG_FUNCTION_INFO_V1(clinicq_api_search_patients);
PG_FUNCTION_INFO_V1(clinicq_api_create_patient);
PG_FUNCTION_INFO_V1(clinicq_api_get_patient);
PG_FUNCTION_INFO_V1(clinicq_api_replace_patient);
PG_FUNCTION_INFO_V1(clinicq_api_update_patient);
PG_FUNCTION_INFO_V1(clinicq_api_remove_patient);

#define PATIENTS_PATH     "/api/patients/"
#define PATIENTS_PAGE     50
#define PATIENTS_PAGE_MAX 200
#define NUMBERS_MAX       50 /* in one registration_numbers filter */
#define NUMBER_DIGITS_MAX 10 /* of one number there */

QUERY(patient_by_number,
      "SELECT " PATIENT_COLUMNS " FROM clinicq.patient p"
      " WHERE replace(registration_number, '-', '') = $1 AND removed_at IS NULL",
      TEXTOID);
QUERY(patient_lock_row,
      "SELECT FROM clinicq.patient WHERE replace(registration_number, '-', '') = $1"
      " AND removed_at IS NULL FOR NO KEY UPDATE",
      TEXTOID);
QUERY(patient_in_queue_today,
      "SELECT FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id"
      " JOIN clinicq.queue q ON q.id = v.queue_id"
      " JOIN unnest($2::bigint[], $3::date[]) AS today (clinic_id, day)"
      "  ON today.clinic_id = q.clinic_id AND today.day = v.service_day"
      " WHERE replace(p.registration_number, '-', '') = $1"
      " AND v.status IN " VISIT_OPEN,
      TEXTOID, INT8ARRAYOID, DATEARRAYOID);
QUERY(patients_by_number,
      "SELECT " PATIENT_COLUMNS " FROM clinicq.patient p"
      " WHERE replace(registration_number, '-', '') = ANY ($1) AND removed_at IS NULL"
      " ORDER BY registration_number",
      TEXTARRAYOID);
QUERY(patients_count,
      "SELECT count(*), (SELECT greatest(reltuples, 0)::bigint FROM pg_class"
      "  WHERE oid = 'clinicq.patient'::regclass)"
      " FROM (SELECT FROM clinicq.patient WHERE removed_at IS NULL LIMIT 10001) AS counted");
QUERY(patients_page,
      "SELECT " PATIENT_COLUMNS " FROM clinicq.patient p WHERE removed_at IS NULL"
      " ORDER BY registration_number OFFSET $1 LIMIT $2",
      INT8OID, INT8OID);
QUERY(patients_after,
      "SELECT " PATIENT_COLUMNS " FROM clinicq.patient p WHERE removed_at IS NULL"
      " AND registration_number > $1 ORDER BY registration_number LIMIT $2",
      TEXTOID, INT8OID);

static StringInfo json_array_of_patients(MemoryContext context, uint64 rows) {
    MemoryContext previous = MemoryContextSwitchTo(context);
    StringInfo json = makeStringInfo();

    MemoryContextSwitchTo(previous);
    appendStringInfoChar(json, '[');
    for (uint64 row = 0; row < rows; row++)
        patient_append_json(json, row);
    appendStringInfoChar(json, ']');
    return json;
}

/* The numbers of the filter, normalised, as text[]. */
static Datum read_number_filter(const char *filter) {
    Datum numbers[NUMBERS_MAX];
    int kept = 0;
    int items = 0;
    char *list = pstrdup(filter);

    for (char *item = list; item != NULL;) {
        char *comma = strchr(item, ',');
        char *digits;

        if (comma != NULL)
            *comma++ = '\0';
        item = trim_blanks(item);
        if (++items > NUMBERS_MAX)
            ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                    errmsg("registration_numbers: give %d numbers at the most", NUMBERS_MAX),
                    errdetail("{\"registration_numbers\":\"Give %d numbers at the most.\"}",
                              NUMBERS_MAX));
        if (strlen(item) > NUMBER_DIGITS_MAX && strspn(item, "0123456789") == strlen(item))
            ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                    errmsg("registration_numbers: a number has %d digits at the most",
                           NUMBER_DIGITS_MAX),
                    errdetail("{\"registration_numbers\":\"A number has %d digits at the most.\"}",
                              NUMBER_DIGITS_MAX));
        digits = registration_digits(item);
        if (digits != NULL)
            numbers[kept++] = CStringGetTextDatum(digits);
        item = comma;
    }
    return PointerGetDatum(construct_array(numbers, kept, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum clinicq_api_list_patients(PG_FUNCTION_ARGS) {
    Fields *query;
    MemoryContext caller = CurrentMemoryContext;
    StringInfo rows;
    ListPage page;
    char *filter;
    char *last_key = NULL;
    int64 count = 0;
    uint64 found;
    Datum args[2];

    actor_require(ROLES_CARE);
    query = fields_of_query(fcinfo);
    page_read(&page, query, PATIENTS_PATH, PATIENTS_PAGE, PATIENTS_PAGE_MAX);
    filter = query_text(query, "registration_numbers");
    SPI_connect();
    if (filter != NULL) /* never cut: the page is as large as the filter can be */
    {
        args[0] = read_number_filter(filter);
        found = query_read(&patients_by_number, args, NULL);
        page.size = NUMBERS_MAX;
        page_settle(&page, (int64) found, true);
    } else {
        query_read(&patients_count, NULL, NULL);
        count = row_int64(0, 1);
        page_settle(&page, count > PAGE_COUNT_EXACT ? Max(count, row_int64(0, 2)) : count,
                    count <= PAGE_COUNT_EXACT);
        args[0] =
            page.cursor ? CStringGetTextDatum(page.cursor) : Int64GetDatum(page_offset(&page));
        args[1] = Int64GetDatum(page.size + 1); /* one more tells whether the list goes on */
        found = query_read(page.cursor ? &patients_after : &patients_page, args, NULL);
        if (found > page.size) {
            found = page.size;
            last_key = MemoryContextStrdup(caller, row_text(found - 1, 1));
        }
    }
    rows = json_array_of_patients(caller, found);
    if (filter == NULL)
        look_search("", count);
    else
        for (uint64 row = 0; row < found; row++)
            patient_seen(row);
    SPI_finish();
    return page_reply(&page, rows, last_key);
}

Datum clinicq_api_search_patients(PG_FUNCTION_ARGS) {
    Fields *query;
    MemoryContext caller = CurrentMemoryContext;
    StringInfo rows;
    ListPage page;
    char *term;
    bool last;
    int64 count;
    bool count_exact;
    uint64 found;

    actor_require(ROLES_CARE);
    query = fields_of_query(fcinfo);
    term = query_text(query, "q");
    if (term == NULL)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST), errmsg("q: give a text to search for"),
                errdetail("{\"error\":\"Give a text to search for as q.\"}"));
    if (strlen(term) > 255 * 4)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST), errmsg("q: the text is too long"),
                errdetail("{\"error\":\"The text q is too long.\"}"));
    page_read(&page, query, PATIENTS_PATH "search/", PATIENTS_PAGE, PATIENTS_PAGE_MAX);
    page.cursor = NULL;
    last = page.number == 0;
    if (last)
        page.number = 1;
    SPI_connect();
    found = patient_search(term, page_offset(&page), page.size, &count, &count_exact);
    if (last)
        page.number = 0;
    page_settle(&page, count, count_exact);
    if (last && page.number > 1)
        found = patient_search(term, page_offset(&page), page.size, &count, &count_exact);
    rows = json_array_of_patients(caller, found);
    patient_searched(term, found, count);
    SPI_finish();
    return page_reply(&page, rows, NULL);
}

/* Reply with one patient; SPI is connected, and finished here. */
static Datum patient_reply(int status, const char *number, MemoryContext caller) {
    Datum args[1] = {registration_key(number)};
    MemoryContext previous;
    StringInfo json;

    /* A new snapshot, which sees what this request has written. */
    if (query_write(&patient_by_number, args, NULL) == 0)
        error_not_found("patient", number);
    previous = MemoryContextSwitchTo(caller);
    json = makeStringInfo();
    MemoryContextSwitchTo(previous);
    patient_append_json(json, 0);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_get_patient(PG_FUNCTION_ARGS) {
    char *number;
    Datum args[3];
    StringInfoData json;

    actor_require(ROLES_BOARD);
    number = path_text(fcinfo, 0);
    args[0] = registration_key(number);
    initStringInfo(&json);
    SPI_connect();
    if (!(actor_roles() & ROLES_CARE)) {
        clock_todays(&args[1], &args[2]);
        if (query_read(&patient_in_queue_today, args, NULL) == 0)
            error_not_found("patient", number);
    }
    if (query_read(&patient_by_number, args, NULL) == 0)
        error_not_found("patient", number);
    if (actor_roles() & ROLES_CARE)
        patient_require_sight(0);
    patient_append_json(&json, 0);
    patient_seen(0);
    SPI_finish();
    return reply(200, &json, NULL);
}

bool patient_append_locked(const char *key, StringInfo json) {
    Datum args[1] = {registration_key(key)};

    if (query_write(&patient_lock_row, args, NULL) == 0 ||
        query_write(&patient_by_number, args, NULL) == 0)
        return false;
    patient_append_json(json, 0);
    return true;
}

static PatientInput read_patient(Fields *fields, bool name_required) {
    PatientInput input = {0};
    FieldState state;

    input.has_name = field_given(fields, "name", &input.name, name_required);
    state = field_text(fields, "phone", &input.phone);
    input.has_phone = state == FIELD_VALUE || state == FIELD_NULL;
    input.has_gender = field_given(fields, "gender", &input.gender, false);
    input.has_category = field_given(fields, "category", &input.category, false);
    patient_check(fields->faults, &input);
    return input;
}

Datum clinicq_api_create_patient(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    Fields *fields;
    PatientInput input;
    char *number;

    actor_require(ROLES_CARE);
    fields = fields_of_body(fcinfo);
    input = read_patient(fields, true);
    faults_raise(fields->faults);
    SPI_connect();
    number = patient_registered_just_now(&input);
    if (number != NULL)
        return patient_reply(200, number, caller);
    return patient_reply(201, patient_register(&input), caller);
}

static Datum change_patient(FunctionCallInfo fcinfo, bool name_required) {
    MemoryContext caller = CurrentMemoryContext;
    Fields *fields;
    PatientInput input;
    char *number;

    actor_require(ROLES_CARE);
    number = path_text(fcinfo, 0);
    fields = fields_of_body(fcinfo);
    input = read_patient(fields, name_required);
    faults_raise(fields->faults);
    SPI_connect();
    patient_update(number, &input);
    return patient_reply(200, number, caller);
}

Datum clinicq_api_replace_patient(PG_FUNCTION_ARGS) {
    return change_patient(fcinfo, true);
}

Datum clinicq_api_update_patient(PG_FUNCTION_ARGS) {
    return change_patient(fcinfo, false);
}

Datum clinicq_api_remove_patient(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    SPI_connect();
    patient_remove(path_text(fcinfo, 0));
    SPI_finish();
    return reply(204, NULL, NULL);
}

#include "patient.h"

#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "look.h"
#include "mb/pg_wchar.h"
#include "own_lock.h"
#include "query.h"
#include "registration.h"
#include "restriction.h"
#include "setting.h"
#include "utils/timestamp.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_register_patient);
PG_FUNCTION_INFO_V1(clinicq_update_patient);
PG_FUNCTION_INFO_V1(clinicq_remove_patient);

QUERY(
    patient_insert,
    "INSERT INTO clinicq.patient (registration_number, name, phone, gender, category, registered_by)"
    " VALUES ($1, $2, $3, $4, $5, nullif($6, 0))",
    TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID);
QUERY(patient_same,
      "SELECT registration_number FROM clinicq.patient WHERE registered_by = $1"
      " AND created_at > now() - interval '10 seconds' AND name = $2"
      " AND phone IS NOT DISTINCT FROM $3 AND gender = $4 AND category = $5 AND removed_at IS NULL",
      INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);
QUERY(
    patient_change,
    "UPDATE clinicq.patient SET name = CASE WHEN $2 THEN $3 ELSE name END,"
    " phone = CASE WHEN $4 THEN $5 ELSE phone END, gender = CASE WHEN $6 THEN $7 ELSE gender END,"
    " category = CASE WHEN $8 THEN $9 ELSE category END, updated_at = now(), version = version + 1"
    " WHERE replace(registration_number, '-', '') = $1 AND removed_at IS NULL"
    " RETURNING id, restricted",
    TEXTOID, BOOLOID, TEXTOID, BOOLOID, TEXTOID, BOOLOID, TEXTOID, BOOLOID, TEXTOID);
QUERY(patient_lock_whole,
      "SELECT id, restricted FROM clinicq.patient"
      " WHERE replace(registration_number, '-', '') = $1 AND removed_at IS NULL FOR UPDATE",
      TEXTOID);
/* Who erases does not see what it is. */
QUERY(patient_lock_removed,
      "SELECT id, false FROM clinicq.patient WHERE replace(registration_number, '-', '') = $1"
      " AND erased_at IS NULL FOR UPDATE",
      TEXTOID);
QUERY(patient_lock_key,
      "SELECT id FROM clinicq.patient WHERE replace(registration_number, '-', '') = $1"
      " AND removed_at IS NULL FOR KEY SHARE",
      TEXTOID);
QUERY(patient_open_visit,
      "SELECT q.name FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id"
      " WHERE v.patient_id = $1 AND v.status IN " VISIT_OPEN " LIMIT 1",
      INT8OID);
QUERY(patient_hide,
      "UPDATE clinicq.patient SET removed_at = now(), updated_at = now(), version = version + 1"
      " WHERE id = $1",
      INT8OID);

void patient_check(Faults *faults, PatientInput *input) {
    if (input->has_name)
        input->name = faults_check_text(faults, "name", input->name, 1, 255);
    if (input->has_phone && input->phone != NULL)
        input->phone = faults_check_text(faults, "phone", input->phone, 0, 20);
    if (input->has_gender && strcmp(input->gender, "MALE") != 0 &&
        strcmp(input->gender, "FEMALE") != 0 && strcmp(input->gender, "OTHER") != 0)
        faults_add(faults, "gender", "must be one of MALE, FEMALE, OTHER");
    if (input->has_category && !registration_is_category(input->category))
        faults_add(faults, "category", "must be one of 01, 02, 03, 04, 05");
}

static const char *input_gender(const PatientInput *input) {
    return input->has_gender ? input->gender : "OTHER";
}

static const char *input_category(const PatientInput *input) {
    return input->has_category ? input->category : "01";
}

static Datum text_or_null(const char *value) {
    return value ? CStringGetTextDatum(value) : (Datum) 0;
}

char *patient_register(const PatientInput *input) {
    char *number = registration_next(input_category(input));
    Datum args[6] = {CStringGetTextDatum(number),
                     CStringGetTextDatum(input->name),
                     text_or_null(input->phone),
                     CStringGetTextDatum(input_gender(input)),
                     CStringGetTextDatum(input_category(input)),
                     Int64GetDatum(actor_current()->user_id)};
    char nulls[] = "      ";

    if (input->phone == NULL)
        nulls[2] = 'n';
    query_write(&patient_insert, args, nulls);
    return number;
}

char *patient_registered_just_now(const PatientInput *input) {
    Datum args[5] = {Int64GetDatum(actor_current()->user_id), CStringGetTextDatum(input->name),
                     text_or_null(input->phone), CStringGetTextDatum(input_gender(input)),
                     CStringGetTextDatum(input_category(input))};
    char nulls[] = "     ";

    if (input->phone == NULL)
        nulls[2] = 'n';
    own_lock(LOCK_PATIENT_INPUT, own_lock_key(actor_current()->user_id, input->name));
    return query_write(&patient_same, args, nulls) > 0 ? row_text(0, 1) : NULL;
}

void patient_update(const char *number, const PatientInput *input) {
    Datum args[9] = {registration_key(number),     BoolGetDatum(input->has_name),
                     text_or_null(input->name),    BoolGetDatum(input->has_phone),
                     text_or_null(input->phone),   BoolGetDatum(input->has_gender),
                     text_or_null(input->gender),  BoolGetDatum(input->has_category),
                     text_or_null(input->category)};
    char nulls[] = "         ";

    for (int i = 2; i < 9; i += 2)
        if (args[i] == (Datum) 0)
            nulls[i] = 'n';
    if (query_write(&patient_change, args, nulls) == 0)
        error_not_found("patient", number);
    sight_require(row_int64(0, 1), row_bool(0, 2));
}

/* Locks it, with no visit open, and returns its key. */
static int64 lock_without_visit(KeptQuery *lock, const char *number) {
    Datum args[1] = {registration_key(number)};

    if (query_write(lock, args, NULL) == 0)
        error_not_found("patient", number);
    args[0] = Int64GetDatum(row_int64(0, 1));
    sight_require(row_int64(0, 1), row_bool(0, 2));
    visit_close_earlier_of_patient(DatumGetInt64(args[0]));
    if (query_write(&patient_open_visit, args, NULL) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the patient has an open visit in queue %s", row_text(0, 1)),
                errhint("Finish, cancel or transfer the visit first."));
    return DatumGetInt64(args[0]);
}

void patient_remove(const char *number) {
    Datum args[1] = {Int64GetDatum(lock_without_visit(&patient_lock_whole, number))};

    query_write(&patient_hide, args, NULL);
}

int64 patient_lock_for_erasure(const char *number) {
    return lock_without_visit(&patient_lock_removed, number);
}

int64 patient_lock(const char *number) {
    Datum args[1] = {registration_key(number)};

    return query_write(&patient_lock_key, args, NULL) > 0 ? row_int64(0, 1) : 0;
}

/* How a display may see a name, by the setting display_names. */
static const char *display_name(const char *name) {
    StringInfoData initials;
    bool at_word = true;

    if (setting_is(SETTING_DISPLAY_NAMES, "full"))
        return name;
    initStringInfo(&initials);
    if (setting_is(SETTING_DISPLAY_NAMES, "none"))
        return initials.data;
    for (const char *at = name; *at; at += pg_mblen(at)) {
        if (at_word && *at != ' ') {
            appendStringInfoString(&initials, initials.len > 0 ? " " : "");
            appendBinaryStringInfo(&initials, at, pg_mblen(at));
            appendStringInfoChar(&initials, '.');
        }
        at_word = *at == ' ';
    }
    return initials.data;
}

const char *patient_display_name(const char *name, bool restricted) {
    return restricted ? "" : display_name(name);
}

const char *patient_shown_name(const char *name, int64 patient_id, bool restricted) {
    if (!(actor_roles() & ROLES_CARE))
        return patient_display_name(name, restricted);
    return sight_of(patient_id, restricted) == SIGHT_NONE ? RESTRICTED_NAME : name;
}

void patient_require_sight(uint64 row) {
    sight_require(row_int64(row, 10), row_bool(row, 9));
}

void patient_seen(uint64 row) {
    int64 id = row_int64(row, 10);
    Sight sight = sight_of(id, row_bool(row, 9));

    if (sight != SIGHT_NONE)
        look_read("patient", id, sight_outcome(sight));
}

void patient_append_json(StringInfo json, uint64 row) {
    bool care = (actor_roles() & ROLES_CARE) != 0;
    char *name = row_text(row, 2);
    const char *shown = patient_shown_name(name, row_int64(row, 10), row_bool(row, 9));
    bool whole = care && shown == name;
    bool isnull;

    json_comma(json);
    appendStringInfoChar(json, '{');
    json_text(json, "registration_number", row_text(row, 1));
    json_text(json, "name", shown);
    json_text(json, "phone", whole ? row_text(row, 3) : NULL);
    json_text(json, "gender", whole ? row_text(row, 4) : "");
    json_text(json, "category", whole ? row_text(row, 5) : "");
    if (care) {
        json_timestamp(json, "created_at", row_int64(row, 6), "Z");
        json_timestamp(json, "updated_at", row_int64(row, 7), "Z");
    } else {
        json_text(json, "created_at", "");
        json_text(json, "updated_at", "");
    }
    if (whole)
        json_date_array(json, "last_5_visit_dates", row_value(row, 8, &isnull));
    else {
        json_key(json, "last_5_visit_dates");
        appendStringInfoString(json, "[]");
    }
    appendStringInfoChar(json, '}');
}

Datum clinicq_register_patient(PG_FUNCTION_ARGS) {
    PatientInput input = {
        .has_name = true, .has_phone = true, .has_gender = true, .has_category = true};
    Faults *faults = faults_new();
    MemoryContext caller = CurrentMemoryContext;
    char *number;

    actor_require(ROLES_CARE);
    input.name = PG_ARGISNULL(0) ? "" : ARG_CSTRING(0);
    input.phone = ARG_CSTRING(1);
    input.gender = PG_ARGISNULL(2) ? "" : ARG_CSTRING(2);
    input.category = PG_ARGISNULL(3) ? "" : ARG_CSTRING(3);
    patient_check(faults, &input);
    faults_raise(faults);
    SPI_connect();
    number = MemoryContextStrdup(caller, patient_register(&input));
    SPI_finish();
    PG_RETURN_TEXT_P(cstring_to_text(number));
}

Datum clinicq_update_patient(PG_FUNCTION_ARGS) {
    PatientInput input;
    Faults *faults = faults_new();

    actor_require(ROLES_CARE);
    ARG_REQUIRE(0, "registration_number");
    input.name = ARG_CSTRING(1);
    input.phone = ARG_CSTRING(2);
    input.gender = ARG_CSTRING(3);
    input.category = ARG_CSTRING(4);
    input.has_name = input.name != NULL;
    input.has_phone = input.phone != NULL;
    input.has_gender = input.gender != NULL;
    input.has_category = input.category != NULL;
    patient_check(faults, &input);
    faults_raise(faults);
    SPI_connect();
    patient_update(ARG_CSTRING(0), &input);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_remove_patient(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    ARG_REQUIRE(0, "registration_number");
    SPI_connect();
    patient_remove(ARG_CSTRING(0));
    SPI_finish();
    PG_RETURN_VOID();
}

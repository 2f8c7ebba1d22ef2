#include "priority.h"

#include "actor.h"
#include "cache.h"
#include "clock.h"
#include "error.h"
#include "faults.h"
#include "fields.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "setting.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_create_priority_class);
PG_FUNCTION_INFO_V1(clinicq_change_priority_class);
PG_FUNCTION_INFO_V1(clinicq_remove_priority_class);
PG_FUNCTION_INFO_V1(clinicq_api_list_priorities);
PG_FUNCTION_INFO_V1(clinicq_api_create_priority);
PG_FUNCTION_INFO_V1(clinicq_api_update_priority);
PG_FUNCTION_INFO_V1(clinicq_api_remove_priority);

#define CLASS_NAME_MAX 30
#define RANK_MAX       32767

typedef struct PriorityClass {
    int64 clinic_id;
    int16 rank;
    bool reached_by_ageing;
    char name[CLASS_NAME_MAX + 1];
} PriorityClass;

static PriorityClass *classes = NULL;
static int class_count = 0;
static uint64 classes_at = 0;

#define CLASS_COLUMNS "clinic_id, rank, name, reached_by_ageing"

QUERY(classes_all,
      "SELECT " CLASS_COLUMNS " FROM clinicq.priority_class ORDER BY clinic_id, rank DESC");
QUERY(class_insert,
      "INSERT INTO clinicq.priority_class (clinic_id, rank, name, reached_by_ageing)"
      " VALUES ($1, $2, $3, $4) RETURNING " CLASS_COLUMNS,
      INT8OID, INT2OID, TEXTOID, BOOLOID);
QUERY(class_lock,
      "SELECT FROM clinicq.priority_class WHERE clinic_id = $1 AND rank = $2 FOR UPDATE", INT8OID,
      INT2OID);
QUERY(class_share,
      "SELECT rank FROM clinicq.priority_class WHERE clinic_id = $1 AND name = $2 FOR KEY SHARE",
      INT8OID, TEXTOID);
QUERY(class_in_use,
      "SELECT FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id"
      " WHERE q.clinic_id = $1 AND v.priority = $2"
      " AND v.status IN " VISIT_OPEN " LIMIT 1",
      INT8OID, INT2OID);
/* What is NULL stays. */
QUERY(class_update,
      "UPDATE clinicq.priority_class SET rank = coalesce($3, rank), name = coalesce($4, name),"
      " reached_by_ageing = coalesce($5, reached_by_ageing)"
      " WHERE clinic_id = $1 AND rank = $2 RETURNING " CLASS_COLUMNS,
      INT8OID, INT2OID, INT2OID, TEXTOID, BOOLOID);
QUERY(class_delete, "DELETE FROM clinicq.priority_class WHERE clinic_id = $1 AND rank = $2",
      INT8OID, INT2OID);

static void classes_load(void) {
    uint64 generation;
    uint64 rows;
    PriorityClass *fresh;

    if (classes_at == cache_generation)
        return;
    generation = cache_fill_begin();
    rows = query_read(&classes_all, NULL, NULL);
    fresh = MemoryContextAllocZero(TopMemoryContext, (rows + 1) * sizeof *fresh);
    for (uint64 row = 0; row < rows; row++) {
        fresh[row].clinic_id = row_int64(row, 1);
        fresh[row].rank = row_int16(row, 2);
        strlcpy(fresh[row].name, row_text(row, 3), sizeof fresh[row].name);
        fresh[row].reached_by_ageing = row_bool(row, 4);
    }
    cache_fill_end(generation);
    if (classes != NULL)
        pfree(classes);
    classes = fresh;
    class_count = (int) rows;
    classes_at = generation;
}

const char *priority_name(int64 clinic_id, int16 rank) {
    classes_load();
    for (int i = 0; i < class_count; i++)
        if (classes[i].clinic_id == clinic_id && classes[i].rank == rank)
            return classes[i].name;
    return rank == 0 ? "normal" : NULL;
}

int priority_rank(int64 clinic_id, const char *name) {
    Datum args[2] = {Int64GetDatum(clinic_id)};
    const char *ordinary = priority_name(clinic_id, 0);

    if (name == NULL || (ordinary != NULL && strcmp(name, ordinary) == 0))
        return 0;
    args[1] = CStringGetTextDatum(name);
    return query_write(&class_share, args, NULL) > 0 ? row_int16(0, 1) : -1;
}

char *priority_names(int64 clinic_id) {
    StringInfoData list;

    classes_load();
    initStringInfo(&list);
    for (int i = 0; i < class_count; i++)
        if (classes[i].clinic_id == clinic_id)
            appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", classes[i].name);
    return list.data;
}

void priority_ageing(int64 clinic_id, Datum *ranks, Datum *minutes) {
    Datum *found;
    int count = 0;

    classes_load();
    found = palloc((class_count + 1) * sizeof *found);
    for (int i = class_count - 1; i >= 0; i--)
        if (classes[i].clinic_id == clinic_id && classes[i].reached_by_ageing)
            found[count++] = Int16GetDatum(classes[i].rank);
    *ranks = PointerGetDatum(
        construct_array(found, count, INT2OID, sizeof(int16), true, TYPALIGN_SHORT));
    *minutes = Int32GetDatum(setting_int(SETTING_PRIORITY_AGEING_MINUTES));
}

static void class_check(Faults *faults, const char *name, int64 rank) {
    size_t length = name ? strlen(name) : 1;

    if (name != NULL && (length < 1 || length > CLASS_NAME_MAX || *name < 'a' || *name > 'z' ||
                         strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != length))
        faults_add(faults, "name", "must be a small letter and up to %d more of a-z, 0-9, _ and -",
                   CLASS_NAME_MAX - 1);
    if (rank < 0 || rank > RANK_MAX)
        faults_add(faults, "rank", "must be a number from 0 to %d; greater goes first", RANK_MAX);
}

static void class_add(int64 clinic_id, const char *name, int64 rank, bool reached_by_ageing) {
    Datum args[4] = {Int64GetDatum(clinic_id), Int16GetDatum((int16) rank),
                     CStringGetTextDatum(name), BoolGetDatum(reached_by_ageing)};

    clock_today(clinic_id); /* raises P0002 for a clinic that does not exist */
    query_write(&class_insert, args, NULL);
}

static void class_require(int64 clinic_id, int64 rank) {
    Datum args[2] = {Int64GetDatum(clinic_id), Int16GetDatum((int16) rank)};

    if (rank < 0 || rank > RANK_MAX || query_write(&class_lock, args, NULL) == 0)
        error_none("GET /api/priorities/ shows those that there are.",
                   "no priority class of rank " INT64_FORMAT, rank);
}

/* What a change gives; NULL and -1 for what stays. */
typedef struct ClassChange {
    char *name;
    int64 rank;
    const bool *reached_by_ageing;
} ClassChange;

/* Open visits stay in their class, whatever its rank is now. Leaves SPI_tuptable with the class. */
static void class_change(int64 clinic_id, int64 rank, const ClassChange *change) {
    Datum args[5] = {Int64GetDatum(clinic_id), Int16GetDatum((int16) rank),
                     Int16GetDatum((int16) change->rank)};
    char nulls[5] = {' ', ' ', change->rank < 0 ? 'n' : ' ', change->name ? ' ' : 'n',
                     change->reached_by_ageing ? ' ' : 'n'};

    class_require(clinic_id, rank);
    if (change->rank >= 0 && change->rank != rank) {
        if (rank == 0)
            ereport(ERROR, errcode(ERRCODE_CQ_CONFLICT),
                    errmsg("the class of rank 0 is the ordinary patient's"),
                    errhint("Give the other classes ranks above 0."));
        visit_change_rank(clinic_id, (int16) rank, (int16) change->rank);
    }
    if (change->name != NULL)
        args[3] = CStringGetTextDatum(change->name);
    if (change->reached_by_ageing != NULL)
        args[4] = BoolGetDatum(*change->reached_by_ageing);
    query_write(&class_update, args, nulls);
}

/* The ordinary patient stays. */
static void class_remove(int64 clinic_id, int64 rank) {
    Datum args[2] = {Int64GetDatum(clinic_id), Int16GetDatum((int16) rank)};

    class_require(clinic_id, rank);
    if (rank == 0 || query_write(&class_in_use, args, NULL) > 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                rank == 0 ? errmsg("the class of rank 0 is the ordinary patient's")
                          : errmsg("an open visit is of this class"),
                errhint("Remove a class once no open visit is of it."));
    query_write(&class_delete, args, NULL);
}

Datum clinicq_create_priority_class(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *name = PG_ARGISNULL(0) ? "" : ARG_CSTRING(0);

    actor_require(ROLE_ADMIN);
    class_check(faults, name, PG_ARGISNULL(1) ? -1 : PG_GETARG_INT32(1));
    faults_raise(faults);
    SPI_connect();
    class_add(PG_ARGISNULL(3) ? clock_first_clinic() : PG_GETARG_INT64(3), name, PG_GETARG_INT32(1),
              PG_ARGISNULL(2) || PG_GETARG_BOOL(2));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_change_priority_class(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    bool reached = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
    ClassChange change = {.name = ARG_CSTRING(1),
                          .rank = PG_ARGISNULL(2) ? -1 : PG_GETARG_INT32(2),
                          .reached_by_ageing = PG_ARGISNULL(3) ? NULL : &reached};

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "rank");
    class_check(faults, change.name, PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2));
    faults_raise(faults);
    SPI_connect();
    class_change(PG_ARGISNULL(4) ? clock_first_clinic() : PG_GETARG_INT64(4), PG_GETARG_INT32(0),
                 &change);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_remove_priority_class(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "rank");
    SPI_connect();
    class_remove(PG_ARGISNULL(1) ? clock_first_clinic() : PG_GETARG_INT64(1), PG_GETARG_INT32(0));
    SPI_finish();
    PG_RETURN_VOID();
}

static void class_append_json(StringInfo json, uint64 row) {
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "clinic", row_int64(row, 1));
    json_int(json, "rank", row_int16(row, 2));
    json_text(json, "name", row_text(row, 3));
    json_bool(json, "reached_by_ageing", row_bool(row, 4));
    appendStringInfoChar(json, '}');
}

Datum clinicq_api_list_priorities(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    uint64 rows;

    appendStringInfoChar(json, '[');
    SPI_connect();
    rows = query_read(&classes_all, NULL, NULL);
    for (uint64 row = 0; row < rows; row++)
        class_append_json(json, row);
    SPI_finish();
    appendStringInfoChar(json, ']');
    return reply(200, json, NULL);
}

/* Name, rank and reached, which is set to what the body gives. */
static ClassChange read_class(Fields *fields, bool required, bool *reached) {
    ClassChange change = {.rank = -1};
    FieldState state;

    field_given(fields, "name", &change.name, required);
    state = field_int64(fields, "rank", &change.rank);
    if (state == FIELD_NULL || (state == FIELD_ABSENT && required))
        faults_add(fields->faults, "rank", required ? "is required" : "must not be null");
    class_check(fields->faults, change.name, state == FIELD_VALUE ? change.rank : 0);
    state = field_bool(fields, "reached_by_ageing", reached);
    if (state == FIELD_NULL)
        faults_add(fields->faults, "reached_by_ageing", "must not be null");
    if (state == FIELD_VALUE)
        change.reached_by_ageing = reached;
    faults_raise(fields->faults);
    return change;
}

/* The class of row 0; SPI is connected, and finished here. */
static Datum class_reply(int status, StringInfo json) {
    class_append_json(json, 0);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_create_priority(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    bool reached = true;
    ClassChange class;

    actor_require(ROLE_ADMIN);
    class = read_class(fields_of_body(fcinfo), true, &reached);
    SPI_connect();
    class_add(clock_first_clinic(), class.name, class.rank, reached);
    return class_reply(201, json);
}

Datum clinicq_api_update_priority(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    bool reached = false;
    ClassChange change;
    int64 rank;

    actor_require(ROLE_ADMIN);
    rank = path_id(fcinfo, 0, "priority class");
    change = read_class(fields_of_body(fcinfo), false, &reached);
    SPI_connect();
    class_change(clock_first_clinic(), rank, &change);
    return class_reply(200, json);
}

Datum clinicq_api_remove_priority(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    SPI_connect();
    class_remove(clock_first_clinic(), path_id(fcinfo, 0, "priority class"));
    SPI_finish();
    return reply(204, NULL, NULL);
}

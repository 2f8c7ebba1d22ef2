/*
 * prescription_api.c: the routes under /api/prescriptions/, but for the image itself (image_api.c)
 * and its way here (upload.c).
 */
#include "postgres.h"

#include "actor.h"
#include "dispatch.h"
#include "error.h"
#include "fields.h"
#include "page.h"
#include "prescription.h"
#include "query.h"
#include "registration.h"
#include "reply.h"
#include "restriction.h"
#include "upload.h"

PG_FUNCTION_INFO_V1(clinicq_api_create_prescription);
PG_FUNCTION_INFO_V1(clinicq_api_list_prescriptions);
PG_FUNCTION_INFO_V1(clinicq_api_get_prescription);
PG_FUNCTION_INFO_V1(clinicq_api_remove_prescription);

#define PRESCRIPTIONS_PATH     "/api/prescriptions/"
#define PRESCRIPTIONS_PAGE     100
#define PRESCRIPTIONS_PAGE_MAX 500

/* $1 visit, $2 number of a patient, $3 restricted patients that the actor may see, $4 the
 * prescription that the page begins after. */
#define FILTERED                                                                   \
    " FROM " PRESCRIPTION_TABLES " WHERE ($1::bigint IS NULL OR pr.visit_id = $1)" \
    " AND ($2::text IS NULL OR replace(p.registration_number, '-', '') = $2)"      \
    " AND (NOT p.restricted OR p.id = ANY ($3))"                                   \
    " AND ($4::bigint IS NULL OR pr.id < $4)"
/* The plan is made anew each time: which filter there is decides it. */
QUERY_OPTIONS(prescriptions_page, CURSOR_OPT_CUSTOM_PLAN,
              "SELECT " PRESCRIPTION_COLUMNS FILTERED " ORDER BY pr.id DESC OFFSET $5 LIMIT $6",
              INT8OID, TEXTOID, INT8ARRAYOID, INT8OID, INT8OID, INT8OID);
QUERY_OPTIONS(prescriptions_count, CURSOR_OPT_CUSTOM_PLAN,
              "SELECT count(*) FROM (SELECT" FILTERED " LIMIT 10001) AS counted", INT8OID, TEXTOID,
              INT8ARRAYOID, INT8OID);

Datum clinicq_api_list_prescriptions(PG_FUNCTION_ARGS) {
    Fields *query;
    ListPage page;
    StringInfoData rows;
    char *number;
    char *last_key = NULL;
    MemoryContext caller = CurrentMemoryContext;
    Datum args[6] = {0};
    char nulls[] = "nnnn  ";
    uint64 found;

    actor_require(ROLES_CARE);
    query = fields_of_query(fcinfo);
    page_read(&page, query, PRESCRIPTIONS_PATH, PRESCRIPTIONS_PAGE, PRESCRIPTIONS_PAGE_MAX);
    if (query_id(query, "visit", &args[0]))
        nulls[0] = ' ';
    number = query_text(query, "patient");
    if (query_id(query, "cursor", &args[3]))
        nulls[3] = ' ';
    faults_raise(query->faults);
    if (number != NULL) {
        args[1] = registration_key(number);
        nulls[1] = ' ';
    }
    initStringInfo(&rows);
    appendStringInfoChar(&rows, '[');
    SPI_connect();
    if (sight_patients(&args[2]))
        nulls[2] = ' ';
    if (page.number != 1 || page.cursor != NULL) {
        int64 count;

        query_read(&prescriptions_count, args, nulls);
        count = row_int64(0, 1);
        page_settle(&page, count, count <= PAGE_COUNT_EXACT);
    }
    args[4] = Int64GetDatum(page_offset(&page));
    args[5] = Int64GetDatum(page.size + 1); /* one more tells whether the list goes on */
    found = query_read(&prescriptions_page, args, nulls);
    if (found > page.size) {
        found = page.size;
        last_key = MemoryContextStrdup(caller, psprintf(INT64_FORMAT, row_int64(found - 1, 1)));
    }
    for (uint64 row = 0; row < found; row++)
        prescription_append_json(&rows, row);
    if (page.number == 1 && page.cursor == NULL) {
        int64 count = (int64) found;

        if (last_key != NULL) {
            query_read(&prescriptions_count, args, nulls);
            count = row_int64(0, 1);
        }
        page_settle(&page, count, count <= PAGE_COUNT_EXACT);
    }
    SPI_finish();
    appendStringInfoChar(&rows, ']');
    return page_reply(&page, &rows, last_key);
}

/* The hash that stands in the body for a file; NULL where there is no file under either name. */
static char *file_hash(Fields *fields) {
    static const char *const names[] = {"image", "file"};

    for (int i = 0; fields->object != NULL && i < lengthof(names); i++) {
        JsonbValue file, hash;

        if (getKeyJsonValueFromContainer(&fields->object->root, names[i], strlen(names[i]),
                                         &file) != NULL &&
            file.type == jbvBinary && JsonContainerIsObject(file.val.binary.data) &&
            getKeyJsonValueFromContainer(file.val.binary.data, "sha256", 6, &hash) != NULL &&
            hash.type == jbvString)
            return pnstrdup(hash.val.string.val, hash.val.string.len);
    }
    return NULL;
}

/* The apps know one shape for all that is wrong here: {"detail": ...}. */
static int64 read_visit(Fields *fields) {
    int64 visit_id = 0;
    FieldState state = field_int64(fields, "visit", &visit_id);

    if (state != FIELD_VALUE)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg(state == FIELD_BAD ? "visit: must be the id of a visit"
                                          : "visit: is required, as is image"));
    return visit_id;
}

Datum clinicq_api_create_prescription(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    int64 visit_id;
    char *hash;
    bool is_new;

    actor_require(upload_roles());
    fields = fields_of_body(fcinfo);
    visit_id = read_visit(fields);
    hash = file_hash(fields);
    if (hash == NULL)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg("image: a file is required, in a part named image or file"));
    SPI_connect();
    is_new = prescription_create(visit_id, hash);
    prescription_append_json(json, 0);
    SPI_finish();
    return reply(is_new ? 201 : 200, json, NULL);
}

Datum clinicq_api_get_prescription(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Prescription prescription;

    actor_require(ROLES_CARE);
    SPI_connect();
    prescription_read(path_id(fcinfo, 0, "prescription"), &prescription);
    prescription_append_json(json, 0);
    SPI_finish();
    return reply(200, json, NULL);
}

Datum clinicq_api_remove_prescription(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    SPI_connect();
    prescription_remove(path_id(fcinfo, 0, "prescription"));
    SPI_finish();
    return reply(204, NULL, NULL);
}

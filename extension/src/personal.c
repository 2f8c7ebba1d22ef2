#include "personal.h"

#include <sodium.h>

#include "actor.h"
#include "audit.h"
#include "contact.h"
#include "error.h"
#include "faults.h"
#include "fmgr.h"
#include "funcapi.h"
#include "idempotency.h"
#include "json.h"
#include "outbox.h"
#include "patient.h"
#include "prescription.h"
#include "query.h"
#include "tally.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(clinicq_erase_patient);
PG_FUNCTION_INFO_V1(clinicq_audit_with_personal);
PG_FUNCTION_INFO_V1(clinicq_commit_personal);

#define SALT      16
#define ERASED_AS "erased"

QUERY(patient_erase,
      "UPDATE clinicq.patient SET name = '" ERASED_AS "', phone = NULL, erased_at = now(),"
      " removed_at = coalesce(removed_at, now()), updated_at = now(), version = version + 1"
      " WHERE id = $1",
      INT8OID);
QUERY(personal_erase,
      "DELETE FROM clinicq.audit_personal WHERE entity = 'patient' AND entity_id = $1"
      " OR entity = 'visit_contact' AND entity_id ="
      "  ANY (ARRAY(SELECT id::text FROM clinicq.visit WHERE patient_id = $1::bigint))",
      TEXTOID);
/* Terms of searches that are part of a name or number that the patient had, or hold one. */
QUERY(
    terms_erase,
    "DELETE FROM clinicq.audit_personal t USING (SELECT DISTINCT lower(side.value ->> 'value') AS text"
    "  FROM clinicq.audit_personal p, jsonb_each(p.contents) c, jsonb_each(c.value) side"
    "  WHERE p.entity = 'patient' AND p.entity_id = $1) held"
    " WHERE t.entity = 'patient' AND t.entity_id IS NULL AND length(held.text) >= 3"
    " AND length(t.contents -> 'term' ->> 'value') >= 3"
    " AND (strpos(held.text, lower(t.contents -> 'term' ->> 'value')) > 0"
    "  OR strpos(lower(t.contents -> 'term' ->> 'value'), held.text) > 0)",
    TEXTOID);

static bool erasing = false;

bool personal_is_erasing(void) {
    return erasing;
}

/* Appends salt and value, and writes the hash. */
static void commit_value(StringInfo held, const char *value, char hash[PERSONAL_HASH_HEX + 1]) {
    unsigned char salt[SALT], digest[crypto_hash_sha256_BYTES];
    char salt_hex[2 * SALT + 1];
    crypto_hash_sha256_state state;

    randombytes_buf(salt, sizeof salt);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, salt, sizeof salt);
    crypto_hash_sha256_update(&state, (const unsigned char *) value, strlen(value));
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(hash, PERSONAL_HASH_HEX + 1, digest, sizeof digest);

    appendStringInfoChar(held, '{');
    json_text(held, "salt", sodium_bin2hex(salt_hex, sizeof salt_hex, salt, sizeof salt));
    json_text(held, "value", value);
    appendStringInfoChar(held, '}');
}

void personal_commit(StringInfo contents, const char *key, const char *value,
                     char hash[PERSONAL_HASH_HEX + 1]) {
    json_key(contents, key);
    commit_value(contents, value, hash);
}

Datum clinicq_commit_personal(PG_FUNCTION_ARGS) {
    char hash[PERSONAL_HASH_HEX + 1];
    Datum values[2];
    bool nulls[2] = {false};
    StringInfoData held;
    TupleDesc shape;

    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "commit_personal() must return a record");
    initStringInfo(&held);
    commit_value(&held, text_to_cstring(PG_GETARG_TEXT_PP(0)), hash);
    values[0] = CStringGetTextDatum(hash);
    values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(held.data));
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

/* An object in an object, NULL where it is none. */
static JsonbContainer *member(JsonbContainer *object, const JsonbValue *key) {
    JsonbValue value;

    if (object == NULL || !JsonContainerIsObject(object) ||
        getKeyJsonValueFromContainer(object, key->val.string.val, key->val.string.len, &value) ==
            NULL ||
        value.type != jbvBinary)
        return NULL;
    return value.val.binary.data;
}

static void push_restored(JsonbParseState **state, JsonbValue *sides, JsonbContainer *held) {
    JsonbIterator *iterator = JsonbIteratorInit(sides->val.binary.data);
    JsonbValue item, value;
    JsonbIteratorToken token;
    JsonbContainer *personal = NULL;

    while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE) {
        if (token == WJB_KEY)
            personal = member(held, &item);
        if (token == WJB_VALUE && personal != NULL &&
            getKeyJsonValueFromContainer(personal, "value", 5, &value) != NULL)
            item = value;
        pushJsonbValue(state, token,
                       token == WJB_BEGIN_OBJECT || token == WJB_END_OBJECT ? NULL : &item);
    }
}

/* The changes of an event with what is held beside it, as the trigger would have written them. */
Datum clinicq_audit_with_personal(PG_FUNCTION_ARGS) {
    Jsonb *changes, *contents;
    JsonbIterator *iterator;
    JsonbParseState *state = NULL;
    JsonbValue item, value, *result = NULL;
    JsonbIteratorToken token;
    JsonbContainer *held = NULL;

    if (PG_ARGISNULL(0))
        PG_RETURN_NULL();
    changes = PG_GETARG_JSONB_P(0);
    if (PG_ARGISNULL(1) || !JB_ROOT_IS_OBJECT(changes))
        PG_RETURN_JSONB_P(changes);
    contents = PG_GETARG_JSONB_P(1);
    iterator = JsonbIteratorInit(&changes->root);
    while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE) {
        if (token == WJB_KEY)
            held = member(&contents->root, &item);
        if (token == WJB_VALUE && held != NULL && item.type == jbvBinary &&
            JsonContainerIsObject(item.val.binary.data) &&
            getKeyJsonValueFromContainer(held, "value", 5, &value) == NULL)
            push_restored(&state, &item, held);
        else if (token == WJB_VALUE && held != NULL && item.type == jbvBinary &&
                 getKeyJsonValueFromContainer(held, "value", 5, &value) != NULL)
            pushJsonbValue(&state, token, &value);
        else
            result = pushJsonbValue(
                &state, token, token == WJB_BEGIN_OBJECT || token == WJB_END_OBJECT ? NULL : &item);
    }
    PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}

void personal_delete(const char *statement) {
    erasing = true;
    PG_TRY();
    if (SPI_execute(statement, false, 0) != SPI_OK_DELETE)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("not done: %s", statement));
    PG_FINALLY();
    erasing = false;
    PG_END_TRY();
}

static uint64 erase_from_audit(int64 patient) {
    Datum args[1] = {CStringGetTextDatum(psprintf(INT64_FORMAT, patient))};
    uint64 erased = 0;

    tallies_close_searches();
    erasing = true;
    PG_TRY();
    query_write(&terms_erase, args, NULL);
    erased = query_write(&personal_erase, args, NULL);
    PG_FINALLY();
    erasing = false;
    PG_END_TRY();
    return erased;
}

Datum clinicq_erase_patient(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *reason;
    int64 patient;
    Datum args[1];
    uint64 erased;
    StringInfoData detail;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "registration_number");
    ARG_REQUIRE(1, "reason");
    reason = faults_check_text(faults, "reason", ARG_CSTRING(1), 3, 500);
    faults_raise(faults);
    SPI_connect();
    patient = patient_lock_for_erasure(ARG_CSTRING(0));
    args[0] = Int64GetDatum(patient);
    query_write(&patient_erase, args, NULL);
    idempotency_forget_patient(patient);
    prescriptions_erase(patient);
    outbox_erase(patient);
    contacts_erase(patient);
    erased = erase_from_audit(patient);
    initStringInfo(&detail);
    appendStringInfoChar(&detail, '{');
    json_text(&detail, "reason", reason);
    json_int(&detail, "events", (int64) erased);
    appendStringInfoChar(&detail, '}');
    audit_event_with("ERASE", "patient", patient, detail.data, "done");
    SPI_finish();
    PG_RETURN_INT64((int64) erased);
}

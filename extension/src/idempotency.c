#include "idempotency.h"

#include "actor.h"
#include "error.h"
#include "keeper.h"
#include "own_lock.h"
#include "query.h"
#include "reply.h"
#include "setting.h"
#include "sha256.h"
#include "utils/array.h"
#include "utils/jsonb.h"

#define KEY_MAX   255
#define REPLY_MAX 65536 /* of body and headers together, as JSON text */
#define TIDY_ROWS 2     /* removed beside each new one, where no keeper does it */

QUERY(key_find,
      "SELECT fingerprint, status, reply, headers FROM clinicq.idempotency_key"
      " WHERE user_id = $1 AND key = $2 AND created_at > now() - make_interval(hours => $3)",
      INT8OID, TEXTOID, INT4OID);
QUERY(key_store,
      "INSERT INTO clinicq.idempotency_key (user_id, key, fingerprint, status, reply, headers)"
      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, key) DO UPDATE SET"
      " fingerprint = excluded.fingerprint, status = excluded.status, reply = excluded.reply,"
      " headers = excluded.headers, created_at = excluded.created_at",
      INT8OID, TEXTOID, BYTEAOID, INT4OID, JSONOID, JSONOID);
QUERY(keys_purge,
      "DELETE FROM clinicq.idempotency_key WHERE ctid = ANY (ARRAY(SELECT ctid"
      " FROM clinicq.idempotency_key WHERE created_at <= now() - make_interval(hours => $1)"
      " ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
      INT4OID, INT4OID);
QUERY(replies_forget,
      "UPDATE clinicq.idempotency_key k SET fingerprint = '', status = NULL, reply = NULL,"
      " headers = NULL FROM clinicq.patient p WHERE p.id = $1"
      " AND strpos(k.reply::text, p.registration_number) > 0",
      INT8OID);

static void key_fault(const char *fault) {
    ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST), errmsg("Idempotency-Key: %s", fault));
}

char *idempotency_key(const char *header) {
    size_t length = strlen(header);
    bool quoted = header[0] == '"';
    char *key = palloc(length + 1);
    char *end = key;

    if (quoted && (length < 2 || header[length - 1] != '"'))
        key_fault("the quotation mark is not closed");
    for (const char *at = header + quoted; at < header + length - quoted; at++) {
        if (quoted && *at == '\\' && at + 2 < header + length && strchr("\"\\", at[1]) != NULL)
            at++;
        else if (quoted && (*at == '"' || *at == '\\'))
            key_fault("a quotation mark or backslash in it needs a backslash");
        if (*at <= ' ' || *at > '~')
            key_fault("only visible ASCII characters can be in it");
        *end++ = *at;
    }
    *end = '\0';
    if (end == key || end - key > KEY_MAX)
        key_fault(psprintf("it has 1 to %d characters", KEY_MAX));
    return key;
}

/* Each part with its length, so that no two requests come to the same text. */
static void add_part(StringInfo out, const char *part) {
    if (part == NULL)
        appendStringInfoString(out, "-;");
    else
        appendStringInfo(out, "%zu:%s;", strlen(part), part);
}

static char *jsonb_text(Jsonb *value) {
    return JsonbToCString(NULL, &value->root, VARSIZE(value));
}

/* The body once it is parsed: blanks and the order of keys do not make another request. */
static char *body_text(FunctionCallInfo routed) {
    Datum body;

    if (routed->args[2].isnull)
        return NULL;
    body = DirectFunctionCall1(
        jsonb_in, CStringGetDatum(text_to_cstring(DatumGetTextPP(routed->args[2].value))));
    return jsonb_text(DatumGetJsonbP(body));
}

/*
 * With the roles in force: who has lost one must not be shown what it let see. Nothing of a request
 * with secrets, since a hash would let them be guessed.
 */
static Datum fingerprint(const KeyedRequest *request) {
    FunctionCallInfo routed = request->routed;
    StringInfoData parts;
    Datum *values = NULL;
    bool *nulls = NULL;
    int count = 0;

    if (request->secret)
        return PointerGetDatum(cstring_to_text(""));
    initStringInfo(&parts);
    add_part(&parts, request->route);
    add_part(&parts, psprintf("%x", actor_roles()));
    if (!routed->args[0].isnull)
        deconstruct_array(DatumGetArrayTypeP(routed->args[0].value), TEXTOID, -1, false,
                          TYPALIGN_INT, &values, &nulls, &count);
    for (int i = 0; i < count; i++)
        add_part(&parts, nulls[i] ? NULL : TextDatumGetCString(values[i]));
    add_part(&parts,
             routed->args[1].isnull ? NULL : jsonb_text(DatumGetJsonbP(routed->args[1].value)));
    add_part(&parts, body_text(routed));
    return sha256_datum(parts.data);
}

static bool same_fingerprint(const KeyedRequest *request, Datum stored) {
    return DatumGetBool(DirectFunctionCall2(byteaeq, stored, fingerprint(request)));
}

/* Reads the reply of row 0 into the caller's context; SPI is finished here. */
static void read_stored(Datum reply[3], bool nulls[3], MemoryContext caller) {
    MemoryContext previous;

    reply[0] = row_value(0, 2, &nulls[0]);
    for (int i = 1; i < 3; i++) {
        Datum value = row_value(0, i + 2, &nulls[i]);

        previous = MemoryContextSwitchTo(caller);
        reply[i] = nulls[i] ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
        MemoryContextSwitchTo(previous);
    }
    SPI_finish();
}

bool idempotency_find(const KeyedRequest *request, Datum reply[3], bool nulls[3]) {
    MemoryContext caller = CurrentMemoryContext;
    Datum args[3] = {Int64GetDatum(actor_current()->user_id), CStringGetTextDatum(request->key),
                     Int32GetDatum(setting_int(SETTING_IDEMPOTENCY_HOURS))};
    bool isnull;

    SPI_connect();
    if (!own_lock_try(LOCK_IDEMPOTENCY_KEY, own_lock_key(actor_current()->user_id, request->key)))
        ereport(ERROR, errcode(ERRCODE_CQ_IN_PROGRESS),
                errmsg("a request with this Idempotency-Key is being done"),
                errhint("Send it again in a moment."));
    /* A new snapshot, taken after the lock: it sees what the one before has committed. */
    if (query_write(&key_find, args, NULL) == 0) {
        SPI_finish();
        return false;
    }
    if (row_isnull(0, 2))
        ereport(ERROR, errcode(ERRCODE_CQ_DONE_BEFORE),
                errmsg("the request with this Idempotency-Key was done; its reply is not kept"),
                errhint("Read what came of it, or send a new request with a new key."));
    if (!same_fingerprint(request, row_value(0, 1, &isnull)))
        ereport(ERROR, errcode(ERRCODE_CQ_KEY_REUSED),
                errmsg("this Idempotency-Key was used for another request, or with other roles"),
                errhint("Send a new request with a new key."));
    read_stored(reply, nulls, caller);
    return true;
}

static bool is_too_large(const Datum reply[3], const bool nulls[3]) {
    Size size = 0;

    for (int i = 1; i < 3; i++)
        size += nulls[i] ? 0 : VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM(reply[i]));
    return size > REPLY_MAX;
}

void idempotency_keep(const KeyedRequest *request, const Datum reply[3], const bool nulls[3]) {
    bool kept = !request->secret && !is_too_large(reply, nulls);
    Datum args[6] = {Int64GetDatum(actor_current()->user_id),
                     CStringGetTextDatum(request->key),
                     kept ? fingerprint(request) : PointerGetDatum(cstring_to_text("")),
                     reply[0],
                     reply[1],
                     reply[2]};
    char absent[6];

    if (DatumGetInt32(reply[0]) >= 400)
        return;
    for (int i = 0; i < 6; i++)
        absent[i] = i >= 3 && (!kept || nulls[i - 3]) ? 'n' : ' ';
    SPI_connect();
    query_write(&key_store, args, absent);
    if (!keeper_is_running())
        idempotency_purge(TIDY_ROWS);
    SPI_finish();
}

void idempotency_forget_patient(int64 patient_id) {
    Datum args[1] = {Int64GetDatum(patient_id)};

    query_write(&replies_forget, args, NULL);
}

uint64 idempotency_purge(int32 limit) {
    Datum args[2] = {Int32GetDatum(setting_int(SETTING_IDEMPOTENCY_HOURS)), Int32GetDatum(limit)};

    return query_write(&keys_purge, args, NULL);
}

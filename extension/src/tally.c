#include "tally.h"

#include "actor.h"
#include "cache.h"
#include "fmgr.h"
#include "gather.h"
#include "miscadmin.h"
#include "query.h"
#include "sha256.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_close_tallies);

#define CLOSED_AT_ONCE 10000

/* The usual case costs half of what the other does. */
QUERY(tally_count_up,
      "UPDATE clinicq.audit_tally SET count = count + $2, last_at = greatest(last_at, $3)"
      " WHERE key = $1 AND until > $4",
      BYTEAOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID);
/* No row: the time of the one that is there is over. */
QUERY(tally_count,
      "INSERT INTO clinicq.audit_tally AS t (key, actor_id, actor_name, roles, door, client,"
      " request_id, action, entity, entity_id, detail, outcome, count, first_at, last_at, until)"
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
      " ON CONFLICT (key) DO UPDATE SET count = t.count + excluded.count,"
      " last_at = greatest(t.last_at, excluded.last_at) WHERE t.until > excluded.first_at",
      BYTEAOID, INT8OID, TEXTOID, TEXTARRAYOID, TEXTOID, INETOID, TEXTOID, TEXTOID, TEXTOID,
      TEXTOID, JSONBOID, TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID);

/* The term of a search may be a name: it stands beside the event, as in personal.h. */
#define CLOSE(which)                                                                               \
    "WITH over AS (DELETE FROM clinicq.audit_tally WHERE key IN (" which ") RETURNING *),"         \
    " event AS (SELECT pg_current_xact_id() AS transaction_id,"                                    \
    "  nextval('clinicq.audit_event_id_seq') AS id, c.hash, c.held, o.*"                           \
    "  FROM over o LEFT JOIN LATERAL clinicq_audit.commit_personal(o.detail ->> 'term') c"         \
    "   ON o.detail ? 'term'),"                                                                    \
    " written AS (INSERT INTO clinicq.audit_event (id, at, transaction_id, actor_id, actor_name,"  \
    "  roles, door, client, request_id, action, entity, entity_id, changes, outcome)"              \
    "  OVERRIDING SYSTEM VALUE SELECT id, clock_timestamp(), transaction_id, actor_id, actor_name" \
    ", roles, door, client, request_id, action, entity, entity_id,"                                \
    "  clinicq_audit.counted(detail, count, first_at, last_at) || CASE WHEN hash IS NULL"          \
    "   THEN '{}' ELSE jsonb_build_object('term', jsonb_build_object('erasable', hash)) END,"      \
    "  outcome FROM event),"                                                                       \
    " beside AS (INSERT INTO clinicq.audit_personal (event_id, entity, entity_id, contents)"       \
    "  SELECT id, entity, entity_id, jsonb_build_object('term', held) FROM event"                  \
    "  WHERE hash IS NOT NULL)"                                                                    \
    " SELECT FROM event"

QUERY(tally_close_one, CLOSE("SELECT key FROM clinicq.audit_tally WHERE key = $1 AND until <= $2"),
      BYTEAOID, TIMESTAMPTZOID);
/*
 * Ten seconds later, when shared memory holds no repetition of it any more. One that somebody
 * counts up at this moment can wait for the next time.
 */
QUERY(tally_close_all,
      CLOSE("SELECT key FROM clinicq.audit_tally"
            " WHERE until <= clock_timestamp() - interval '10 seconds'"
            " ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED"),
      INT8OID);
/* What somebody holds here was locked out before. */
QUERY(tally_close_searches, CLOSE("SELECT key FROM clinicq.audit_tally WHERE detail ? 'term'"));

Tally tally_begin(int minutes) {
    const Actor *actor = actor_current();
    TimestampTz now = GetCurrentTimestamp();

    return (Tally){.actor_id = actor->user_id,
                   .actor_name = actor->name,
                   .roles = actor_roles(),
                   .door = actor->door,
                   .client = actor->client,
                   .request_id = actor->request_id,
                   .entity_id = "",
                   .detail = "",
                   .count = 1,
                   .first = now,
                   .last = now,
                   .until = now + minutes * USECS_PER_MINUTE};
}

/* Each text with its length, so that none runs into the next. */
static Datum tally_key(const Tally *tally) {
    const char *texts[] = {tally->actor_name, tally->door,      tally->client, tally->action,
                           tally->entity,     tally->entity_id, tally->detail, tally->outcome};
    StringInfoData key;

    initStringInfo(&key);
    appendStringInfo(&key, INT64_FORMAT ",%u,", tally->actor_id, tally->roles);
    for (int i = 0; i < lengthof(texts); i++)
        appendStringInfo(&key, "%zu:%s,", strlen(texts[i]), texts[i]);
    return sha256_datum(key.data);
}

static Datum text_or_null(const char *value, char *is_null) {
    *is_null = *value ? ' ' : 'n';
    return *value ? CStringGetTextDatum(value) : (Datum) 0;
}

static void require_writing(void) {
    if (!query_may_write())
        ereport(ERROR, errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                errmsg("this cannot be shown where the look cannot be recorded"),
                errdetail("The transaction is read-only, or the server a standby."),
                errhint("Ask in a transaction that may write, on the primary server."));
}

/* The row is not there, or its time is over. */
static void tally_insert(const Tally *tally, Datum key) {
    Datum args[16];
    char nulls[] = "                ";

    args[0] = key;
    args[1] = Int64GetDatum(tally->actor_id);
    nulls[1] = tally->actor_id == 0 ? 'n' : ' ';
    args[2] = CStringGetTextDatum(tally->actor_name);
    args[3] = roles_to_array(tally->roles);
    args[4] = CStringGetTextDatum(tally->door);
    nulls[5] = *tally->client ? ' ' : 'n';
    args[5] = *tally->client ? DirectFunctionCall1(inet_in, CStringGetDatum(tally->client)) : 0;
    args[6] = text_or_null(tally->request_id, &nulls[6]);
    args[7] = CStringGetTextDatum(tally->action);
    args[8] = CStringGetTextDatum(tally->entity);
    args[9] = text_or_null(tally->entity_id, &nulls[9]);
    nulls[10] = *tally->detail ? ' ' : 'n';
    args[10] = *tally->detail ? DirectFunctionCall1(jsonb_in, CStringGetDatum(tally->detail)) : 0;
    args[11] = CStringGetTextDatum(tally->outcome);
    args[12] = Int64GetDatum(tally->count);
    args[13] = TimestampTzGetDatum(tally->first);
    args[14] = TimestampTzGetDatum(tally->last);
    args[15] = TimestampTzGetDatum(tally->until);
    while (query_write(&tally_count, args, nulls) == 0) {
        Datum over[2] = {args[0], args[13]};

        CHECK_FOR_INTERRUPTS();
        query_write(&tally_close_one, over, NULL);
    }
}

void tally_write(const Tally *tally) {
    Datum args[4];

    require_writing();
    args[0] = tally_key(tally);
    args[1] = Int64GetDatum(tally->count);
    args[2] = TimestampTzGetDatum(tally->last);
    args[3] = TimestampTzGetDatum(tally->first);
    if (query_write(&tally_count_up, args, NULL) == 0)
        tally_insert(tally, args[0]);
}

uint64 tallies_close(void) {
    Datum args[1] = {Int64GetDatum(CLOSED_AT_ONCE)};

    gather_flush();
    return query_write(&tally_close_all, args, NULL);
}

void tallies_close_searches(void) {
    LockRelationOid(cache_table("audit_tally"), ShareRowExclusiveLock);
    gather_flush_searches();
    query_write(&tally_close_searches, NULL, NULL);
}

Datum clinicq_close_tallies(PG_FUNCTION_ARGS) {
    uint64 closed;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    SPI_connect();
    closed = tallies_close();
    SPI_finish();
    PG_RETURN_INT64((int64) closed);
}

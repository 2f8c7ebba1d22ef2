/*
 * deliver_api.c: what clinicq-shim deliver asks. It takes deliveries for a while, sends them, and
 * says how each attempt ended; an attempt is named by the delivery and its number.
 */
#include "postgres.h"

#include "cache.h"
#include "common/base64.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "image_type.h"
#include "json.h"
#include "keeper.h"
#include "mb/pg_wchar.h"
#include "message.h"
#include "outbox.h"
#include "own_lock.h"
#include "password_reset.h"
#include "query.h"
#include "setting.h"
#include "utils/array.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(clinicq_delivery_settings);
PG_FUNCTION_INFO_V1(clinicq_take_deliveries);
PG_FUNCTION_INFO_V1(clinicq_renew_delivery);
PG_FUNCTION_INFO_V1(clinicq_delivery_done);
PG_FUNCTION_INFO_V1(clinicq_delivery_failed);
PG_FUNCTION_INFO_V1(clinicq_delivery_image);

#define TAKEN_MAX  1000
#define TIDY_ROWS  100 /* removed each time where no keeper does it */
#define PIECE_MAX  1048576
#define ERROR_MAX  500
#define RETRY_MAX  86400
#define FIRST_WAIT 5 /* seconds */
#define LAST_WAIT  3600

#define TAKE                                                                                    \
    "UPDATE clinicq.outbox o SET state = 'sending', attempts = o.attempts + 1,"                 \
    " next_attempt_at = now() + make_interval(secs => $3) FROM due WHERE o.id = due.id"         \
    " RETURNING o.id, o.attempts, o.token, o.purpose, o.payload::text, o.image_id, o.visit_id," \
    " o.user_id, o.webhook_id, o.created_at"
QUERY(deliveries_take,
      "WITH due AS (SELECT id FROM clinicq.outbox WHERE channel = $1"
      "  AND state IN ('pending', 'sending', 'failed') AND next_attempt_at <= now()"
      "  ORDER BY next_attempt_at, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) " TAKE,
      TEXTOID, INT4OID, INT4OID);
/* The first of each endpoint, and no other while that is not done; nor one that comes before it and
 * was committed after it had been taken. */
QUERY(deliveries_take_first,
      "WITH due AS (SELECT o.id FROM clinicq.webhook w CROSS JOIN LATERAL"
      "  (SELECT f.id FROM clinicq.outbox f WHERE f.webhook_id = w.id"
      "   AND f.state IN ('pending', 'sending', 'failed') ORDER BY f.id LIMIT 1) AS first"
      "  JOIN clinicq.outbox o ON o.id = first.id"
      "  WHERE $1 = 'webhook' AND o.state IN ('pending', 'sending', 'failed')"
      "  AND o.next_attempt_at <= now() AND NOT EXISTS (SELECT FROM clinicq.outbox s"
      "   WHERE s.channel = 'webhook' AND s.state = 'sending' AND s.next_attempt_at > now()"
      "   AND s.webhook_id = w.id)"
      "  ORDER BY o.next_attempt_at LIMIT $2 FOR NO KEY UPDATE OF o SKIP LOCKED) " TAKE,
      TEXTOID, INT4OID, INT4OID);
QUERY(delivery_withhold,
      "UPDATE clinicq.outbox SET state = 'done', ended_at = now(), attempts = attempts - 1,"
      " result = jsonb_build_object('withheld', $2) WHERE id = $1",
      INT8OID, TEXTOID);
/* $2 its work. The hash of number and text, of each attempt: texts that tell a place or a room are
 * not the same at the next one, which has to know what to look for. */
QUERY(sms_note,
      "UPDATE clinicq.outbox SET payload = jsonb_set(payload, '{sent}', sent ||"
      "  CASE WHEN sent ? hash THEN '[]' ELSE to_jsonb(hash) END)"
      " FROM (SELECT coalesce(payload -> 'sent', '[]') AS sent, encode(sha256(convert_to("
      "   concat_ws(chr(10), $2::jsonb ->> 'to', $2::jsonb ->> 'body'), 'UTF8')), 'hex') AS hash"
      "  FROM clinicq.outbox WHERE id = $1) AS made"
      " WHERE id = $1 RETURNING (payload -> 'sent')::text",
      INT8OID, TEXTOID);
QUERY(delivery_renew,
      "UPDATE clinicq.outbox SET next_attempt_at = now() + make_interval(secs => $3)"
      " WHERE id = $1 AND attempts = $2 AND state = 'sending'",
      INT8OID, INT4OID, INT4OID);
/* An image is locked before its delivery, as by who erases it. */
QUERY(image_lock,
      "SELECT FROM clinicq.image WHERE id ="
      " (SELECT image_id FROM clinicq.outbox WHERE id = $1 AND channel = 'drive')"
      " FOR NO KEY UPDATE",
      INT8OID);
/* A call back of the far side may have said more, and earlier. */
QUERY(delivery_end,
      "UPDATE clinicq.outbox SET state = 'done', ended_at = coalesce(ended_at, now()),"
      " result = coalesce($3, '{}') || coalesce(result, '{}')"
      " WHERE id = $1 AND attempts = $2 AND state IN ('sending', 'done')"
      " RETURNING channel, image_id",
      INT8OID, INT4OID, JSONBOID);
QUERY(
    image_stored,
    "UPDATE clinicq.image SET drive_file_id = $2::jsonb ->> 'file_id', drive_url = $2::jsonb ->> 'url'"
    " WHERE id = $1",
    INT8OID, JSONBOID);
/* $4 seconds that the far side asks for, $5 of no use, $6 hours until it is given up. */
QUERY(
    delivery_fail,
    "UPDATE clinicq.outbox SET last_error = $3, state = CASE WHEN dead THEN 'dead' ELSE 'failed' END,"
    " ended_at = CASE WHEN dead THEN now() END, next_attempt_at = now() + make_interval(secs => coalesce($4,"
    "  least($8, $7 * power(2, least(attempts - 1, 20))) * (0.5 + random())))"
    " FROM (SELECT id AS found, $5 OR now() - due_since > make_interval(hours => $6) AS dead"
    "  FROM clinicq.outbox WHERE id = $1) AS d"
    " WHERE id = found AND attempts = $2 AND state = 'sending'",
    INT8OID, INT4OID, TEXTOID, INT4OID, BOOLOID, INT4OID, INT4OID, INT4OID);
QUERY(image_of_delivery,
      "SELECT encode(i.sha256, 'hex'), i.size, i.media_type,"
      " (SELECT min(pr.id) FROM clinicq.prescription pr WHERE pr.image_id = i.id)"
      " FROM clinicq.image i WHERE i.id = $1",
      INT8OID);
QUERY(
    image_wanted_again,
    "SELECT FROM clinicq.outbox r JOIN clinicq.image i ON i.sha256 = decode(r.payload ->> 'sha256', 'hex')"
    " JOIN clinicq.outbox o ON o.image_id = i.id AND o.channel = r.channel WHERE r.id = $1",
    INT8OID);
QUERY(event_of_delivery,
      "SELECT w.id, w.url, o.payload ->> 'type', coalesce(o.payload -> 'data', 'null')::text"
      " FROM clinicq.outbox o JOIN clinicq.webhook w ON w.id = o.webhook_id WHERE o.id = $1",
      INT8OID);
QUERY(
    image_piece,
    "SELECT substring(c.bytes FROM (($3 - c.start) + 1)::integer FOR $4)"
    " FROM clinicq.outbox o JOIN clinicq.image_chunk c ON c.image_id = o.image_id AND c.start <= $3"
    " WHERE o.id = $1 AND o.attempts = $2 AND o.state = 'sending' ORDER BY c.start DESC LIMIT 1",
    INT8OID, INT4OID, INT8OID, INT4OID);

static void channel_append_json(StringInfo json, Channel channel) {
    json_key(json, channel_name(channel));
    appendStringInfoChar(json, '{');
    json_bool(json, "on", channel_is_on(channel));
    json_int(json, "rate", channel_rate(channel));
    switch (channel) {
    case CHANNEL_DRIVE:
        json_text(json, "folder", setting_text(SETTING_DRIVE_FOLDER));
        break;
    case CHANNEL_S3:
        json_text(json, "endpoint", setting_text(SETTING_S3_ENDPOINT));
        json_text(json, "region", setting_text(SETTING_S3_REGION));
        json_text(json, "bucket", setting_text(SETTING_S3_BUCKET));
        json_text(json, "prefix", setting_text(SETTING_S3_PREFIX));
        break;
    case CHANNEL_SMS:
        json_text(json, "account", setting_text(SETTING_SMS_ACCOUNT));
        json_text(json, "from", setting_text(SETTING_SMS_FROM));
        json_text(json, "public_url", setting_text(SETTING_PUBLIC_URL));
        break;
    case CHANNEL_EMAIL:
        json_text(json, "server", setting_text(SETTING_EMAIL_SERVER));
        json_text(json, "tls", setting_text(SETTING_EMAIL_TLS));
        json_text(json, "from", setting_text(SETTING_EMAIL_FROM));
        json_text(json, "user", setting_text(SETTING_EMAIL_USER));
        break;
    default:
        break;
    }
    appendStringInfoChar(json, '}');
}

Datum clinicq_delivery_settings(PG_FUNCTION_ARGS) {
    StringInfoData json;

    cache_require_ready();
    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_int(&json, "lease", setting_int(SETTING_OUTBOX_LEASE_SECONDS));
    for (Channel channel = 0; channel < CHANNEL_COUNT; channel++)
        channel_append_json(&json, channel);
    appendStringInfoChar(&json, '}');
    PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

/* A row that deliveries_take returned, taken out of SPI_tuptable: other queries are to come. */
typedef struct Taken {
    int64 id;
    int32 attempt;
    Datum token;
    char *purpose, *payload;
    DeliveryRefs refs;
    TimestampTz created_at;
} Taken;

static Taken *read_taken(uint64 rows) {
    Taken *all = palloc((rows + 1) * sizeof *all);

    for (uint64 row = 0; row < rows; row++) {
        bool isnull;

        all[row] = (Taken){
            .id = row_int64(row, 1),
            .attempt = row_int32(row, 2),
            .token = SPI_datumTransfer(row_value(row, 3, &isnull), false, UUID_LEN),
            .purpose = row_text(row, 4),
            .payload = row_text(row, 5),
            .refs = {.image_id = row_isnull(row, 6) ? 0 : row_int64(row, 6),
                     .visit_id = row_isnull(row, 7) ? 0 : row_int64(row, 7),
                     .user_id = row_isnull(row, 8) ? 0 : row_int64(row, 8),
                     .webhook_id = row_isnull(row, 9) ? 0 : row_int64(row, 9)},
            .created_at = row_int64(row, 10),
        };
    }
    return all;
}

/* The same bytes may have come again since, and what is stored of them is theirs now. */
static bool is_wanted_again(int64 id, const char **reason) {
    Datum args[1] = {Int64GetDatum(id)};

    *reason = "the image is stored again";
    return query_write(&image_wanted_again, args, NULL) > 0;
}

static bool append_image(StringInfo work, int64 image_id, const char **reason) {
    Datum args[1] = {Int64GetDatum(image_id)};
    char *media_type;

    *reason = "the image is gone";
    if (query_write(&image_of_delivery, args, NULL) == 0)
        return false;
    media_type = row_text(0, 3);
    json_text(work, "sha256", row_text(0, 1));
    json_int(work, "size", row_int64(0, 2));
    json_text(work, "media_type", media_type);
    json_text(work, "name",
              psprintf("prescription-" INT64_FORMAT ".%s", row_isnull(0, 4) ? 0 : row_int64(0, 4),
                       image_ending(media_type)));
    return true;
}

/* The text that is posted has the members of Standard Webhooks: type, timestamp, data. */
static bool append_event(StringInfo work, const Taken *taken, const char **reason) {
    Datum args[1] = {Int64GetDatum(taken->id)};
    StringInfoData body;
    char *type;

    *reason = "the endpoint is gone";
    if (query_write(&event_of_delivery, args, NULL) == 0)
        return false;
    type = row_text(0, 3);
    initStringInfo(&body);
    appendStringInfoChar(&body, '{');
    json_text(&body, "type", type);
    json_timestamp(&body, "timestamp", taken->created_at, "Z");
    json_key(&body, "data");
    appendStringInfo(&body, "%s}", row_text(0, 4));
    json_int(work, "webhook", row_int64(0, 1));
    json_text(work, "url", row_text(0, 2));
    json_text(work, "type", type);
    json_text(work, "body", body.data);
    return true;
}

static bool append_work(StringInfo work, const Taken *taken, const char **reason) {
    appendStringInfoChar(work, '{');
    json_timestamp(work, "since", taken->created_at, "Z");
    if (taken->refs.image_id != 0) {
        if (!append_image(work, taken->refs.image_id, reason))
            return false;
    } else if (taken->refs.webhook_id != 0) {
        if (!append_event(work, taken, reason))
            return false;
    } else if (strcmp(taken->purpose, "remove_image") == 0 && is_wanted_again(taken->id, reason)) {
        return false;
    } else if (strcmp(taken->purpose, "manual") == 0 ||
               strcmp(taken->purpose, "remove_image") == 0) {
        /* the members of an object that jsonb wrote, which begins with { and ends with } */
        if (strcmp(taken->payload, "{}") != 0)
            appendStringInfo(work, ",%.*s", (int) strlen(taken->payload) - 2, taken->payload + 1);
    } else if (!message_append_work(work, taken->purpose, taken->refs.visit_id, taken->refs.user_id,
                                    taken->payload, reason)) {
        return false;
    }
    appendStringInfoChar(work, '}');
    return true;
}

/* Adds to the work what the messages of its attempts are known by, this one's included. */
static void append_sent(StringInfo work, int64 id) {
    Datum args[2] = {Int64GetDatum(id), CStringGetTextDatum(work->data)};

    query_write(&sms_note, args, NULL);
    work->data[--work->len] = '\0';
    appendStringInfo(work, ",\"sent\":%s}", row_text(0, 1));
}

static void withhold(int64 id, const char *reason) {
    Datum args[2] = {Int64GetDatum(id), CStringGetTextDatum(reason)};

    query_write(&delivery_withhold, args, NULL);
}

/* What is due; of webhooks nothing while another one takes theirs, which has to be seen. */
static uint64 take_due(Channel channel, const Datum *args) {
    if (channel != CHANNEL_WEBHOOK)
        return query_write(&deliveries_take, args, NULL);
    return own_lock_try(LOCK_WEBHOOKS, 0) ? query_write(&deliveries_take_first, args, NULL) : 0;
}

static void take(Channel channel, int32 most, ReturnSetInfo *result) {
    Datum args[3] = {CStringGetTextDatum(channel_name(channel)),
                     Int32GetDatum(Min(most, TAKEN_MAX)),
                     Int32GetDatum(setting_int(SETTING_OUTBOX_LEASE_SECONDS))};
    uint64 rows = take_due(channel, args);
    Taken *taken = read_taken(rows);

    for (uint64 i = 0; i < rows; i++) {
        StringInfoData work;
        const char *reason;

        initStringInfo(&work);
        if (append_work(&work, &taken[i], &reason)) {
            Datum values[5] = {Int64GetDatum(taken[i].id), args[0], Int32GetDatum(taken[i].attempt),
                               taken[i].token};
            bool nulls[5] = {false};

            if (channel == CHANNEL_SMS)
                append_sent(&work, taken[i].id);
            values[4] = CStringGetTextDatum(work.data);
            tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
        } else {
            withhold(taken[i].id, reason);
        }
        pfree(work.data);
    }
}

static void do_for_keeper(void) {
    summaries_add();
    outbox_purge(TIDY_ROWS);
    password_reset_purge(TIDY_ROWS);
}

Datum clinicq_take_deliveries(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    Datum *channels, *most;
    int count, most_count;

    cache_require_ready();
    ARG_REQUIRE(0, "channels");
    ARG_REQUIRE(1, "most");
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &channels, NULL,
                      &count);
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT4OID, 4, true, TYPALIGN_INT, &most, NULL,
                      &most_count);
    if (count != most_count)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("most: must have a number for each of channels"));
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    if (!keeper_is_running())
        do_for_keeper();
    for (int i = 0; i < count; i++) {
        Channel channel;

        if (!channel_find(TextDatumGetCString(channels[i]), &channel))
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("channels: no such channel: %s", TextDatumGetCString(channels[i])),
                    errhint("There are drive, s3, sms, email and webhook."));
        if (DatumGetInt32(most[i]) > 0)
            take(channel, DatumGetInt32(most[i]), result);
    }
    SPI_finish();
    return (Datum) 0;
}

static void require_attempt(FunctionCallInfo fcinfo) {
    cache_require_ready();
    ARG_REQUIRE(0, "id");
    ARG_REQUIRE(1, "attempt");
}

Datum clinicq_renew_delivery(PG_FUNCTION_ARGS) {
    Datum args[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
    bool had;

    require_attempt(fcinfo);
    SPI_connect();
    args[2] = Int32GetDatum(setting_int(SETTING_OUTBOX_LEASE_SECONDS));
    had = query_write(&delivery_renew, args, NULL) > 0;
    SPI_finish();
    PG_RETURN_BOOL(had);
}

Datum clinicq_delivery_done(PG_FUNCTION_ARGS) {
    Datum args[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
    bool had;

    require_attempt(fcinfo);
    SPI_connect();
    query_write(&image_lock, args, NULL);
    had = query_write(&delivery_end, args, PG_ARGISNULL(2) ? "  n" : NULL) > 0;
    if (had && strcmp(row_text(0, 1), "drive") == 0 && !row_isnull(0, 2) && !PG_ARGISNULL(2)) {
        Datum stored[2] = {Int64GetDatum(row_int64(0, 2)), args[2]};

        query_write(&image_stored, stored, NULL);
    }
    SPI_finish();
    PG_RETURN_BOOL(had);
}

Datum clinicq_delivery_failed(PG_FUNCTION_ARGS) {
    Datum args[8] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
    char nulls[] = "        ";
    char *error = PG_ARGISNULL(2) ? "" : ARG_CSTRING(2);
    bool had;

    require_attempt(fcinfo);
    SPI_connect();
    args[2] = PointerGetDatum(
        cstring_to_text_with_len(error, pg_mbcharcliplen(error, (int) strlen(error), ERROR_MAX)));
    if (PG_ARGISNULL(3))
        nulls[3] = 'n';
    else
        args[3] = Int32GetDatum(Max(1, Min(PG_GETARG_INT32(3), RETRY_MAX)));
    args[4] = BoolGetDatum(!PG_ARGISNULL(4) && PG_GETARG_BOOL(4));
    args[5] = Int32GetDatum(setting_int(SETTING_OUTBOX_DEAD_HOURS));
    args[6] = Int32GetDatum(FIRST_WAIT);
    args[7] = Int32GetDatum(LAST_WAIT);
    had = query_write(&delivery_fail, args, nulls) > 0;
    SPI_finish();
    PG_RETURN_BOOL(had);
}

Datum clinicq_delivery_image(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    Datum args[4] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2),
                     PG_GETARG_DATUM(3)};
    text *base64 = NULL;
    bool isnull = true;
    bytea *bytes;

    require_attempt(fcinfo);
    if (PG_ARGISNULL(2) || PG_GETARG_INT64(2) < 0 || PG_ARGISNULL(3) || PG_GETARG_INT32(3) < 1 ||
        PG_GETARG_INT32(3) > PIECE_MAX)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("start must not be negative, and length from 1 to %d", PIECE_MAX));
    SPI_connect();
    bytes =
        query_read(&image_piece, args, NULL) > 0 ? DatumGetByteaPP(row_value(0, 1, &isnull)) : NULL;
    if (!isnull) {
        int length = (int) VARSIZE_ANY_EXHDR(bytes);
        int room = pg_b64_enc_len(length);

        base64 = MemoryContextAlloc(caller, VARHDRSZ + room + 1);
        SET_VARSIZE(base64, VARHDRSZ + pg_b64_encode(VARDATA_ANY(bytes), length, VARDATA(base64),
                                                     room + 1));
    }
    SPI_finish();
    if (base64 == NULL)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(base64);
}

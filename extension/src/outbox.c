#include "outbox.h"

#include "access/xact.h"
#include "actor.h"
#include "address.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "keeper.h"
#include "mb/pg_wchar.h"
#include "query.h"
#include "setting.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(clinicq_outbox_wake);
PG_FUNCTION_INFO_V1(clinicq_enqueue_delivery);
PG_FUNCTION_INFO_V1(clinicq_retry_delivery);
PG_FUNCTION_INFO_V1(clinicq_dead_deliveries);

#define NOTICES     "clinicq_outbox"
#define BODY_MAX    20000 /* characters */
#define PAYLOAD_MAX 65000 /* bytes; the table has room for what attempts add */

static const char *const names[CHANNEL_COUNT] = {
    [CHANNEL_DRIVE] = "drive", [CHANNEL_S3] = "s3",           [CHANNEL_SMS] = "sms",
    [CHANNEL_EMAIL] = "email", [CHANNEL_WEBHOOK] = "webhook",
};

QUERY(delivery_insert,
      "INSERT INTO clinicq.outbox"
      " (channel, purpose, payload, image_id, visit_id, user_id, webhook_id)"
      " VALUES ($1, $2, $3::jsonb, nullif($4, 0), nullif($5, 0), nullif($6, 0), nullif($7, 0))"
      " ON CONFLICT (image_id, channel) WHERE image_id IS NOT NULL DO NOTHING RETURNING id",
      TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID);
QUERY(delivery_lock, "SELECT state FROM clinicq.outbox WHERE id = $1 FOR NO KEY UPDATE", INT8OID);
QUERY(delivery_retry,
      "UPDATE clinicq.outbox SET state = CASE attempts WHEN 0 THEN 'pending' ELSE 'failed' END,"
      " next_attempt_at = now(), due_since = now(), ended_at = NULL WHERE id = $1",
      INT8OID);
QUERY(deliveries_dead,
      "SELECT id, channel, purpose, attempts, last_error, created_at, ended_at FROM clinicq.outbox"
      " WHERE state = 'dead' ORDER BY id DESC");
/* An attempt that nobody has answered for, again and again: it may be what ends its deliverers. */
QUERY(deliveries_give_up,
      "UPDATE clinicq.outbox SET state = 'dead', ended_at = now(),"
      " last_error = coalesce(last_error, 'no attempt was answered for')"
      " WHERE id = ANY (ARRAY(SELECT id FROM clinicq.outbox WHERE state = 'sending'"
      "  AND next_attempt_at < now() AND due_since < now() - make_interval(hours => $1)"
      "  FOR NO KEY UPDATE SKIP LOCKED))",
      INT4OID);
/* What could not be removed outside stays until it is. */
QUERY(
    deliveries_purge,
    "DELETE FROM clinicq.outbox WHERE id = ANY (ARRAY(SELECT id FROM clinicq.outbox"
    "  WHERE image_id IS NULL AND (state = 'done' OR state = 'dead' AND purpose <> 'remove_image')"
    "  AND ended_at < now() - make_interval(days => $1)"
    "  ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    INT4OID, INT4OID);
/* Whoever is just taking one has taken it, or has not, when it is looked what there is to remove.
 */
QUERY(deliveries_hold,
      "SELECT FROM clinicq.outbox WHERE image_id = ANY ($1) ORDER BY id FOR UPDATE", INT8ARRAYOID);
/* What an attempt still under way may bring is taken away after it. */
QUERY(images_remove,
      "INSERT INTO clinicq.outbox (channel, purpose, payload, next_attempt_at)"
      " SELECT o.channel, 'remove_image', jsonb_build_object('remove', true,"
      "  'file_id', coalesce(i.drive_file_id, ''), 'sha256', encode(i.sha256, 'hex'),"
      "  'media_type', i.media_type, 'key', coalesce(o.result ->> 'key', '')),"
      "  CASE o.state WHEN 'sending' THEN o.next_attempt_at + interval '10 s' ELSE now() END"
      " FROM clinicq.outbox o JOIN clinicq.image i ON i.id = o.image_id"
      " WHERE i.id = ANY ($1) AND o.attempts > 0 AND NOT EXISTS"
      "  (SELECT FROM clinicq.prescription pr WHERE pr.image_id = i.id)",
      INT8ARRAYOID);
QUERY(messages_erase,
      "DELETE FROM clinicq.outbox o USING clinicq.visit v"
      " WHERE o.visit_id = v.id AND v.patient_id = $1",
      INT8OID);
QUERY(prescription_image,
      "SELECT image_id FROM clinicq.prescription WHERE id = $1 AND removed_at IS NULL", INT8OID);
QUERY(webhook_exists, "SELECT FROM clinicq.webhook WHERE id = $1 FOR KEY SHARE", INT8OID);
QUERY(outbox_gauges,
      "SELECT channel, state, count(*),"
      " greatest(0, extract(epoch FROM now() - min(due_since)))::bigint FROM clinicq.outbox"
      " WHERE state IN ('pending', 'sending', 'failed') GROUP BY channel, state"
      " UNION ALL SELECT channel, 'dead', count(*), 0 FROM clinicq.outbox WHERE state = 'dead'"
      " GROUP BY channel");

static bool written = false; /* by this transaction */

static void transaction_ended(XactEvent event, void *arg) {
    if (!written)
        return;
    if (event == XACT_EVENT_COMMIT)
        keeper_wake_outbox();
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
        written = false;
}

void outbox_init(void) {
    RegisterXactCallback(transaction_ended, NULL);
}

Datum clinicq_outbox_wake(PG_FUNCTION_ARGS) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("clinicq.outbox_wake() is a trigger function"));
    written = true;
    PG_RETURN_POINTER(NULL);
}

void outbox_notify(void) {
    Async_Notify(NOTICES, NULL);
}

const char *channel_name(Channel channel) {
    return names[channel];
}

bool channel_find(const char *name, Channel *channel) {
    for (int i = 0; i < CHANNEL_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *channel = (Channel) i;
            return true;
        }
    return false;
}

bool channel_is_on(Channel channel) {
    switch (channel) {
    case CHANNEL_DRIVE:
        return !setting_is(SETTING_DRIVE_FOLDER, "");
    case CHANNEL_S3:
        return !setting_is(SETTING_S3_ENDPOINT, "") && !setting_is(SETTING_S3_BUCKET, "");
    case CHANNEL_SMS:
        return !setting_is(SETTING_SMS_ACCOUNT, "") && !setting_is(SETTING_SMS_FROM, "");
    case CHANNEL_EMAIL:
        return !setting_is(SETTING_EMAIL_SERVER, "") && !setting_is(SETTING_EMAIL_FROM, "");
    default:
        return true; /* each endpoint is a row of its own */
    }
}

/* Reads one item, "20" (channel: CHANNEL_COUNT) or "sms=1". Changes it. */
static bool read_rate(char *item, Channel *channel, int *rate) {
    char *equals = strchr(item, '=');
    char *digits = equals ? equals + 1 : item;
    size_t length = strlen(digits);

    *channel = CHANNEL_COUNT;
    if (equals != NULL) {
        *equals = '\0';
        if (!channel_find(item, channel))
            return false;
    }
    *rate = (int) strtol(digits, NULL, 10);
    return length >= 1 && length <= 4 && strspn(digits, "0123456789") == length && *rate >= 1;
}

const char *outbox_rates_fault(const char *value) {
    char *rest = pstrdup(value);
    uint32 named = 0;

    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        Channel channel;
        int rate;

        if (!read_rate(item, &channel, &rate) || (named & (1u << channel)) != 0 ||
            (channel == CHANNEL_COUNT) != (named == 0))
            return "must be a number from 1 to 9999 for all channels, and others for some behind it, as in 20,sms=1";
        named |= 1u << channel;
    }
    return NULL;
}

int channel_rate(Channel channel) {
    char *rest = pstrdup(setting_text(SETTING_OUTBOX_RATES));
    int found = 0;

    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        Channel of;
        int rate;

        /* set_setting() checked it */
        if (read_rate(item, &of, &rate) && (of == channel || of == CHANNEL_COUNT))
            found = rate;
    }
    return found;
}

int64 outbox_add(Channel channel, const char *purpose, const char *payload,
                 const DeliveryRefs *refs) {
    Datum args[7] = {CStringGetTextDatum(names[channel]),
                     CStringGetTextDatum(purpose),
                     CStringGetTextDatum(payload ? payload : "{}"),
                     Int64GetDatum(refs->image_id),
                     Int64GetDatum(refs->visit_id),
                     Int64GetDatum(refs->user_id),
                     Int64GetDatum(refs->webhook_id)};

    return query_write(&delivery_insert, args, NULL) > 0 ? row_int64(0, 1) : 0;
}

void outbox_add_image(int64 image_id) {
    DeliveryRefs refs = {.image_id = image_id};
    Channel channel;

    if (channel_find(setting_text(SETTING_IMAGE_STORE), &channel))
        outbox_add(channel, "image", NULL, &refs);
}

void outbox_remove_images(Datum images) {
    query_write(&deliveries_hold, &images, NULL);
    query_write(&images_remove, &images, NULL);
}

void outbox_erase(int64 patient_id) {
    Datum args[1] = {Int64GetDatum(patient_id)};

    query_write(&messages_erase, args, NULL);
}

uint64 outbox_purge(int32 limit) {
    Datum args[2] = {Int32GetDatum(setting_int(SETTING_OUTBOX_DEAD_HOURS))};

    query_write(&deliveries_give_up, args, NULL);
    args[0] = Int32GetDatum(setting_int(SETTING_OUTBOX_KEEP_DAYS));
    args[1] = Int32GetDatum(limit);
    return query_write(&deliveries_purge, args, NULL);
}

void outbox_retry(int64 id) {
    Datum args[1] = {Int64GetDatum(id)};
    char *state;

    if (query_write(&delivery_lock, args, NULL) == 0)
        error_not_found("delivery", psprintf(INT64_FORMAT, id));
    state = row_text(0, 1);
    if (strcmp(state, "done") == 0 || strcmp(state, "sending") == 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg(strcmp(state, "done") == 0 ? "the delivery is done"
                                                  : "the delivery is being sent"),
                errhint("Only one that failed, waits or was given up can be tried again."));
    query_write(&delivery_retry, args, NULL);
    written = true;
}

void outbox_append_gauges(StringInfo out) {
    uint64 rows = query_read(&outbox_gauges, NULL, NULL);

    appendStringInfoString(
        out,
        "# HELP clinicq_outbox_deliveries Deliveries that are not done, by channel and state.\n"
        "# TYPE clinicq_outbox_deliveries gauge\n");
    for (uint64 row = 0; row < rows; row++)
        appendStringInfo(
            out, "clinicq_outbox_deliveries{channel=\"%s\",state=\"%s\"} " INT64_FORMAT "\n",
            row_text(row, 1), row_text(row, 2), row_int64(row, 3));
    appendStringInfoString(out, "# HELP clinicq_outbox_oldest_seconds Age of the oldest of them.\n"
                                "# TYPE clinicq_outbox_oldest_seconds gauge\n");
    for (uint64 row = 0; row < rows; row++)
        if (strcmp(row_text(row, 2), "dead") != 0)
            appendStringInfo(
                out,
                "clinicq_outbox_oldest_seconds{channel=\"%s\",state=\"%s\"} " INT64_FORMAT "\n",
                row_text(row, 1), row_text(row, 2), row_int64(row, 4));
}

/* --- by hand --------------------------------------------------------------------------------- */

static void check_address(Fields *fields, const char *field,
                          const char *(*fault_of)(const char *) ) {
    char *value;
    const char *fault;

    if (field_given(fields, field, &value, true) &&
        (fault = *value != '\0' ? fault_of(value) : "must not be empty") != NULL)
        faults_add(fields->faults, field, "%s", fault);
}

static void check_text(Fields *fields, const char *field, int max) {
    char *value;

    if (field_given(fields, field, &value, true) && (*value == '\0' || pg_mbstrlen(value) > max))
        faults_add(fields->faults, field, "must have 1 to %d characters", max);
}

static int64 check_id(Fields *fields, const char *field) {
    int64 id = 0;
    FieldState state = field_int64(fields, field, &id);

    if (state == FIELD_ABSENT || state == FIELD_NULL)
        faults_add(fields->faults, field, "is required");
    return id;
}

/* Checks the payload, and finds what it refers to. */
static void check_payload(Channel channel, Fields *fields, DeliveryRefs *refs) {
    Datum args[1];

    switch (channel) {
    case CHANNEL_SMS:
        check_address(fields, "to", address_number_fault);
        check_text(fields, "body", 1600);
        break;
    case CHANNEL_EMAIL:
        check_address(fields, "to", address_email_fault);
        check_text(fields, "subject", 200);
        check_text(fields, "body", BODY_MAX);
        break;
    case CHANNEL_WEBHOOK:
        refs->webhook_id = check_id(fields, "webhook");
        check_text(fields, "type", 100);
        break;
    default:
        refs->image_id = check_id(fields, "prescription");
    }
    faults_raise(fields->faults);
    if (refs->image_id != 0) {
        args[0] = Int64GetDatum(refs->image_id);
        if (query_write(&prescription_image, args, NULL) == 0)
            error_not_found("prescription", psprintf(INT64_FORMAT, refs->image_id));
        refs->image_id = row_int64(0, 1);
    }
    args[0] = Int64GetDatum(refs->webhook_id);
    if (refs->webhook_id != 0 && query_write(&webhook_exists, args, NULL) == 0)
        error_not_found("webhook", psprintf(INT64_FORMAT, refs->webhook_id));
}

Datum clinicq_enqueue_delivery(PG_FUNCTION_ARGS) {
    Fields fields;
    DeliveryRefs refs = {0};
    Channel channel;
    char *payload;
    int64 id;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "channel");
    ARG_REQUIRE(1, "payload");
    fields = (Fields){.object = PG_GETARG_JSONB_P(1), .faults = faults_new()};
    if (!channel_find(ARG_CSTRING(0), &channel))
        faults_add(fields.faults, "channel", "must be one of: drive, s3, sms, email, webhook");
    else if (!channel_is_on(channel))
        faults_add(fields.faults, "channel", "is not set up: see %s_... in clinicq.settings()",
                   names[channel]);
    payload = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(1)));
    if (!JB_ROOT_IS_OBJECT(fields.object))
        faults_add(fields.faults, "payload", "must be an object");
    else if (strlen(payload) > PAYLOAD_MAX)
        faults_add(fields.faults, "payload", "must have at most %d bytes", PAYLOAD_MAX);
    faults_raise(fields.faults);
    SPI_connect();
    check_payload(channel, &fields, &refs);
    id = outbox_add(channel, refs.image_id != 0 ? "image" : "manual",
                    refs.image_id != 0 ? NULL : payload, &refs);
    SPI_finish();
    if (id == 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the image is in the outbox for %s already", names[channel]),
                errhint("clinicq.retry_delivery() tries one again that was given up."));
    PG_RETURN_INT64(id);
}

Datum clinicq_retry_delivery(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "delivery");
    SPI_connect();
    outbox_retry(PG_GETARG_INT64(0));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_dead_deliveries(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    uint64 rows;

    actor_require(ROLE_ADMIN);
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    rows = query_read(&deliveries_dead, NULL, NULL);
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[7];
        bool nulls[7];

        row_values(row, columns, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}

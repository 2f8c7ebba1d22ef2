#include "message.h"

#include "clock.h"
#include "daily_summary.h"
#include "feed.h"
#include "json.h"
#include "message_template.h"
#include "outbox.h"
#include "password_reset.h"
#include "priority.h"
#include "query.h"
#include "setting.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "visit.h"
#include "webhook_events.h"

/* The events that just got their places, by index whatever the planner reckons. */
#define PLACED                                                          \
    "(SELECT o.visit_id, o.move, o.position FROM clinicq.visit_event o" \
    " WHERE o.position > $1 ORDER BY o.position LIMIT " CppAsString2(FEED_PLACED_ONCE) ")"

/* What most of the time is all: whether anybody is told of anything. One plan for whatever
 * position: making one takes longer than the look. */
QUERY_OPTIONS(message_look, CURSOR_OPT_GENERIC_PLAN,
              "SELECT EXISTS (SELECT FROM clinicq.webhook),"
              " EXISTS (SELECT FROM clinicq.visit_contact WHERE service_day = ANY ($1))",
              DATEARRAYOID);
QUERY_OPTIONS(message_called, CURSOR_OPT_GENERIC_PLAN,
              "SELECT e.visit_id, c.channel FROM " PLACED " AS e"
              " JOIN clinicq.visit_contact c ON c.visit_id = e.visit_id AND c.channel = ANY ($2)"
              " JOIN clinicq.visit v ON v.id = e.visit_id AND v.status = 'START'"
              " WHERE e.move IN ('start', 'announce')"
              " GROUP BY e.visit_id, c.channel ORDER BY min(e.position)",
              INT8OID, TEXTARRAYOID);
/* Queues in which something has happened and somebody waits to be told. */
QUERY_OPTIONS(message_queues, CURSOR_OPT_GENERIC_PLAN,
              "SELECT DISTINCT v.queue_id, q.clinic_id FROM clinicq.visit_contact c"
              " JOIN clinicq.visit v ON v.id = c.visit_id AND v.status = 'WAITING' AND v.queue_id ="
              "  ANY (ARRAY(SELECT n.queue_id FROM " PLACED
              " AS e JOIN clinicq.visit n ON n.id = e.visit_id))"
              " JOIN clinicq.queue q ON q.id = v.queue_id"
              " WHERE c.service_day = ANY ($3) AND c.near_at IS NULL AND c.channel = ANY ($2)",
              INT8OID, TEXTARRAYOID, DATEARRAYOID);
/* One whose row somebody is changing is told when next something happens: the feed waits for
 * nobody. */
#define NEAR                                                                         \
    "(SELECT v.id FROM clinicq.visit v WHERE v.queue_id = $1 AND v.service_day = $2" \
    " AND v.status = 'WAITING' ORDER BY " VISIT_ORDER("$3", "$4") " LIMIT $5)"
QUERY_OPTIONS(message_near, CURSOR_OPT_GENERIC_PLAN,
              "WITH mine AS (SELECT c.visit_id FROM clinicq.visit_contact c"
              "  JOIN " NEAR " AS near ON near.id = c.visit_id"
              "  WHERE c.near_at IS NULL AND c.channel = ANY ($6)"
              "  FOR NO KEY UPDATE OF c SKIP LOCKED)"
              "UPDATE clinicq.visit_contact c SET near_at = now() FROM mine"
              " WHERE c.visit_id = mine.visit_id RETURNING c.visit_id, c.channel",
              INT8OID, DATEOID, INT2ARRAYOID, INT4OID, INT4OID, TEXTARRAYOID);
QUERY(message_visit,
      "SELECT c.channel, c.address, c.language, v.status, q.token_prefix, v.token_number, q.name,"
      " r.name, s.name, q.clinic_id, v.service_day, v.queue_id"
      " FROM clinicq.visit_contact c JOIN clinicq.visit v ON v.id = c.visit_id"
      " JOIN clinicq.queue q ON q.id = v.queue_id JOIN clinicq.clinic s ON s.id = q.clinic_id"
      " LEFT JOIN clinicq.room r ON r.id = v.room_id WHERE c.visit_id = $1",
      INT8OID);
#define PLACES                                                \
    "(SELECT v.id, row_number() OVER (ORDER BY " VISIT_ORDER( \
        "$3",                                                 \
        "$4") ") AS place"                                    \
              " FROM clinicq.visit v WHERE v.queue_id = $1 AND v.service_day = $2 AND v.status = 'WAITING')"
QUERY(message_place, "SELECT o.place FROM " PLACES " AS o WHERE o.id = $5", INT8OID, DATEOID,
      INT2ARRAYOID, INT4OID, INT8OID);

/* By which a message could go now, as text[]; 0 for none. */
static Datum channels_on(void) {
    static const Channel channels[] = {CHANNEL_SMS, CHANNEL_EMAIL};
    Datum names[lengthof(channels)];
    int count = 0;

    for (int i = 0; i < lengthof(channels); i++)
        if (channel_is_on(channels[i]))
            names[count++] = CStringGetTextDatum(channel_name(channels[i]));
    if (count == 0)
        return (Datum) 0;
    return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A message to each of rows of (visit, channel); which channel it was is kept, for the contact may
 * change. */
static void add_rows(const char *purpose, uint64 rows) {
    int64 *visits = palloc((rows + 1) * sizeof *visits);
    char **channels = palloc((rows + 1) * sizeof *channels);

    for (uint64 row = 0; row < rows; row++) {
        visits[row] = row_int64(row, 1);
        channels[row] = row_text(row, 2);
    }
    for (uint64 row = 0; row < rows; row++) {
        Channel channel;

        if (channel_find(channels[row], &channel))
            outbox_add(channel, purpose, psprintf("{\"channel\":\"%s\"}", channels[row]),
                       &(DeliveryRefs){.visit_id = visits[row]});
    }
}

static void add_near(int64 queue_id, int64 clinic_id, Datum channels) {
    Datum args[6] = {Int64GetDatum(queue_id), DateADTGetDatum(clock_today(clinic_id))};

    priority_ageing(clinic_id, &args[2], &args[3]);
    args[4] = Int32GetDatum(setting_int(SETTING_NEAR_PLACES));
    args[5] = channels;
    add_rows("turn_near", query_write(&message_near, args, NULL));
}

static void add_messages(int64 after, Datum days) {
    Datum args[3] = {Int64GetDatum(after), channels_on(), days};
    int64(*queues)[2];
    uint64 count;

    if (args[1] == (Datum) 0)
        return;
    add_rows("room", query_write(&message_called, args, NULL));
    count = query_write(&message_queues, args, NULL);
    queues = palloc((count + 1) * sizeof *queues);
    for (uint64 row = 0; row < count; row++) {
        queues[row][0] = row_int64(row, 1);
        queues[row][1] = row_int64(row, 2);
    }
    for (uint64 row = 0; row < count; row++)
        add_near(queues[row][0], queues[row][1], args[1]);
}

void messages_add(int64 after) {
    Datum clinics;
    Datum days;
    bool webhooks;
    bool contacts;

    clock_todays(&clinics, &days);
    query_write(&message_look, &days, NULL);
    webhooks = row_bool(0, 1);
    contacts = row_bool(0, 2);
    if (webhooks)
        webhook_events_add(after);
    if (contacts)
        add_messages(after, days);
}

void summaries_add(void) {
    daily_summaries_add();
}

static bool withhold(const char **reason, const char *why) {
    *reason = why;
    return false;
}

/* The text of a member of a payload, NULL where there is none. */
static char *member(const char *payload, const char *name) {
    Jsonb *object = DatumGetJsonbP(
        DirectFunctionCall1(jsonb_in, CStringGetDatum(payload != NULL ? payload : "{}")));
    JsonbValue value;

    if (!JB_ROOT_IS_OBJECT(object) ||
        getKeyJsonValueFromContainer(&object->root, name, (int) strlen(name), &value) == NULL ||
        value.type != jbvString)
        return NULL;
    return pnstrdup(value.val.string.val, value.val.string.len);
}

/* The place of a visit in its queue now; "" where it does not wait. */
static char *place_of(int64 visit_id, int64 queue_id, int64 clinic_id) {
    Datum args[5] = {Int64GetDatum(queue_id), DateADTGetDatum(clock_today(clinic_id))};

    priority_ageing(clinic_id, &args[2], &args[3]);
    args[4] = Int64GetDatum(visit_id);
    return query_write(&message_place, args, NULL) > 0 ? psprintf(INT64_FORMAT, row_int64(0, 1))
                                                       : "";
}

/* What a message says is true when it is sent, or it is not sent. */
static bool append_of_visit(StringInfo work, const char *purpose, int64 visit_id,
                            const char *payload, const char **reason) {
    enum { TOKEN, QUEUE, ROOM, CLINIC, PLACE, END };
    Placeholder values[] = {[TOKEN] = {"token"},   [QUEUE] = {"queue"}, [ROOM] = {"room"},
                            [CLINIC] = {"clinic"}, [PLACE] = {"place"}, [END] = {NULL}};
    Datum args[1] = {Int64GetDatum(visit_id)};
    bool near = strcmp(purpose, "turn_near") == 0;
    char *wanted = member(payload, "channel");
    char *channel;
    char *language;
    int64 clinic_id;

    if (query_write(&message_visit, args, NULL) == 0)
        return withhold(reason, "the patient is not to be told any more");
    channel = row_text(0, 1);
    language = row_text(0, 3);
    clinic_id = row_int64(0, 10);
    if (wanted == NULL || strcmp(wanted, channel) != 0)
        return withhold(reason, "the patient is to be told in another way");
    if (strcmp(row_text(0, 4), near ? "WAITING" : "START") != 0)
        return withhold(reason, "the visit has moved on");
    if (row_int32(0, 11) != clock_today(clinic_id))
        return withhold(reason, "the day of the visit is over");
    json_text(work, "to", row_text(0, 2));
    values[TOKEN].value = visit_token_text(row_text(0, 5), row_int32(0, 6));
    values[QUEUE].value = row_text(0, 7);
    values[ROOM].value = row_text(0, 8);
    values[CLINIC].value = row_text(0, 9);
    if (near)
        values[PLACE].value = place_of(visit_id, row_int64(0, 12), clinic_id);
    else if (values[ROOM].value == NULL)
        purpose = "desk";
    if (!template_append(work, purpose, channel, language, values))
        return withhold(reason, "there is no text for it");
    return true;
}

bool message_append_work(StringInfo work, const char *purpose, int64 visit_id, int64 user_id,
                         const char *payload, const char **reason) {
    if (strcmp(purpose, "turn_near") == 0 || strcmp(purpose, "room") == 0)
        return append_of_visit(work, purpose, visit_id, payload, reason);
    if (strcmp(purpose, "password_reset") == 0)
        return password_reset_append_work(work, user_id, member(payload, "reset"), reason);
    if (strcmp(purpose, "daily_summary") == 0)
        return daily_summary_append_work(work, user_id, payload, reason);
    return withhold(reason, "there is no such message");
}

#include "daily_summary.h"

#include "clock.h"
#include "json.h"
#include "message_template.h"
#include "outbox.h"
#include "query.h"
#include "setting.h"
#include "utils/array.h"
#include "visit.h"

#define YESTERDAYS "unnest($1::bigint[], $2::date[]) AS today (clinic_id, day)"

QUERY(summaries_due,
      "SELECT FROM " YESTERDAYS " WHERE NOT EXISTS (SELECT FROM clinicq.daily_summary d"
      " WHERE d.clinic_id = today.clinic_id AND d.service_day = today.day - 1) LIMIT 1",
      INT8ARRAYOID, DATEARRAYOID);
QUERY(summaries_insert,
      "INSERT INTO clinicq.daily_summary (clinic_id, service_day)"
      " SELECT today.clinic_id, today.day - 1 FROM " YESTERDAYS " ON CONFLICT DO NOTHING"
      " RETURNING json_build_object('clinic', clinic_id, 'day', service_day)::text",
      INT8ARRAYOID, DATEARRAYOID);
QUERY(summary_readers,
      "SELECT id FROM clinicq.app_user WHERE 'admin' = ANY (roles) AND disabled_at IS NULL"
      " AND email IS NOT NULL ORDER BY id");
QUERY(summary_reader,
      "SELECT u.email, s.name, $2::jsonb ->> 'day' FROM clinicq.app_user u, clinicq.clinic s"
      " WHERE u.id = $1 AND 'admin' = ANY (u.roles) AND u.disabled_at IS NULL"
      " AND u.email IS NOT NULL AND s.id = ($2::jsonb ->> 'clinic')::bigint",
      INT8OID, TEXTOID);
QUERY(summary_queues,
      "SELECT q.name, s.visits, s.done, s.no_show, s.cancelled, s.transferred,"
      " s.waiting + s.started + s.in_room + s.held, s.closed_by_system,"
      " round(((SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY w)"
      "  FROM unnest(s.first_waits) AS w) / 60)::numeric)::integer"
      " FROM clinicq_report.every_visit_summary s JOIN clinicq.queue q ON q.id = s.queue_id"
      " WHERE q.clinic_id = ($1::jsonb ->> 'clinic')::bigint"
      " AND s.service_day = ($1::jsonb ->> 'day')::date ORDER BY q.name, q.id",
      TEXTOID);
QUERY(summary_dead, "SELECT count(*) FROM clinicq.outbox WHERE state = 'dead'");

static void tell_readers(char **days, uint64 count) {
    uint64 readers = query_write(&summary_readers, NULL, NULL);
    int64 *ids = palloc((readers + 1) * sizeof *ids);

    for (uint64 i = 0; i < readers; i++)
        ids[i] = row_int64(i, 1);
    for (uint64 day = 0; day < count; day++)
        for (uint64 i = 0; i < readers; i++)
            outbox_add(CHANNEL_EMAIL, "daily_summary", days[day],
                       &(DeliveryRefs){.user_id = ids[i]});
}

void daily_summaries_add(void) {
    Datum args[2];
    char **days;
    uint64 count;

    if (!setting_is(SETTING_DAILY_SUMMARY, "on") || !channel_is_on(CHANNEL_EMAIL) ||
        !query_may_write())
        return;
    clock_todays(&args[0], &args[1]);
    if (query_write(&summaries_due, args, NULL) == 0)
        return;
    visit_close_earlier_of_all(); /* so that the day is as it stays */
    count = query_write(&summaries_insert, args, NULL);
    days = palloc((count + 1) * sizeof *days);
    for (uint64 i = 0; i < count; i++)
        days[i] = row_text(i, 1);
    tell_readers(days, count);
}

static void append_count(StringInfo out, int64 count, const char *what) {
    if (count > 0)
        appendStringInfo(out, ", " INT64_FORMAT " %s", count, what);
}

static void append_queue(StringInfo out, uint64 row) {
    int32 visits = row_int32(row, 2);

    appendStringInfo(out, "%s: %d visit%s", row_text(row, 1), visits, visits == 1 ? "" : "s");
    append_count(out, row_int32(row, 3), "seen");
    append_count(out, row_int32(row, 4), "not come");
    append_count(out, row_int32(row, 5), "cancelled");
    append_count(out, row_int32(row, 6), "gone on in another queue");
    append_count(out, row_int32(row, 7), "open still");
    append_count(out, row_int32(row, 8), "of these closed when the day was over");
    if (!row_isnull(row, 9))
        appendStringInfo(out, ". Median wait until the first call: %d min", row_int32(row, 9));
    appendStringInfoString(out, ".\n");
}

/* Counts by queue; no patient is in it. */
static char *summary_of(const char *payload) {
    Datum args[1] = {CStringGetTextDatum(payload)};
    uint64 queues = query_write(&summary_queues, args, NULL);
    StringInfoData out;

    initStringInfo(&out);
    for (uint64 row = 0; row < queues; row++)
        append_queue(&out, row);
    if (queues == 0)
        appendStringInfoString(&out, "No visits.\n");
    query_write(&summary_dead, NULL, NULL);
    if (row_int64(0, 1) > 0)
        appendStringInfo(&out,
                         "\nDeliveries to the outside that were given up: " INT64_FORMAT
                         ". clinicq.dead_deliveries() lists them.\n",
                         row_int64(0, 1));
    return out.data;
}

bool daily_summary_append_work(StringInfo work, int64 user_id, const char *payload,
                               const char **reason) {
    Datum args[2] = {Int64GetDatum(user_id), CStringGetTextDatum(payload)};
    Placeholder values[] = {{"clinic"}, {"day"}, {"summary"}, {NULL}};

    *reason = "the user is no administrator with an e-mail address any more";
    if (query_write(&summary_reader, args, NULL) == 0)
        return false;
    json_text(work, "to", row_text(0, 1));
    values[0].value = row_text(0, 2);
    values[1].value = row_text(0, 3);
    values[2].value = summary_of(payload);
    *reason = "there is no text for it";
    return template_append(work, "daily_summary", "email", "en", values);
}

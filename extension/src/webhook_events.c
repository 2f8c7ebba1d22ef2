#include "webhook_events.h"

#include "feed.h"
#include "json.h"
#include "query.h"
#include "utils/array.h"
#include "utils/snapmgr.h"

/* Of one that somebody is removing nobody waits for the end: it is told nothing more. */
QUERY(webhooks_told, "SELECT id, moves, queues FROM clinicq.webhook"
                     " ORDER BY id FOR KEY SHARE SKIP LOCKED");

QUERY(webhook_deliveries,
      "INSERT INTO clinicq.outbox (channel, purpose, payload, webhook_id)"
      " SELECT 'webhook', 'visit', e.payload::jsonb, $2"
      " FROM unnest($1::text[]) WITH ORDINALITY AS e (payload, n) ORDER BY e.n",
      TEXTARRAYOID, INT8OID);

typedef struct Webhook {
    int64 id;
    Datum *moves, *queues;
    int move_count, queue_count; /* 0: all */
} Webhook;

typedef struct Told {
    char *move;
    int64 queue_id;
    Datum payload;
} Told;

static int read_webhooks(Webhook **webhooks) {
    int count = (int) query_write(&webhooks_told, NULL, NULL);

    *webhooks = palloc0((count + 1) * sizeof **webhooks);
    for (int i = 0; i < count; i++) {
        Webhook *webhook = &(*webhooks)[i];
        bool isnull;

        webhook->id = row_int64(i, 1);
        deconstruct_array(DatumGetArrayTypePCopy(row_value(i, 2, &isnull)), TEXTOID, -1, false,
                          TYPALIGN_INT, &webhook->moves, NULL, &webhook->move_count);
        deconstruct_array(DatumGetArrayTypePCopy(row_value(i, 3, &isnull)), INT8OID, 8,
                          FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &webhook->queues, NULL,
                          &webhook->queue_count);
    }
    return count;
}

/* Without name and number of the patient: whoever has to know asks with an account. */
static Datum payload_of(uint64 row, const char *move) {
    StringInfoData json;

    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_text(&json, "type", psprintf("visit.%s", move));
    json_key(&json, "data");
    feed_append_event(&json, row, FEED_FOR_OTHERS);
    appendStringInfoChar(&json, '}');
    return CStringGetTextDatum(json.data);
}

static int read_events(int64 after, Told **events) {
    int count;

    PushActiveSnapshot(GetTransactionSnapshot()); /* in which they have their places */
    count = (int) feed_read(after, PG_INT64_MAX, 0, FEED_PLACED_ONCE);
    *events = palloc0((count + 1) * sizeof **events);
    for (int i = 0; i < count; i++) {
        (*events)[i].move = feed_move(i);
        (*events)[i].queue_id = feed_queue_id(i);
        (*events)[i].payload = payload_of(i, (*events)[i].move);
    }
    PopActiveSnapshot();
    return count;
}

static bool is_told(const Webhook *webhook, const Told *event) {
    bool move = webhook->move_count == 0;
    bool queue = webhook->queue_count == 0;

    for (int i = 0; i < webhook->move_count && !move; i++)
        move = strcmp(TextDatumGetCString(webhook->moves[i]), event->move) == 0;
    for (int i = 0; i < webhook->queue_count && !queue; i++)
        queue = DatumGetInt64(webhook->queues[i]) == event->queue_id;
    return move && queue;
}

/* All that one is told, by one statement. */
static void tell(const Webhook *webhook, const Told *events, int count) {
    Datum *payloads = palloc((count + 1) * sizeof *payloads);
    Datum args[2] = {(Datum) 0, Int64GetDatum(webhook->id)};
    int told = 0;

    for (int i = 0; i < count; i++)
        if (is_told(webhook, &events[i]))
            payloads[told++] = events[i].payload;
    if (told > 0) {
        args[0] =
            PointerGetDatum(construct_array(payloads, told, TEXTOID, -1, false, TYPALIGN_INT));
        query_write(&webhook_deliveries, args, NULL);
    }
}

void webhook_events_add(int64 after) {
    Webhook *webhooks;
    Told *events;
    int webhook_count = read_webhooks(&webhooks);
    int event_count = webhook_count > 0 ? read_events(after, &events) : 0;

    for (int w = 0; w < webhook_count; w++)
        tell(&webhooks[w], events, event_count);
}

/*
 * feed_api.c: GET /api/queues/{id}/events and /api/board/events. The reply is what a stream of
 * Server-Sent Events begins with; its headers tell the shim where in the feed that is, and which
 * events belong to what follows.
 */
#include "postgres.h"

#include "actor.h"
#include "error.h"
#include "feed.h"
#include "fields.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "utils/json.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(clinicq_api_queue_events);
PG_FUNCTION_INFO_V1(clinicq_api_board_events);

#define REPLAY_MAX 1000

QUERY(feed_queue, "SELECT FROM clinicq.queue WHERE id = $1", INT8OID);

static void append_head(StringInfo out, int64 position, const char *event) {
    appendStringInfo(out, "id: " INT64_FORMAT "\nevent: %s\ndata: ", position, event);
}

/*
 * What has no position yet gets one first, and position and visits are read under one snapshot: so
 * it is rare that what a snapshot shows comes as an event again.
 */
static int64 append_snapshot(StringInfo out, int64 queue_id, FeedView view) {
    uint64 rows;
    int64 last;

    feed_place_all();
    PushActiveSnapshot(GetTransactionSnapshot());
    last = feed_last();
    append_head(out, last, "snapshot");
    appendStringInfoChar(out, '{');
    json_int(out, "position", last);
    json_key(out, "visits");
    appendStringInfoChar(out, '[');
    rows = feed_read_open(queue_id);
    for (uint64 row = 0; row < rows; row++)
        feed_append_visit(out, row, view);
    appendStringInfoString(out, "]}\n\n");
    PopActiveSnapshot();
    return last;
}

/* False where a snapshot has to be sent. */
static bool append_replay(StringInfo out, int64 after, int64 last, int64 queue_id, FeedView view) {
    uint64 rows;

    if (!feed_reaches(after, last))
        return false;
    rows = feed_read(after, last, queue_id, REPLAY_MAX + 1);
    if (rows > REPLAY_MAX)
        return false;
    for (uint64 row = 0; row < rows; row++) {
        append_head(out, feed_position(row), "visit");
        feed_append_event(out, row, view);
        appendStringInfoString(out, "\n\n");
    }
    return true;
}

/* SPI is connected, and finished here: the reply is made behind it, and the texts in front of it.
 */
static Datum events_reply(FunctionCallInfo fcinfo, int64 queue_id, StringInfo lines,
                          StringInfo body) {
    StringInfo headers;
    char *given = query_text(fields_of_query(fcinfo), "last_event_id");
    FeedView view = actor_roles() & ROLES_CARE ? FEED_FOR_STAFF : FEED_FOR_DISPLAYS;
    int64 last = feed_last();
    int64 after;

    if (given == NULL || !parse_int64(given, &after) ||
        !append_replay(lines, after, last, queue_id, view))
        last = append_snapshot(lines, queue_id, view);
    SPI_finish();
    escape_json(body, lines->data);
    headers = makeStringInfo();
    appendStringInfo(headers,
                     "{\"Content-Type\":\"text/event-stream\",\"Feed-Position\":\"" INT64_FORMAT
                     "\",\"Feed-Topic\":\"" INT64_FORMAT "\",\"Feed-View\":\"%s\"}",
                     last, queue_id, view == FEED_FOR_STAFF ? "staff" : "display");
    return reply(200, body, headers);
}

Datum clinicq_api_queue_events(PG_FUNCTION_ARGS) {
    StringInfo lines = makeStringInfo();
    StringInfo body = makeStringInfo();
    int64 queue_id;
    Datum args[1];

    actor_require(ROLES_BOARD);
    queue_id = path_id(fcinfo, 0, "queue");
    SPI_connect();
    args[0] = Int64GetDatum(queue_id);
    if (query_read(&feed_queue, args, NULL) == 0)
        error_not_found("queue", path_text(fcinfo, 0));
    return events_reply(fcinfo, queue_id, lines, body);
}

Datum clinicq_api_board_events(PG_FUNCTION_ARGS) {
    StringInfo lines = makeStringInfo();
    StringInfo body = makeStringInfo();

    actor_require(ROLES_BOARD);
    SPI_connect();
    return events_reply(fcinfo, 0, lines, body);
}

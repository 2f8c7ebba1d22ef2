/*
 * follow.c: a patient follows the own visit by the code on the slip, without log-in.
 */
#include "postgres.h"

#include "clock.h"
#include "error.h"
#include "estimate.h"
#include "fields.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_api_follow_visit);

#define CODE_DIGITS 32

/* $1 code, $2 and $3 clinics and their days today. A transferred visit leads to the one it goes on
 * in. */
QUERY(follow_visit,
      "WITH RECURSIVE chain AS ("
      " SELECT v.id, v.transferred_to FROM clinicq.visit v WHERE sha256(v.follow_code) = sha256($1)"
      " UNION ALL SELECT n.id, n.transferred_to FROM chain c"
      "  JOIN clinicq.visit n ON n.id = c.transferred_to)"
      "SELECT v.id, v.queue_id, q.token_prefix, v.token_number, v.status, r.name FROM chain c"
      " JOIN clinicq.visit v ON v.id = c.id JOIN clinicq.queue q ON q.id = v.queue_id"
      " JOIN unnest($2::bigint[], $3::date[]) AS today (clinic_id, day)"
      "  ON today.clinic_id = q.clinic_id AND today.day = v.service_day"
      " LEFT JOIN clinicq.room r ON r.id = v.room_id WHERE c.transferred_to IS NULL",
      BYTEAOID, INT8ARRAYOID, DATEARRAYOID);

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of a code; of what is none, other bytes, which no visit has either. */
static Datum read_code(const char *digits) {
    bytea *code = palloc0(VARHDRSZ + CODE_DIGITS / 2);
    bool good = strlen(digits) == CODE_DIGITS;

    SET_VARSIZE(code, VARHDRSZ + CODE_DIGITS / 2);
    for (int i = 0; good && i < CODE_DIGITS; i++) {
        int digit = hex_digit(digits[i]);

        good = digit >= 0;
        VARDATA(code)[i / 2] = (char) ((unsigned char) VARDATA(code)[i / 2] << 4 | (digit & 0xf));
    }
    if (!good)
        SET_VARSIZE(code, VARHDRSZ);
    return PointerGetDatum(code);
}

Datum clinicq_api_follow_visit(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Datum args[3];
    Estimate estimate;
    int64 visit_id;
    int64 queue_id;
    int place = -1;

    SPI_connect();
    args[0] = read_code(path_text(fcinfo, 0));
    clock_todays(&args[1], &args[2]);
    if (query_read(&follow_visit, args, NULL) == 0)
        error_none("A code holds on the day of its slip.", "no visit of today with this code");
    visit_id = row_int64(0, 1);
    queue_id = row_int64(0, 2);
    appendStringInfoChar(json, '{');
    json_text(json, "token", visit_token_text(row_text(0, 3), row_int32(0, 4)));
    json_text(json, "status", row_text(0, 5));
    json_text(json, "room", row_text(0, 6));
    if (!estimate_queue(queue_id, &estimate))
        estimate = (Estimate){.reason = "the queue is closed"};
    for (int i = 0; i < estimate.count; i++)
        if (estimate.waits[i].visit_id == visit_id)
            place = i;
    if (place >= 0)
        json_int(json, "place", place + 1);
    else
        appendStringInfoString(json, ",\"place\":null");
    estimate_append_range(json, &estimate, place);
    json_text(json, "reason", place >= 0 ? estimate.reason : NULL);
    json_text(json, "last_called", estimate.last_called);
    appendStringInfoChar(json, '}');
    SPI_finish();
    return reply(200, json, NULL);
}

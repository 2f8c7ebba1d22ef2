/*
 * event_line.h: an event as the one line of JSON that is hashed and exported; AUDIT-FORMAT.md.
 */
#ifndef CQ_EVENT_LINE_H
#define CQ_EVENT_LINE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* The columns of clinicq.audit_event, from 0 on. */
enum {
    EVENT_ID,
    EVENT_AT,
    EVENT_TRANSACTION_ID,
    EVENT_ACTOR_ID,
    EVENT_ACTOR_NAME,
    EVENT_ROLES,
    EVENT_DOOR,
    EVENT_CLIENT,
    EVENT_REQUEST_ID,
    EVENT_ACTION,
    EVENT_ENTITY,
    EVENT_ENTITY_ID,
    EVENT_CHANGES,
    EVENT_OUTCOME,
    EVENT_COLUMN_COUNT
};
/* The same in SQL. */
#define EVENT_COLUMNS                                                                    \
    "e.id, e.at, e.transaction_id, e.actor_id, e.actor_name, e.roles, e.door, e.client," \
    " e.request_id, e.action, e.entity, e.entity_id, e.changes, e.outcome"

/* Appends the line of an event, given by its EVENT_COLUMNS. One that is still being counted, and is
 * never hashed, has neither id nor transaction. */
extern void event_line(StringInfo line, const Datum *values, const bool *nulls);

/* "at": in UTC, with six digits of a second, whatever the time. */
extern void line_instant(StringInfo line, const char *key, TimestampTz at);

#endif

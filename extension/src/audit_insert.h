/*
 * audit_insert.h: one row into clinicq.audit_event, without SQL.
 *
 * The trigger is in the way of every writer, and the executor's set-up for a statement on a
 * partitioned table costs more than the row. So the row goes straight to its partition and that
 * one's indexes. Constraints are not looked at: the callers give what they ask for. Triggers on
 * INSERT do not fire.
 */
#ifndef CQ_AUDIT_INSERT_H
#define CQ_AUDIT_INSERT_H

#include "postgres.h"

/* The columns of clinicq.audit_event, from 0 on. */
enum {
    EVENT_ID, /* filled in here */
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
    EVENT_COLUMNS
};

/* Returns the id of the event. */
extern int64 audit_insert(Datum values[EVENT_COLUMNS], bool nulls[EVENT_COLUMNS]);

#endif

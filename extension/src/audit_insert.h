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

#include "event_line.h"

/* Returns the id of the event, which is filled in. */
extern int64 audit_insert(Datum values[EVENT_COLUMN_COUNT], bool nulls[EVENT_COLUMN_COUNT]);

#endif

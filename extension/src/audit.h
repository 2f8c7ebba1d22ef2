/*
 * audit.h: events that are no change of a row.
 */
#ifndef CQ_AUDIT_H
#define CQ_AUDIT_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Which event it is. */
typedef struct AuditKey {
    TimestampTz at;
    int64 id;
} AuditKey;

/*
 * Writes an event by the present actor. id 0: of nobody known. outcome: done, failed, or what was
 * done. Between SPI_connect and SPI_finish.
 */
extern void audit_event(const char *action, const char *entity, int64 id, const char *outcome);

/* The same with details, a JSON object, as its changes. */
extern AuditKey audit_event_with(const char *action, const char *entity, int64 id,
                                 const char *detail, const char *outcome);

#endif

/*
 * audit_history.h: reading the audit log. Between SPI_connect and SPI_finish.
 */
#ifndef CQ_AUDIT_HISTORY_H
#define CQ_AUDIT_HISTORY_H

#include "postgres.h"

#include "event_line.h"
#include "query.h"

/* The arguments of a query of events; each is $n with n one more. All but FILTER_SCANNED may be
 * null. */
typedef enum EventFilter {
    FILTER_MASKED,  /* whether changes of restricted patients are kept back, but of */
    FILTER_VISIBLE, /* those whom the actor may see */
    FILTER_FROM,
    FILTER_TO,
    FILTER_BEFORE, /* what comes before this time and id */
    FILTER_BEFORE_ID,
    FILTER_ACTOR,
    FILTER_ACTION,
    FILTER_ENTITY,
    FILTER_ENTITY_ID,
    FILTER_OUTCOME,
    FILTER_DOOR,
    FILTER_CLIENT,
    FILTER_REQUEST_ID,
    FILTER_PATIENT, /* of one patient: the keys of all that belongs to the record */
    FILTER_VISITS,
    FILTER_ACCESSES,
    FILTER_NUMBERS,
    FILTER_KEYS,    /* one of these stands in entity_id */
    FILTER_LIMIT,   /* rows */
    FILTER_SCANNED, /* events that are looked at */
    FILTER_COUNT
} EventFilter;

#define FILTER_TYPES                                                                          \
    BOOLOID, INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TEXTOID,  \
        TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INETOID, TEXTOID, TEXTOID, TEXTARRAYOID, \
        TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8OID, INT8OID

/* EVENT_COLUMNS as the actor may see them: searches too tell of patients, and how to reach them. */
#define EVENT_COLUMNS_SHOWN                                                               \
    "e.id, e.at, e.transaction_id, e.actor_id, e.actor_name, e.roles, e.door, e.client,"  \
    " e.request_id, e.action, e.entity, e.entity_id,"                                     \
    " CASE WHEN $1 AND (e.entity = 'patient' AND (e.entity_id IS NULL OR EXISTS (SELECT"  \
    "  FROM clinicq.patient p WHERE p.id = e.entity_id::bigint AND " EVENT_KEPT_BACK "))" \
    "  OR e.entity = 'visit_contact' AND EXISTS (SELECT FROM clinicq.visit v"             \
    "  JOIN clinicq.patient p ON p.id = v.patient_id"                                     \
    "  WHERE v.id = e.entity_id::bigint AND " EVENT_KEPT_BACK "))"                        \
    "  THEN NULL ELSE e.changes END, e.outcome"
#define EVENT_KEPT_BACK "p.restricted AND (p.id = ANY ($2)) IS NOT TRUE"

#define EVENT_IN_BOUNDS                                                     \
    "e.at >= coalesce($3, '-infinity') AND e.at < coalesce($4, 'infinity')" \
    " AND ($5 IS NULL OR e.at <= $5 AND (e.at, e.id) < ($5, $6))"

#define PRESCRIPTIONS_OF_VISITS(visits) \
    "SELECT pr.id::text FROM clinicq.prescription pr WHERE pr.visit_id = ANY (" visits "::bigint[])"

/* The events of FILTER_KEYS, and of FILTER_PATIENT where it is given. */
#define EVENT_OF_KEYS                                                                                        \
    "SELECT * FROM clinicq_audit.event e WHERE e.entity_id = ANY ($19) AND ($15 IS NULL"                     \
    " OR e.entity = 'patient' AND e.entity_id = $15"                                                         \
    " OR e.entity IN ('visit', 'visit_contact') AND e.entity_id = ANY ($16)"                                 \
    " OR e.entity = 'patient_access' AND e.entity_id = ANY ($17)"                                            \
    " OR (e.entity = 'prescription'"                                                                         \
    "  OR e.action = 'REFUSED' AND e.entity LIKE '% /api/prescriptions/%')"                                  \
    "  AND e.entity_id IN (" PRESCRIPTIONS_OF_VISITS(                                                        \
        "$16") ")"                                                                                           \
               " OR e.action = 'REFUSED' AND (e.entity LIKE '% /api/patients/%' AND e.entity_id = ANY ($18)" \
               "  OR e.entity LIKE '% /api/visits/%' AND e.entity_id = ANY ($16)))"

typedef struct EventQuery {
    Datum args[FILTER_COUNT];
    char nulls[FILTER_COUNT + 1];
} EventQuery;

/* Without a condition; what is masked depends on the actor. */
extern void event_query_begin(EventQuery *query);
extern void event_query_set(EventQuery *query, EventFilter arg, Datum value);
/* Asks for a patient by number, a removed one too; returns the key, 0 if there is none. */
extern int64 event_query_patient(EventQuery *query, const char *number);

#endif

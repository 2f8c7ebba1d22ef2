/*
 * visit.h: visits. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_VISIT_H
#define CQ_VISIT_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/date.h"

/* Statuses in which a visit goes on. */
#define VISIT_OPEN "('WAITING', 'START', 'IN_ROOM', 'HELD')"

/* The columns that visit_append_json reads, and the tables they come from. */
#define VISIT_COLUMN_COUNT 18
#define VISIT_COLUMNS                                                                         \
    "v.id, v.token_number, v.service_day, v.status, v.created_at, v.updated_at,"              \
    " p.registration_number, v.queue_id, p.name, q.name, p.restricted, p.id, q.token_prefix," \
    " v.priority, r.name, encode(v.follow_code, 'hex'), q.clinic_id,"                         \
    " (SELECT c.channel FROM clinicq.visit_contact c WHERE c.visit_id = v.id)"
#define VISIT_JOINS                                                                            \
    " JOIN clinicq.patient p ON p.id = v.patient_id JOIN clinicq.queue q ON q.id = v.queue_id" \
    " LEFT JOIN clinicq.room r ON r.id = v.room_id"
#define VISIT_TABLES "clinicq.visit v" VISIT_JOINS

/*
 * Opens a visit today, or finds the open one that the patient has in the queue already. The keys
 * come from patient_lock() and queue_lock(). Leaves SPI_tuptable with its VISIT_COLUMNS; true if
 * it is new. priority: the rank of its class.
 */
extern bool visit_open(int64 patient_id, int64 queue_id, int64 clinic_id, int16 priority);

/*
 * Moves a visit to another queue: it ends as TRANSFERRED, a new one goes on with a token of that
 * queue. Leaves SPI_tuptable with the new visit's VISIT_COLUMNS; with the visit's own where it is
 * in that queue already, and with the earlier new one where this transfer was made before.
 * P0002: no such visit or open queue; QC409: not in this state.
 */
extern void visit_transfer(int64 visit_id, int64 queue_id);

/*
 * Changes the priority of an open visit, with an event; nothing where it has that rank already.
 * Leaves SPI_tuptable with its VISIT_COLUMNS. P0002: no such visit; QC409: it is not open.
 */
extern void visit_change_priority(int64 visit_id, int16 rank);

/* The same for all open visits of a clinic that have a rank. */
extern void visit_change_rank(int64 clinic_id, int16 rank, int16 new_rank);

/* The clinic that a visit is in. P0002. */
extern int64 visit_clinic(int64 visit_id);

/* Whether a status is one of VISIT_OPEN. */
extern bool visit_is_open(const char *status);

/* Roles that may open a visit and say how urgent it is, by the setting doctors_open_visits. */
extern uint32 visit_open_roles(void);

/* Ends what was left open on earlier days: DONE if called, else NO_SHOW, closed by the system. */
extern void visit_close_earlier_of_queue(int64 queue_id);
extern void visit_close_earlier_of_all(void);
extern void visit_close_earlier_of_patient(int64 patient_id);

/* Fills SPI_tuptable with VISIT_COLUMNS of one visit, as this transaction has left it. */
extern void visit_read(int64 visit_id); /* P0002 */

/* Appends a visit object made of row's VISIT_COLUMNS. */
extern void visit_append_json(StringInfo json, uint64 row);

/* Locks a visit and appends it as GET shows it now; false where key names none. For etag.c. */
extern bool visit_append_locked(const char *key, StringInfo json);

/* A token as it is shown: A-017 with a prefix, 17 without. */
extern char *visit_token_text(const char *prefix, int32 token);

/* For psql: row 0 as (visit_id, token_number, status), which outlives SPI_finish. */
extern Datum visit_record(FunctionCallInfo fcinfo);

#endif

/*
 * emergency.h: emergency access to restricted records ("break the glass"), and its review. What
 * runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_EMERGENCY_H
#define CQ_EMERGENCY_H

#include "postgres.h"

#include "faults.h"
#include "lib/stringinfo.h"

/* The columns that emergency_append_json reads, and the tables they come from. */
#define EMERGENCY_COLUMNS                                                                       \
    "a.id, p.registration_number, a.user_name, a.granted_at, a.until, a.reason, a.reviewed_by," \
    " a.reviewed_at, a.review"
#define EMERGENCY_TABLES "clinicq.patient_access a JOIN clinicq.patient p ON p.id = a.patient_id"

extern char *emergency_check_reason(Faults *faults, const char *reason);
extern char *emergency_check_review(Faults *faults, const char *review);

/*
 * Opens the record of a patient to the present actor, or finds the emergency that did and is not
 * over. True if it is new. P0002: no such patient; QC409: needs no emergency.
 */
extern bool emergency_open(const char *number, const char *reason, int64 *id);

/*
 * Closes the review, and the access with it. P0002: no such emergency; QC409: reviewed already;
 * 42501: by who opened it.
 */
extern void emergency_review(int64 id, const char *review);

/* Fills SPI_tuptable with EMERGENCY_COLUMNS, as this transaction has left it. */
extern void emergency_read(int64 id); /* P0002 */
extern void emergency_append_json(StringInfo json, uint64 row);

#endif

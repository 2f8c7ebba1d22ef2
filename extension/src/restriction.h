/*
 * restriction.h: patients whose record only those may see who are named for it, or who opened it in
 * an emergency. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_RESTRICTION_H
#define CQ_RESTRICTION_H

#include "postgres.h"

/* What stands in the place of a name. */
#define RESTRICTED_NAME "Restricted"

/* How a user, or a role in psql, stands in clinicq.patient_access: $n its name, $m its id or 0. */
#define ACCESS_HOLDER(name, id) \
    "user_name = " name " AND user_id IS NOT DISTINCT FROM nullif(" id ", 0)"
#define ACCESS_IN_FORCE "(until IS NULL OR until > clock_timestamp())"

/* By what the present actor may see a patient's record, whatever roles are in force. */
typedef enum Sight {
    SIGHT_FREE,      /* not restricted */
    SIGHT_LISTED,    /* named for it */
    SIGHT_EMERGENCY, /* opened in an emergency that is not over */
    SIGHT_NONE
} Sight;

/* restricted is the flag of the row. Leaves SPI_tuptable as it is. */
extern Sight sight_of(int64 patient_id, bool restricted);
/* What the audit log says of a look: done, emergency, or masked. */
extern const char *sight_outcome(Sight sight);
/* Raises QC423, which tells nothing of the patient. */
extern void sight_require(int64 patient_id, bool restricted);
/* The restricted patients whom the actor may see, as bigint[]; false where there are none. */
extern bool sight_patients(Datum *patients);

/*
 * Locks the patient of a number, so that its restriction stays; visits go on. Returns the key.
 * P0002: none.
 */
extern int64 restriction_lock(const char *number, bool *restricted);

/* The following look a patient up by number. P0002: no such patient, or user. */
extern void restriction_set(const char *number, bool restricted);
/* False where the user is on the list already. */
extern bool restriction_grant(const char *number, int64 user_id);
extern void restriction_revoke(const char *number, const char *username);
/* Fills SPI_tuptable with the list: user name, by whom and when it was put there. */
extern uint64 restriction_read(const char *number, char **registration_number, bool *restricted);

#endif

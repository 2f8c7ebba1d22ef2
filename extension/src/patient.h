/*
 * patient.h: patients. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_PATIENT_H
#define CQ_PATIENT_H

#include "postgres.h"

#include "faults.h"
#include "lib/stringinfo.h"

/* What a caller gives of a patient. A field that is not given is left as it is (or defaults). */
typedef struct PatientInput {
    bool has_name, has_phone, has_gender, has_category;
    char *name;
    char *phone; /* NULL: none */
    char *gender;
    char *category;
} PatientInput;

/* Checks and trims what is given; faults under the names of the fields. */
extern void patient_check(Faults *faults, PatientInput *input);

/* Registers a patient; returns the registration number, palloc'd. 53400: no number left. */
extern char *patient_register(const PatientInput *input);

/*
 * The number of the patient that this HTTP user registered with the same data in the last ten
 * seconds, NULL if none. Holds a lock so that two equal requests at once find each other.
 */
extern char *patient_registered_just_now(const PatientInput *input);

/* The following look a patient up by number, with or without dashes. P0002: none. */
extern void patient_update(const char *number, const PatientInput *input);
extern void patient_remove(const char *number); /* QC409: has an open visit */
/* Key of a patient that may have been removed, locked. P0002: none, or erased; QC409. */
extern int64 patient_lock_for_erasure(const char *number);

/* Key of a patient, locked FOR KEY SHARE against removal; 0 if there is none. */
extern int64 patient_lock(const char *number);

/* The columns that patient_append_json reads, of clinicq.patient p. */
#define PATIENT_COLUMNS                                                                         \
    "p.registration_number, p.name, p.phone, p.gender, p.category, p.created_at, p.updated_at," \
    " ARRAY(SELECT v.service_day FROM clinicq.visit v WHERE v.patient_id = p.id"                \
    "  AND v.status NOT IN ('TRANSFERRED', 'CANCELLED', 'NO_SHOW')"                             \
    "  ORDER BY v.service_day DESC, v.id DESC LIMIT 5), p.restricted, p.id"

/*
 * Appends a patient object made of row's PATIENT_COLUMNS, from the first column on; masked where
 * the patient is hidden from the actor.
 */
extern void patient_append_json(StringInfo json, uint64 row);

/* Locks a patient and appends it as GET shows it now; false where key names none. For etag.c. */
extern bool patient_append_locked(const char *key, StringInfo json);

/* The patient of row's PATIENT_COLUMNS was shown, for the audit log, unless hidden from the actor.
 */
extern void patient_seen(uint64 row);

/* Raises QC423 where the patient of row's PATIENT_COLUMNS is hidden from the actor. */
extern void patient_require_sight(uint64 row);

/* The name as a display may see it. */
extern const char *patient_display_name(const char *name, bool restricted);

/*
 * The name as the actor may see it: masked for a hidden patient, and for a display in the form that
 * the setting display_names permits, none at all for a restricted one.
 */
extern const char *patient_shown_name(const char *name, int64 patient_id, bool restricted);

/*
 * What the search term matches, best first: fills SPI_tuptable with PATIENT_COLUMNS. A hidden
 * patient is matched by nothing but the whole number.
 */
extern uint64 patient_search(const char *term, int64 offset, int64 limit, int64 *count,
                             bool *count_exact);

/* For the audit log, after its rows were read: one that alone was found has been looked at. */
extern void patient_searched(const char *term, uint64 rows, int64 count);

#endif

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

/* Key of a patient, locked FOR KEY SHARE against removal; 0 if there is none. */
extern int64 patient_lock(const char *number);

/* The columns that patient_append_json reads, of clinicq.patient p. */
#define PATIENT_COLUMNS                                                                         \
    "p.registration_number, p.name, p.phone, p.gender, p.category, p.created_at, p.updated_at," \
    " ARRAY(SELECT v.service_day FROM clinicq.visit v WHERE v.patient_id = p.id"                \
    "  AND v.status NOT IN ('TRANSFERRED', 'CANCELLED', 'NO_SHOW')"                             \
    "  ORDER BY v.service_day DESC, v.id DESC LIMIT 5)"

/* Appends a patient object made of row's PATIENT_COLUMNS, from the first column on. */
extern void patient_append_json(StringInfo json, uint64 row);

/* How the display role may see a name, by the setting display_names; palloc'd. */
extern char *patient_display_name(const char *name);

/* What the search term matches, best first: fills SPI_tuptable with PATIENT_COLUMNS. */
extern uint64 patient_search(const char *term, int64 offset, int64 limit, int64 *count,
                             bool *count_exact);

#endif

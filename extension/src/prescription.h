/*
 * prescription.h: images that belong to visits. What runs SQL here does so between SPI_connect and
 * SPI_finish.
 */
#ifndef CQ_PRESCRIPTION_H
#define CQ_PRESCRIPTION_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* The columns that prescription_append_json reads, and the tables they come from. */
#define PRESCRIPTION_COLUMNS                                                              \
    "pr.id, pr.visit_id, pr.created_at, i.media_type, i.size, pr.created_by, i.id, p.id," \
    " p.restricted, encode(i.sha256, 'hex'), i.drive_file_id, i.drive_url"
#define PRESCRIPTION_TABLES                                                   \
    "clinicq.prescription pr JOIN clinicq.image i ON i.id = pr.image_id"      \
    " JOIN clinicq.visit v ON v.id = pr.visit_id"                             \
    " JOIN clinicq.patient p ON p.id = v.patient_id AND p.removed_at IS NULL" \
    " AND pr.removed_at IS NULL"

typedef struct Prescription {
    int64 id, image_id, patient_id;
    int64 size;
    char *media_type, *sha256;
    bool restricted;
} Prescription;

/*
 * Keeps the whole image with this hash (of what was sent) for a visit. Leaves SPI_tuptable with
 * PRESCRIPTION_COLUMNS; false if that prescription was there already. P0002: no such visit or
 * upload; QC423.
 */
extern bool prescription_create(int64 visit_id, const char *original_sha256);

/* Fills SPI_tuptable with PRESCRIPTION_COLUMNS, and prescription, of one that the actor may see.
 * P0002; QC423. */
extern void prescription_read(int64 id, Prescription *prescription);

/* Hides one. P0002; QC423 */
extern void prescription_remove(int64 id);

/* Takes away for ever what is kept for a patient, and images that nobody else's visit has. */
extern void prescriptions_erase(int64 patient_id);

/* Appends a prescription object made of row's PRESCRIPTION_COLUMNS. */
extern void prescription_append_json(StringInfo json, uint64 row);

#endif

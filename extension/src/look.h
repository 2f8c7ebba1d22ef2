/*
 * look.h: looks at records, for the audit log. Between SPI_connect and SPI_finish; SPI_tuptable is
 * left as it is.
 */
#ifndef CQ_LOOK_H
#define CQ_LOOK_H

#include "postgres.h"

extern void look_init(void);

/* One record of a table was shown. outcome: as of sight_outcome(). */
extern void look_read(const char *entity, int64 id, const char *outcome);
/* The image of a prescription was shown. */
extern void look_image(int64 prescription_id, const char *outcome);
/* Patients were searched: the term, "" for all of them, and how many matched. */
extern void look_search(const char *term, int64 matched);
/*
 * The audit log itself was read, whatever the settings are: the history of a patient, or (0) what
 * the filters, a JSON object, let through.
 */
extern void look_audit(int64 patient_id, const char *filters);

#endif

/*
 * contact.h: patients who asked to be told of their visit. What runs SQL here does so between
 * SPI_connect and SPI_finish.
 */
#ifndef CQ_CONTACT_H
#define CQ_CONTACT_H

#include "postgres.h"

#include "fields.h"
#include "outbox.h"

/* What a caller asks for. */
typedef struct Contact {
    FieldState state; /* absent: nothing; null: no messages any more; bad: there are faults */
    Channel channel;
    char *address;
    char *language;
} Contact;

/* Reads notify_by, notify_to, notify_language and notify_consent; no SQL where none is given. */
extern void contact_read(Fields *fields, Contact *contact);

/* Does what was asked for. P0002: no such visit; QC409: it is not open. */
extern void contact_apply(int64 visit_id, const Contact *contact);

/* All of a patient's visits. For erasing. */
extern void contacts_erase(int64 patient_id);

#endif

/*
 * faults.h: collects every bad field of a call, so that all are reported at once by name.
 */
#ifndef CQ_FAULTS_H
#define CQ_FAULTS_H

#include "postgres.h"

#include "lib/stringinfo.h"

typedef struct Faults {
    StringInfoData message; /* "name: must not be blank; phone: ..." */
    StringInfoData json;    /* "name":["must not be blank"],... without the braces */
} Faults;

extern Faults *faults_new(void);
extern void faults_add(Faults *faults, const char *field, const char *format, ...)
    pg_attribute_printf(3, 4);

/* Raises 22023 with the JSON object of all faults as DETAIL, if there are any. */
extern void faults_raise(Faults *faults);

/*
 * A text field: white space at its ends is cut off; faults for a length outside min..max
 * (characters) and for control characters. Returns what is to be stored.
 */
extern char *faults_check_text(Faults *faults, const char *field, const char *value, int min,
                               int max);

/* value without white space (Unicode's, too) at its ends. */
extern char *trim_blanks(const char *value);

#endif

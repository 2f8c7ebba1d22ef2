/*
 * fields.h: reading the fields of a request, which tells absent from null and takes types strictly.
 */
#ifndef CQ_FIELDS_H
#define CQ_FIELDS_H

#include "postgres.h"

#include "faults.h"
#include "fmgr.h"
#include "utils/jsonb.h"

typedef enum FieldState {
    FIELD_ABSENT,
    FIELD_NULL,
    FIELD_BAD, /* a fault has been added */
    FIELD_VALUE
} FieldState;

typedef struct Fields {
    Jsonb *object; /* NULL: no field at all */
    Faults *faults;
} Fields;

/*
 * The query (second) and body (third) argument of a routed function. Reading the body raises
 * QC415, QC400, 22P02 or 22023 where it is not a JSON object; call it after the role check.
 */
extern Fields *fields_of_query(FunctionCallInfo fcinfo);
extern Fields *fields_of_body(FunctionCallInfo fcinfo);

/* Numbers are taken as text; booleans, arrays and objects are faults. */
extern FieldState field_text(Fields *fields, const char *name, char **value);
/* A text that must not be null; true where it is given. Its absence is a fault if required. */
extern bool field_given(Fields *fields, const char *name, char **value, bool required);
/* A whole number of 64 bits, or a text that holds one. */
extern FieldState field_int64(Fields *fields, const char *name, int64 *value);
extern FieldState field_bool(Fields *fields, const char *name, bool *value);
/* true or false, or the text "true" of a form; anything else is false. */
extern bool field_flag(Fields *fields, const char *name);
/*
 * A required array of 1 to max whole numbers (or texts that hold one), put into ids. False where it
 * is none, and a fault.
 */
extern bool field_ids(Fields *fields, const char *name, int64 *ids, int max, int *count);
/* An array of role names. */
extern FieldState field_roles(Fields *fields, const char *name, uint32 *roles);

/* A query parameter, NULL where it is absent or empty. */
extern char *query_text(Fields *query, const char *name);
/* The same as a whole number; false where it is absent, a fault where it is none. */
extern bool query_id(Fields *query, const char *name, Datum *id);
/* The same as a day, YYYY-MM-DD, and as a time (RFC 3339) or the beginning of a day in UTC. */
extern bool query_day(Fields *query, const char *name, Datum *day);
extern bool query_time(Fields *query, const char *name, Datum *time);
/* One of two words; whether it is the second. The first where it is absent. */
extern bool query_choice(Fields *query, const char *name, const char *first, const char *second);

/* A decoded path value (from 0); and as an id: P0002 naming `what` where it is none. */
extern char *path_text(FunctionCallInfo fcinfo, int index);
extern int64 path_id(FunctionCallInfo fcinfo, int index, const char *what);

/* A decimal number of 64 bits with blanks around it; false where it is none. */
extern bool parse_int64(const char *string, int64 *value);

#endif

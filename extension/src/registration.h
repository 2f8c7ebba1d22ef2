/*
 * registration.h: registration numbers.
 */
#ifndef CQ_REGISTRATION_H
#define CQ_REGISTRATION_H

#include "postgres.h"

/* NULL for a usable registration_number_format, else what is wrong with it. */
extern const char *registration_format_fault(const char *format);

/* The next number, palloc'd. Call between SPI_connect and SPI_finish. 53400: none left. */
extern char *registration_next(const char *category);

/* Whether it is one of the categories '01' to '05'. */
extern bool registration_is_category(const char *category);

/*
 * The digits of a number as people write it: dashes and blanks dropped, letters as capitals. NULL
 * where anything but letters, digits, dashes and blanks stands in it, or nothing is left.
 */
extern char *registration_digits(const char *number);
/* The text that numbers are looked up by; one that no number has where there are no digits. */
extern Datum registration_key(const char *number);

#endif

/* What production must not start with. */
#ifndef CLINICQ_CHECK_H
#define CLINICQ_CHECK_H

#include "config.h"

/* Prints every check with its state and remedy as a table; false if one failed. */
bool check_table(const struct config *c);
/* Prints one line for each check that failed; false if one did. */
bool check_start(const struct config *c);

#endif

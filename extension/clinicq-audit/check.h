/* Whether an export is what its seals say. */
#ifndef CLINICQ_AUDIT_CHECK_H
#define CLINICQ_AUDIT_CHECK_H

#include "lines.h"

#include <stdio.h>

#define KEYS_MAX 64

struct keys {
    unsigned count;
    unsigned char key[KEYS_MAX][crypto_sign_PUBLICKEYBYTES];
};

/*
 * Prints a line for each difference and one that sums up. keys: NULL where signatures are only
 * to be those that the seals themselves name; part: the export need not be of the whole tree.
 * Returns 0 where all holds, 1 where not, 2 where a file could not be read.
 */
int check_export(FILE *events, FILE *seals, const struct keys *keys, bool part);

#endif

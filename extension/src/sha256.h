/*
 * sha256.h: SHA-256 of a text, as bytea.
 */
#ifndef CQ_SHA256_H
#define CQ_SHA256_H

#include "postgres.h"

/* Allocated in the present memory context. */
extern Datum sha256_datum(const char *value);

#endif

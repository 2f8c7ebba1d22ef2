/*
 * The extension's parsers without a server. They are compiled from the extension's own sources
 * against PostgreSQL's headers and its libpgcommon and libpgport (string building, encodings,
 * printf); the few functions of the server that they call stand in harness.c. A real server would
 * be the more honest judge of what SQL does with them, which pgtap is there for, but in one their
 * texts lie side by side in large blocks, where reading past an end goes unseen: here each is an
 * allocation of its own, which AddressSanitizer watches.
 */
#ifndef FUZZ_EXTENSION_HARNESS_H
#define FUZZ_EXTENSION_HARNESS_H

#include "postgres.h"

#include <setjmp.h>

#include "common.h"
#include "fields.h"

/* Where ereport(ERROR) goes: if (raises()) ... it did. */
extern sigjmp_buf harness_error;
#define raises() (sigsetjmp(harness_error, 0) != 0)

/* A copy in memory of its own size; NULL where no server would let it in: not UTF-8, or with NUL.
 */
extern char *take_text(const uint8_t *data, size_t size);

/* Fields that give this value for every name. */
extern Fields *fields_of(const char *value);
/* Their faults are an object of arrays of texts; true if there are any. */
extern bool has_faults(Faults *faults);

/* Frees what was palloc'ed; at the end of every input. */
extern void free_all(void);

/* Bytes of the white space or control character there by Unicode's list; 0 if there is none. */
extern size_t judge_blank(const char *at);
extern size_t judge_control(const char *at);

#endif

/*
 * personal.h: personal values of audit events, which can be erased later.
 *
 * An event holds {"erasable": hex SHA-256 of salt and value} in place of such a value; salt and
 * value stand in clinicq.audit_personal. What is erased there cannot be found again by trying
 * values, since the salt is gone with it.
 */
#ifndef CQ_PERSONAL_H
#define CQ_PERSONAL_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define PERSONAL_HASH_HEX 64

/*
 * Appends {"salt": ..., "value": ...} with a new salt under the key, and writes the hash that the
 * event holds instead.
 */
extern void personal_commit(StringInfo contents, const char *key, const char *value,
                            char hash[PERSONAL_HASH_HEX + 1]);

/* Runs a DELETE of clinicq.audit_personal. Between SPI_connect and SPI_finish. */
extern void personal_delete(const char *statement);

/* Whether a DELETE of clinicq.audit_personal is one of the functions here. */
extern bool personal_is_erasing(void);

#endif

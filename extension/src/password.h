/*
 * password.h: Argon2id password hashes (RFC 9106, PHC string format; OWASP parameters by default).
 */
#ifndef CQ_PASSWORD_H
#define CQ_PASSWORD_H

#include "postgres.h"

#include "faults.h"

/* Adds a fault under "password" unless it is 12 to 128 characters long. */
extern void password_check(Faults *faults, const char *password);

/* Hash with the parameters of the settings, palloc'd. 53200: no memory for it. */
extern char *password_hash(const char *password);

extern bool password_verify(const char *hash, const char *password);

/* A random password of 20 letters and digits (119 bits), palloc'd. */
extern char *password_generate(void);

#endif

/*
 * password.h: Argon2id password hashes (RFC 9106, PHC string format; OWASP parameters by default).
 *
 * No more than password_hash_slots of them run at a time in a database, so that a flood of log-ins
 * leaves the processors to the clinic. The rest wait for two seconds, then QC429.
 */
#ifndef CQ_PASSWORD_H
#define CQ_PASSWORD_H

#include "postgres.h"

#include "faults.h"

/*
 * Adds a fault under "password" unless it is 12 to 128 characters long and hard to guess, also for
 * one who knows the user's name and the clinic's (username may be NULL).
 */
extern void password_check(Faults *faults, const char *password, const char *username);

/* Hash with the parameters of the settings, palloc'd. 53200: no memory for it. */
extern char *password_hash(const char *password);

extern bool password_verify(const char *hash, const char *password);

/* Takes as long as password_verify() of a hash with the present parameters. */
extern void password_verify_nobody(const char *password);

/* Whether the hash was made with other parameters than those of the settings. */
extern bool password_needs_rehash(const char *hash);

/* A random password of 20 letters and digits (119 bits), palloc'd. */
extern char *password_generate(void);

#endif

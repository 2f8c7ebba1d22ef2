/*
 * log_in.h: checking passwords, and keeping guessers off.
 *
 * A try is counted before the password is looked at, in a transaction of its own where it comes
 * over HTTP, for unknown names as for known ones. The lock is per name and address, so nobody can
 * lock a user out from elsewhere; a threshold over all addresses only slows those from which the
 * name never logged in.
 */
#ifndef CQ_LOG_IN_H
#define CQ_LOG_IN_H

#include "postgres.h"

#include "session.h"

/*
 * Counts a try. Returns 0 where it may go on, else the seconds to wait. Between SPI_connect and
 * SPI_finish.
 */
extern int log_in_admit(const char *username);

/*
 * Checks the password of an admitted try and opens a session. False where name or password is
 * wrong or the user is disabled, after the same time of hashing. Never raises for those.
 * QC429: too many passwords are being checked.
 */
extern bool log_in(const char *username, const char *password, SessionKind kind, Session *session);

/* Forgets the tries of a name, from everywhere. Between SPI_connect and SPI_finish. */
extern void log_in_forget(const char *username);

#endif

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

typedef enum LogIn {
    LOG_IN_DONE,
    LOG_IN_WRONG,      /* name, password or code, or the user is disabled */
    LOG_IN_CODE_NEEDED /* the password is right; a second factor is in force and no code came */
} LogIn;

/*
 * Checks the password of an admitted try, and the code where a second factor is in force (NULL:
 * none given), and opens a session. Unknown names take the same time of hashing. Never raises for
 * those. QC429: too many passwords are being checked.
 */
extern LogIn log_in(const char *username, const char *password, const char *code, SessionKind kind,
                    Session *session);

/* Forgets the tries of a name, from everywhere. Between SPI_connect and SPI_finish. */
extern void log_in_forget(const char *username);

/* Removes up to so many tries that no longer count; how many. Between SPI_connect and SPI_finish.
 */
extern uint64 log_in_purge(int32 limit);

#endif

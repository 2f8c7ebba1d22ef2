/*
 * session.h: logging in and out, and whom a token belongs to.
 */
#ifndef CQ_SESSION_H
#define CQ_SESSION_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define SESSION_TOKEN_LENGTH 64 /* hexadecimal digits of 256 random bits */

typedef struct Session {
    char token[SESSION_TOKEN_LENGTH + 1];
    TimestampTz expires_at;
    char *username;
    uint32 roles;
} Session;

/*
 * Checks the password and opens a session. False where name or password is wrong or the user
 * is disabled, after the same time of hashing. username and session live in the caller's context.
 */
extern bool session_log_in(const char *username, const char *password, Session *session);

/* Ends a session; false where the token belongs to none. */
extern bool session_log_out(const char *token);

/* Makes the token's user the actor; false where it belongs to no living session. */
extern bool session_authenticate(const char *token);

/* Ends every session of a user. Between SPI_connect and SPI_finish. */
extern void session_end_all(int64 user_id);

#endif

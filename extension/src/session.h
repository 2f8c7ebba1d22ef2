/*
 * session.h: sessions and their tokens. What runs SQL here does so between SPI_connect and
 * SPI_finish, but for session_authenticate and session_log_out.
 */
#ifndef CQ_SESSION_H
#define CQ_SESSION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#define SESSION_TOKEN_LENGTH 64 /* hexadecimal digits of 256 random bits */

typedef enum SessionKind {
    SESSION_SLIDING, /* ends a while after its last use */
    SESSION_REFRESH, /* a short-lived access token, and a refresh token, up to an absolute limit */
    SESSION_COOKIE   /* slides; the token is not shown to scripts */
} SessionKind;

/* What a log-in or a refresh gives out. */
typedef struct Session {
    char token[SESSION_TOKEN_LENGTH + 1];
    char refresh[SESSION_TOKEN_LENGTH + 1]; /* "" for a session that slides */
    TimestampTz expires_at;
    int64 user_id;
    char *username;
    uint32 roles;
    bool password_expired;
} Session;

/*
 * Opens a session for the user whose user_id, username and roles are set. False where the user is
 * disabled, or password_hash is not that user's any more.
 */
extern bool session_open(Session *session, Datum password_hash, SessionKind kind);

/*
 * Exchanges a refresh token (RFC 9700, section 4.14). A used one that comes again within ten
 * seconds, while its successor is unused, gives the same successor; later it ends the session.
 * False where there is nothing to exchange. session lives in the caller's context.
 */
extern bool session_refresh(const char *refresh, Session *session);

/* Makes the token's user the actor; false where it belongs to no living session. */
extern bool session_authenticate(const char *token);

/* Ends a session; false where the token belongs to none. */
extern bool session_log_out(const char *token, bool *in_cookie);

/* Ends one session of a user (0: of anybody); false where there is none. */
extern bool session_end(int64 session_id, int64 user_id);
extern void session_end_all(int64 user_id);

/* A session object for each living session of a user; `token` tells which is the present one. */
extern void session_append_list(StringInfo json, int64 user_id, const char *token);

/* {"token", "access", "refresh", "expires_in", "user": ...}; in_cookie: without the tokens. */
extern void session_append_json(StringInfo json, const Session *session, bool in_cookie);

/* Whether it has the shape of a token; nothing else is ever looked up. */
extern bool session_token_is_well_formed(const char *token);

/* Removes up to so many that are over; how many. Between SPI_connect and SPI_finish. */
extern uint64 session_purge(int32 limit);

#endif

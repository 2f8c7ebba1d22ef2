/*
 * totp.h: time-based one-time passwords as a second factor (RFC 6238, by liboath). What runs SQL
 * here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_TOTP_H
#define CQ_TOTP_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* Whether it could be a code of a device, or a recovery code. */
extern bool totp_is_well_formed(const char *code);

/* Whether a user's second factor is in force. */
extern bool totp_is_confirmed(int64 user_id);

/* Whether the setting totp_roles asks a user with these roles for one who has none. */
extern bool totp_is_due(int64 user_id, uint32 roles);

/* Takes a code of the device, or a recovery code; false where it is wrong or was used before. */
extern bool totp_take(int64 user_id, const char *code);

/*
 * Makes a new secret for the user, not in force yet, and appends {"secret", "otpauth_uri"}.
 * QC409: one is in force.
 */
extern void totp_enrol(int64 user_id, const char *username, StringInfo json);

/*
 * Puts the secret in force if the code proves that the device has it, and appends the recovery
 * codes, shown this once. False where the code is wrong. QC409: nothing to confirm.
 */
extern bool totp_confirm(int64 user_id, const char *code, StringInfo json);

/* Takes the second factor away; false where there is none. */
extern bool totp_remove(int64 user_id);

/* NULL for a list of roles as the setting totp_roles takes it, else what is wrong. */
extern const char *totp_roles_fault(const char *roles);

#endif

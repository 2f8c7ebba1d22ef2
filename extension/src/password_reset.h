/*
 * password_reset.h: links by which users who have forgotten their password set a new one.
 *
 * The token of a link is a random id and its HMAC. Only the id is kept, so that what is read from
 * the outbox, the table or a log of either opens nothing; the HMAC is made when the link is sent.
 */
#ifndef CQ_PASSWORD_RESET_H
#define CQ_PASSWORD_RESET_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* As message_append_work(); id: what was written into the delivery, in hexadecimal digits. */
extern bool password_reset_append_work(StringInfo work, int64 user_id, const char *id,
                                       const char **reason);

/* NULL, or what is wrong with a value of the setting password_reset_url. */
extern const char *password_reset_url_fault(const char *value);

/* Removes up to so many that ended a day ago; how many. Between SPI_connect and SPI_finish. */
extern uint64 password_reset_purge(int32 limit);

#endif

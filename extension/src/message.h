/*
 * message.h: what deliveries say, made when they are sent: messages to patients about their visits,
 * and to users. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_MESSAGE_H
#define CQ_MESSAGE_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * The work of a delivery of sms or email whose purpose is one of this file's, as members of a JSON
 * object: "to" and "body", of an e-mail "subject" too. False, and reason (a text that lives on)
 * says why, where it has no use any more: the visit has moved on, the user is gone.
 */
extern bool message_append_work(StringInfo work, const char *purpose, int64 visit_id, int64 user_id,
                                const char *payload, const char **reason);

/* Events that just got their places in the feed, behind a position: messages and webhooks that
 * follow from them. */
extern void messages_add(int64 after);

/* Of the keeper, and of who takes deliveries where none works: daily summaries that are due. */
extern void summaries_add(void);

#endif

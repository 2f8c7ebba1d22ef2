/*
 * token.h: gapless tokens, one series for each queue and service day.
 */
#ifndef CQ_TOKEN_H
#define CQ_TOKEN_H

#include "postgres.h"

#include "utils/date.h"

/*
 * The next token. Holds the counter's row lock until the transaction ends, so take every other
 * lock before. Between SPI_connect and SPI_finish.
 */
extern int32 token_issue(int64 queue_id, DateADT day);

/* Gives back what token_issue() gave last in this transaction. */
extern void token_give_back(int64 queue_id, DateADT day);

#endif

/*
 * own_lock.h: locks until the transaction ends, as advisory ones, which no SQL function can take:
 * whoever may connect could hold those whose keys are known.
 */
#ifndef CQ_OWN_LOCK_H
#define CQ_OWN_LOCK_H

#include "postgres.h"

/* Classes of lock tags; those of SQL functions are 1 and 2. */
typedef enum OwnLock {
    LOCK_PASSWORD_SLOT = 4, /* of the whole cluster, see password.c */
    LOCK_FEED,
    LOCK_MIGRATION,
    LOCK_PATIENT_INPUT,
    LOCK_IDEMPOTENCY_KEY,
    LOCK_IMAGE,
    LOCK_PASSWORD_RESET,
    LOCK_WEBHOOKS
} OwnLock;

/* Of this database. What runs after it in READ COMMITTED sees what the one before has done. */
extern void own_lock(OwnLock lock, uint64 key);

/* The same, but false at once where another transaction holds it. */
extern bool own_lock_try(OwnLock lock, uint64 key);

/* A key for what a user (0: none) gave. */
extern uint64 own_lock_key(int64 user_id, const char *given);

#endif

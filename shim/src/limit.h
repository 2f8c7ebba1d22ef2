/* Rate limits: token buckets in tables of fixed size. */
#ifndef CLINICQ_LIMIT_H
#define CLINICQ_LIMIT_H

#include "address.h"

#include <stdbool.h>
#include <stdint.h>

enum limit { LIMIT_ADDRESS, LIMIT_LOGIN, LIMIT_USER, LIMIT_WRITE };
#define LIMITS 4

/* What a refused client is told. */
struct limit_state {
    unsigned burst;
    unsigned rate;        /* a second */
    unsigned retry_after; /* seconds until one request is taken */
    unsigned reset;       /* seconds until the bucket is full */
};

struct config;

void limit_open(const struct config *c);
void limit_close(void);

/* Whose bucket: an address (IPv6 by /64), or a user. Never 0. */
uint64_t limit_address_key(const struct address *a);
uint64_t limit_user_key(const char *user);

/* Takes one from the bucket; false when it is empty, then s is filled. */
bool limit_take(enum limit which, uint64_t key, int64_t now, struct limit_state *s);

/* Whose token it was when it was last accepted; 0 if that is not known. It names a bucket and
 * nothing else: whether the token is good, the database says each time. */
uint64_t limit_token_user(const char *token);
void limit_token_seen(const char *token, uint64_t user);

uint64_t limit_refused(enum limit which);
const char *limit_name(enum limit which);

#endif

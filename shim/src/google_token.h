/* Access tokens of Google for a service account: an assertion that its key signs is exchanged for
 * one (RFC 7523), which serves until shortly before it ends. One exchange is under way at a time.
 */
#ifndef CLINICQ_GOOGLE_TOKEN_H
#define CLINICQ_GOOGLE_TOKEN_H

#include "channel.h"
#include "list.h"

/* Embedded in whatever waits for a token; list_init() makes it wait for none. */
struct token_wait {
    struct list list;
    void (*done)(struct token_wait *wait);
};

/* Why there is no token. */
struct token_fault {
    enum delivery_fault fault;
    unsigned retry_after;
    char text[200];
};

/* file: the account's key as Google gives it, JSON; "" for none. It takes the place of an earlier
 * one, and what that was good for ends. NULL, or what is wrong, in a text that lives on. */
const char *google_token_open(const char *file);
bool google_token_has_key(void);
void google_token_close(void);

/* One that can be used now, until the loop turns; or NULL: then google_token_wait(). */
const char *google_token(void);
/* Only with a key. done() is called once, from the loop, unless list_remove() came before. Within
 * it google_token() gives the token, or NULL: then google_token_fault() says why. */
void google_token_wait(struct token_wait *wait);
const struct token_fault *google_token_fault(void);

/* Which one google_token() gave. */
unsigned google_token_number(void);
/* The far side takes that one no more; if it is still the one that is kept, the next is a new one.
 */
void google_token_drop(unsigned number);

#endif

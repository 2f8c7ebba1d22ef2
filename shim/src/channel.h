/* A way to the outside. Each is one file channel_*.c; line.c has the list of them. */
#ifndef CLINICQ_CHANNEL_H
#define CLINICQ_CHANNEL_H

#include "list.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct delivery;

struct channel {
    const char *name; /* as in clinicq.outbox.channel */
    unsigned at_once; /* deliveries under way, at the most */
    /* Reads what the environment says: secrets, addresses. At start and after SIGHUP. NULL, or what
     * is wrong, in a text that lives on. */
    const char *(*open)(const struct config *c);
    /* Takes the channel's object of clinicq_api.delivery_settings(), before the first send and when
     * it has changed. NULL, or what is missing. */
    const char *(*configure)(struct json_object *settings);
    /* Begins; ends by one call of delivery_done() or delivery_failed(), maybe at once. */
    void (*send)(struct delivery *d);
    /* Frees d->state and stops what is under way for it. After each send(), however it ended. */
    void (*end)(struct delivery *d);
    void (*close)(void);
};

extern const struct channel channel_drive, channel_s3, channel_sms, channel_email, channel_webhook;

/* One row of the outbox that this process has for a while. */
struct delivery {
    int64_t id;
    int attempt;    /* from 1; past that an earlier one may have reached the far side */
    char token[37]; /* a UUID, the same at every attempt */
    struct json_object *work;
    void *state; /* the channel's own */

    /* deliver.c's own */
    const struct channel *channel;
    struct list list;
    int64_t renew_at, renew_asked;
    int64_t ours_until;
    bool ended, renewing, forgotten;
};

enum delivery_fault {
    DELIVERY_AGAIN,  /* not now: no connection, no answer, 429, 5xx */
    DELIVERY_NEVER,  /* the far side will not take this one: given up */
    DELIVERY_UNFIT,  /* no far side would, and it was not asked: given up */
    DELIVERY_CHANNEL /* it takes nothing from us: credentials, set-up; the channel pauses at once */
};

/* Whether no other deliverer can have it yet; asked before what is done at the far side cannot be
 * taken back. Where the database is out of reach it does not stay so. */
bool delivery_is_ours(const struct delivery *d);

/* result, or NULL, becomes the delivery's and is put. */
void delivery_done(struct delivery *d, struct json_object *result);
/* retry_after: seconds that the far side asks to wait, 0 if it does not. The text is kept in the
 * database and logged: no address, body, or secret may be in it. */
void delivery_failed(struct delivery *d, enum delivery_fault fault, unsigned retry_after,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A text, or a number, of d->work or of what a far side answered; "" and 0 where it is not there.
 */
const char *member_text(struct json_object *object, const char *name);
int64_t member_number(struct json_object *object, const char *name);
/* Text of the database's as an object, to be put; NULL where it is none. */
struct json_object *object_parse(const char *text);

#endif

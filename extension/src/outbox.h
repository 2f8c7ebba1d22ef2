/*
 * outbox.h: deliveries to the outside. What runs SQL here does so between SPI_connect and
 * SPI_finish. A row is written by the transaction that causes it and sent once that has committed.
 */
#ifndef CQ_OUTBOX_H
#define CQ_OUTBOX_H

#include "postgres.h"

#include "lib/stringinfo.h"

typedef enum Channel {
    CHANNEL_DRIVE,
    CHANNEL_S3,
    CHANNEL_SMS,
    CHANNEL_EMAIL,
    CHANNEL_WEBHOOK,
    CHANNEL_COUNT
} Channel;

/* What a delivery refers to; 0: nothing of the kind. */
typedef struct DeliveryRefs {
    int64 image_id, visit_id, user_id, webhook_id;
} DeliveryRefs;

extern void outbox_init(void);

extern const char *channel_name(Channel channel);
/* False, and channel is left alone, where there is none of that name. */
extern bool channel_find(const char *name, Channel *channel);
/* Whether the settings say where it leads; what it sends meanwhile could only wait. */
extern bool channel_is_on(Channel channel);

/* The setting outbox_rates: of a channel, a second; NULL, or what is wrong with a value. */
extern int channel_rate(Channel channel);
extern const char *outbox_rates_fault(const char *value);

/* Writes a delivery; payload: a JSON object, NULL for {}. Returns its id; 0 where the image is in
 * the outbox for this channel already. */
extern int64 outbox_add(Channel channel, const char *purpose, const char *payload,
                        const DeliveryRefs *refs);

/* An image is to be stored outside, where the setting image_store says so. */
extern void outbox_add_image(int64 image_id);

/* Images are about to be erased, an int8[], and locked: what is stored of them outside goes too. */
extern void outbox_remove_images(Datum images);

/* Lets one be tried now. P0002: none; QC409: it is done, or being sent. */
extern void outbox_retry(int64 id);

/* Deliveries about visits of a patient go. For erasing. */
extern void outbox_erase(int64 patient_id);

/* Gives up what was due outbox_dead_hours ago and nobody answers for; removes up to so many that
 * ended outbox_keep_days ago; how many it were. */
extern uint64 outbox_purge(int32 limit);

/* Of the keeper: tells those who deliver that something was written since it last did. */
extern void outbox_notify(void);

/* Gauges of what is not done, in the format of Prometheus. */
extern void outbox_append_gauges(StringInfo out);

#endif

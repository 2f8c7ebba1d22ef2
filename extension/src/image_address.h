/*
 * image_address.h: addresses of images that open without a header: for one user, until a time,
 * signed. Between SPI_connect and SPI_finish; SPI_tuptable is left as it is.
 */
#ifndef CQ_IMAGE_ADDRESS_H
#define CQ_IMAGE_ADDRESS_H

#include "postgres.h"

#include "fields.h"

/*
 * The absolute address of a prescription's image for the actor, palloc'd. It is the same text all
 * day, and good until the end of the next UTC day and 24 hours more.
 */
extern char *image_address(int64 prescription_id);

/*
 * Makes the user of the address the actor. P0002 where the address is not ours or the user is not
 * there any more; QC410 where its time is over.
 */
extern void image_address_enter(int64 prescription_id, Fields *query);

#endif

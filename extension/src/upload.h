/*
 * upload.h: images on their way. What runs SQL here does so between SPI_connect and SPI_finish.
 */
#ifndef CQ_UPLOAD_H
#define CQ_UPLOAD_H

#include "postgres.h"

#define IMAGE_HASH 32

/* A whole image that came; its texts and datums die at SPI_finish. */
typedef struct Upload {
    Datum id;
    Datum original_sha256;
    Datum sha256; /* of what stays of it */
    int64 received, stored;
    char *media_type;
} Upload;

/* Roles that may send images, by the setting assistants_upload_images. */
extern uint32 upload_roles(void);

/* Locks the whole upload of the actor of what has this hash, in hexadecimal digits. P0002: none. */
extern void upload_take(const char *original_sha256, Upload *upload);
/* Copies its pieces to an image; and removes it. */
extern void upload_copy(const Upload *upload, int64 image_id);
extern void upload_remove(const Upload *upload);

/* Removes up to so many that were given up; how many it were. */
extern uint64 uploads_purge(int32 limit);

#endif

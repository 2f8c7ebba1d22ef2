/* What the parts of the channel drive share. */
#ifndef CLINICQ_CHANNEL_DRIVE_H
#define CLINICQ_CHANNEL_DRIVE_H

#include "channel.h"
#include "digest.h"
#include "google_token.h"
#include "image.h"
#include "memory.h"
#include "transfer.h"

#include <stdbool.h>
#include <stdint.h>

#define DRIVE_ID_MAX   128
#define DRIVE_URL_MAX  2000
#define DRIVE_PATIENCE 30 /* seconds for an answer, and without a byte on its way */

enum drive_step {
    DRIVE_LOOK,   /* for files of the image */
    DRIVE_HASH,   /* the image, to know them by */
    DRIVE_START,  /* an upload */
    DRIVE_SEND,   /* a chunk */
    DRIVE_ASK,    /* how much has arrived */
    DRIVE_UNDO,   /* what arrived as something else */
    DRIVE_REMOVE, /* a file */
    DRIVE_STEPS
};

struct drive_target {
    const char *url;
    int url_len; /* without a slash at its end */
    char folder[DRIVE_ID_MAX + 1];
};

/* A delivery under way. */
struct drive {
    struct delivery *d;
    const struct drive_target *to;
    enum drive_step step;
    struct token_wait wait;
    struct transfer *transfer;
    struct image *image;
    struct json_object *found; /* files with the SHA-256 of the image */
    size_t next;               /* of them, to be removed */
    char *session;             /* where the bytes go */
    char *file_id;             /* what is to be deleted */
    uint64_t size;
    uint64_t taken; /* bytes that Drive has confirmed */
    uint64_t furthest;
    uint64_t at; /* which byte of the image is read next */
    uint64_t hashed;
    EVP_MD_CTX *hash;
    struct buffer md5; /* of the whole image, once all of it has passed */
    unsigned token;    /* the number of the one last sent */
    unsigned stalls, sessions;
    bool renewed; /* a token was refused, and this is the next one */
    bool broken;  /* the database gave no more of the image */
};

/* Makes the request of u->step, but for the token: u->transfer. */
void drive_request(struct drive *u);
/* Opens the image at a byte up to another, for drive_image_read(). */
void drive_image_open(struct drive *u, uint64_t start, uint64_t end, void (*more)(void *arg));
/* A source of transfer.h. All bytes pass the MD5 once, however often they are read. */
size_t drive_image_read(void *arg, char *out, size_t room);
bool drive_is_id(const char *id);
/* Whether a file that Drive tells of may be the image: by what is known without reading it. */
bool drive_image_may_be(const struct drive *u, struct json_object *file);
/* Whether that is the MD5 of the image, all of which has passed. */
bool drive_image_is(const struct drive *u, const char *md5);

#endif

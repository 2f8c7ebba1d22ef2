/* S3: what the files of the channel s3 share. Signatures are libcurl's (Signature Version 4); of
 * the SHA-256 that each request names for its body S3 makes sure itself. */
#ifndef CLINICQ_S3_H
#define CLINICQ_S3_H

#include "channel.h"
#include "digest.h"
#include "image.h"
#include "transfer.h"

/* What is larger goes in parts of this size; S3 takes 5 MiB to 5 GiB, and 10,000 of them. */
#define S3_PART      (UINT64_C(8) << 20)
#define S3_PARTS_MAX 10000
#define S3_HEX_SIZE  (2 * SHA256_SIZE + 1)
#define S3_CODE_SIZE 48
#define S3_ETAG_SIZE 132
#define S3_ID_SIZE   1025

/* Where to, as who. */
struct s3_account {
    char *endpoint, *region, *bucket, *prefix; /* the settings; NULL before configure() */
    char *access_key, *secret_key;
};

struct s3_upload;

/* d->state: one request at a time. */
struct s3_delivery {
    struct delivery *d;
    const char *sha256, *media_type; /* of d->work */
    uint64_t size;
    struct buffer key, url;
    struct transfer *transfer;
    void (*next)(struct s3_delivery *s); /* when its answer is there */
    struct image *image;                 /* what is read for it */
    uint64_t left;                       /* bytes of that which are still to be sent */
    bool torn;                           /* the database gave no more of it */
    struct s3_upload *upload;            /* NULL where one request does */
};

/* Why a request came to nothing; it may be kept until an upload is aborted. */
struct s3_fault {
    enum delivery_fault fault;
    unsigned retry_after;
    bool no_bucket;
    char text[160];
};

extern struct s3_account s3_account;

/* A signed request for the object. query: canonical, that is its names sorted, each with '=', its
 * values encoded, for libcurl 7.88 signs it as it stands; or "". sha256: of its body, in
 * hexadecimal; NULL where it has none. */
void s3_request(struct s3_delivery *s, const char *method, const char *query, const char *sha256);
/* What is stored with the object. */
void s3_describe(struct s3_delivery *s);
/* The body: so many bytes of the image. */
void s3_bytes(struct s3_delivery *s, uint64_t start, uint64_t length);
/* Sends it; next() may start another one. bytes: how much is sent, for the time that it may take.
 */
void s3_start(struct s3_delivery *s, uint64_t bytes, void (*next)(struct s3_delivery *s));

/* Whether the answer says that it was done; else why not. */
bool s3_succeeded(const struct s3_delivery *s, struct s3_fault *fault);
/* Whether the answer to a HEAD tells of our object. */
bool s3_is_stored(const struct s3_delivery *s);
/* The text of an element of the answer without markup in it; false where it is not there, or does
 * not fit. */
bool s3_element(const struct buffer *reply, const char *name, char *out, size_t size);
/* The ETag of the answer, quotes and all; false where there is none that can be told on. */
bool s3_etag(const struct s3_delivery *s, char out[S3_ETAG_SIZE]);
void s3_hash(const char *data, size_t len, char out[S3_HEX_SIZE]);

void s3_stored(struct s3_delivery *s);
void s3_failed(struct s3_delivery *s, const struct s3_fault *fault);

/* s3_multipart.c: ends by one of those two. */
void s3_upload_begin(struct s3_delivery *s);
void s3_upload_free(struct s3_delivery *s);

#endif

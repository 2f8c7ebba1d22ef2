/* An object in parts. Each part's bytes are read twice, once for their SHA-256 and once to be sent,
 * so that none is held in memory. What fails is aborted, for S3 keeps, and charges for, parts for
 * ever. */
#include "s3.h"

#include "query.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 65536

struct s3_upload {
    char id[3 * S3_ID_SIZE]; /* as it stands in a query; "" before it is known */
    unsigned part;           /* from 1 */
    uint64_t start, length;  /* of the part */
    EVP_MD_CTX *hash, *whole;
    uint64_t hashed;
    struct buffer list; /* of parts, for the end */
    struct s3_fault fault;
};

static void next_part(struct s3_delivery *s);

static void aborted(struct s3_delivery *s) {
    s3_failed(s, &s->upload->fault);
}

/* Whether aborting succeeds changes nothing: a rule of the bucket's life cycle does the rest. */
static void give_up(struct s3_delivery *s) {
    char query[sizeof(s->upload->id) + 16];

    s->torn = false;
    if (s->upload->id[0] == '\0') {
        aborted(s);
        return;
    }
    snprintf(query, sizeof(query), "uploadId=%s", s->upload->id);
    s3_request(s, "DELETE", query, NULL);
    s3_start(s, 0, aborted);
}

static void give_up_because(struct s3_delivery *s, enum delivery_fault fault, const char *why) {
    struct s3_fault *f = &s->upload->fault;

    *f = (struct s3_fault){.fault = fault};
    snprintf(f->text, sizeof(f->text), "%s", why);
    give_up(s);
}

static void verified(struct s3_delivery *s) {
    if (!s3_succeeded(s, &s->upload->fault))
        s3_failed(s, &s->upload->fault);
    else if (!s3_is_stored(s))
        delivery_failed(s->d, DELIVERY_AGAIN, 0, "S3 has not the object that was uploaded");
    else
        s3_stored(s);
}

static void completed(struct s3_delivery *s) {
    if (!s3_succeeded(s, &s->upload->fault)) {
        give_up(s);
        return;
    }
    s3_request(s, "HEAD", "", NULL);
    s3_start(s, 0, verified);
}

static void hash_end(EVP_MD_CTX *hash, char out[S3_HEX_SIZE]) {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    struct buffer hex = {0};

    EVP_DigestFinal_ex(hash, bytes, NULL);
    digest_hex(&hex, bytes, SHA256_SIZE);
    memcpy(out, hex.data, S3_HEX_SIZE);
    buffer_free(&hex);
}

static void complete(struct s3_delivery *s) {
    struct s3_upload *u = s->upload;
    char query[sizeof(u->id) + 16], sha256[S3_HEX_SIZE];

    hash_end(u->whole, sha256);
    if (strcmp(sha256, s->sha256) != 0) {
        give_up_because(s, DELIVERY_NEVER,
                        "the image in the database has another SHA-256 than its own");
        return;
    }
    buffer_text(&u->list, "</CompleteMultipartUpload>");
    s3_hash(u->list.data, u->list.len, sha256);
    snprintf(query, sizeof(query), "uploadId=%s", u->id);
    s3_request(s, "POST", query, sha256);
    transfer_header(s->transfer, "Content-Type: application/xml");
    transfer_body(s->transfer, u->list.data, u->list.len);
    s3_start(s, 0, completed);
}

static void part_sent(struct s3_delivery *s) {
    struct s3_upload *u = s->upload;
    char etag[S3_ETAG_SIZE];

    if (!s3_succeeded(s, &u->fault)) {
        give_up(s);
        return;
    }
    if (!s3_etag(s, etag)) {
        give_up_because(s, DELIVERY_AGAIN, "S3 took a part and gave no ETag for it");
        return;
    }
    buffer_format(&u->list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", u->part,
                  etag);
    u->start += u->length;
    if (u->start < s->size)
        next_part(s);
    else
        complete(s);
}

static void send_part(struct s3_delivery *s) {
    struct s3_upload *u = s->upload;
    char query[sizeof(u->id) + 48], sha256[S3_HEX_SIZE];

    hash_end(u->hash, sha256);
    snprintf(query, sizeof(query), "partNumber=%u&uploadId=%s", u->part, u->id);
    s3_request(s, "PUT", query, sha256);
    s3_bytes(s, u->start, u->length);
    s3_start(s, u->length, part_sent);
}

static void hash_part(void *arg) {
    struct s3_delivery *s = arg;
    struct s3_upload *u = s->upload;
    char piece[PIECE];
    size_t n;

    while ((n = image_read(s->image, piece, sizeof(piece))) > 0) {
        if (n == TRANSFER_WAIT)
            return;
        if (n == TRANSFER_BREAK)
            break;
        EVP_DigestUpdate(u->hash, piece, n);
        EVP_DigestUpdate(u->whole, piece, n);
        u->hashed += n;
    }
    image_close(s->image);
    s->image = NULL;
    if (u->hashed == u->length)
        send_part(s);
    else
        give_up_because(s, DELIVERY_AGAIN, "the database gave no more of the image");
}

static void next_part(struct s3_delivery *s) {
    struct s3_upload *u = s->upload;

    u->part++;
    u->length = s->size - u->start < S3_PART ? s->size - u->start : S3_PART;
    u->hashed = 0;
    EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL);
    s->image = image_open(s->d, u->start, u->length, hash_part, s);
    hash_part(s);
}

static void created(struct s3_delivery *s) {
    struct s3_upload *u = s->upload;
    struct buffer encoded = {0};
    char id[S3_ID_SIZE];

    if (!s3_succeeded(s, &u->fault)) {
        give_up(s);
    } else if (!s3_element(transfer_reply(s->transfer), "UploadId", id, sizeof(id))) {
        give_up_because(s, DELIVERY_AGAIN, "S3 gave no id for an upload in parts");
    } else if (strchr(id, '+') != NULL) {
        /* libcurl 8.14 signs %2B as %20; the next upload has another id */
        give_up_because(s, DELIVERY_AGAIN, "S3's id for an upload has a + and cannot be signed");
    } else {
        percent_encode(&encoded, id);
        snprintf(u->id, sizeof(u->id), "%s", encoded.data);
        buffer_free(&encoded);
        next_part(s);
    }
}

void s3_upload_begin(struct s3_delivery *s) {
    struct s3_upload *u = s->upload = memory_zero(1, sizeof(*u));

    u->hash = EVP_MD_CTX_new();
    u->whole = EVP_MD_CTX_new();
    EVP_DigestInit_ex(u->whole, EVP_sha256(), NULL);
    buffer_text(&u->list, "<CompleteMultipartUpload>");
    s3_request(s, "POST", "uploads=", NULL);
    s3_describe(s);
    transfer_body(s->transfer, "", 0);
    s3_start(s, 0, created);
}

void s3_upload_free(struct s3_delivery *s) {
    if (s->upload == NULL)
        return;
    EVP_MD_CTX_free(s->upload->hash);
    EVP_MD_CTX_free(s->upload->whole);
    buffer_free(&s->upload->list);
    free(s->upload);
}

#include "image.h"

#include "base64.h"
#include "memory.h"
#include "pool.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (128 * 1024)

struct image {
    struct call call;
    char id[24], attempt[16], at_text[24], length_text[16]; /* the parameters */
    uint64_t at, end; /* what is not read from the database yet */
    char *piece;      /* decoded, in the result's memory */
    size_t left;
    bool asking, broken, waited_for;
    void (*more)(void *arg);
    void *arg;
};

static void take_piece(struct image *image) {
    PGresult *result = image->call.result;
    size_t len = 0;

    image->broken = true;
    if (image->call.outcome != CALL_RESULT || image->call.failed || PQntuples(result) != 1 ||
        PQgetisnull(result, 0, 0))
        return;
    image->piece = PQgetvalue(result, 0, 0);
    len = (size_t) PQgetlength(result, 0, 0);
    if (!base64_decode(image->piece, &len) || len == 0 || len > image->end - image->at)
        return;
    image->left = len;
    image->at += len;
    image->broken = false;
}

static void answered(struct call *call) {
    struct image *image = list_item(call, struct image, call);

    image->asking = false;
    take_piece(image);
    if (image->waited_for) {
        image->waited_for = false;
        image->more(image->arg);
    }
}

static void ask(struct image *image) {
    uint64_t left = image->end - image->at;

    PQclear(image->call.result);
    image->call.result = NULL;
    image->piece = NULL;
    snprintf(image->at_text, sizeof(image->at_text), "%llu", (unsigned long long) image->at);
    snprintf(image->length_text, sizeof(image->length_text), "%llu",
             (unsigned long long) (left < PIECE ? left : PIECE));
    image->asking = pool_submit(&image->call);
    image->broken = !image->asking;
}

struct image *image_open(const struct delivery *d, uint64_t start, uint64_t length,
                         void (*more)(void *arg), void *arg) {
    struct image *image = memory_zero(1, sizeof(*image));

    snprintf(image->id, sizeof(image->id), "%lld", (long long) d->id);
    snprintf(image->attempt, sizeof(image->attempt), "%d", d->attempt);
    image->at = start;
    image->end = start + length;
    image->more = more;
    image->arg = arg;
    image->call.class = CALL_READ;
    image->call.safe = true;
    image->call.sql = "SELECT clinicq_api.delivery_image($1, $2, $3, $4)";
    image->call.parameter_count = 4;
    image->call.parameters[0] = image->id;
    image->call.parameters[1] = image->attempt;
    image->call.parameters[2] = image->at_text;
    image->call.parameters[3] = image->length_text;
    image->call.done = answered;
    list_init(&image->call.queue);
    list_init(&image->call.deadline);
    if (length > 0)
        ask(image);
    return image;
}

size_t image_read(struct image *image, char *out, size_t room) {
    size_t len = image->left < room ? image->left : room;

    if (image->broken)
        return TRANSFER_BREAK;
    if (image->left == 0) {
        if (!image->asking && image->at == image->end)
            return 0;
        if (!image->asking)
            ask(image);
        image->waited_for = true;
        return image->broken ? TRANSFER_BREAK : TRANSFER_WAIT;
    }
    memcpy(out, image->piece, len);
    image->piece += len;
    image->left -= len;
    return len;
}

void image_close(struct image *image) {
    if (image == NULL)
        return;
    pool_abandon(&image->call);
    PQclear(image->call.result);
    free(image);
}

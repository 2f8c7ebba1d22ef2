#include "channel_drive.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void drive_image_open(struct drive *u, uint64_t start, uint64_t end, void (*more)(void *arg)) {
    u->at = start;
    u->image = image_open(u->d, start, end - start, more, u);
}

/* After an interruption an earlier part passes again. */
static void hash(struct drive *u, const char *data, size_t len) {
    unsigned char md5[EVP_MAX_MD_SIZE];
    size_t known = u->hashed > u->at ? (size_t) (u->hashed - u->at) : 0;

    u->at += len;
    if (known >= len)
        return;
    EVP_DigestUpdate(u->hash, data + known, len - known);
    u->hashed = u->at;
    if (u->hashed == u->size && EVP_DigestFinal_ex(u->hash, md5, NULL) == 1)
        digest_hex(&u->md5, md5, MD5_SIZE);
}

size_t drive_image_read(void *arg, char *out, size_t room) {
    struct drive *u = arg;
    size_t n = image_read(u->image, out, room);

    if (n == TRANSFER_WAIT)
        return n;
    if (n == 0 || n == TRANSFER_BREAK) {
        u->broken = true;
        return TRANSFER_BREAK;
    }
    hash(u, out, n);
    return n;
}

bool drive_image_is(const struct drive *u, const char *md5) {
    return u->md5.len == (size_t) 2 * MD5_SIZE && strcasecmp(md5, u->md5.data) == 0;
}

bool drive_is_id(const char *id) {
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

    return len > 0 && len <= DRIVE_ID_MAX && id[len] == '\0';
}

/* An account that may write in the folder, but does not see it, is told of no parents. */
static bool is_in(const char *folder, struct json_object *file) {
    struct json_object *parents;

    if (!json_object_object_get_ex(file, "parents", &parents) ||
        !json_object_is_type(parents, json_type_array) || json_object_array_length(parents) == 0)
        return true;
    for (size_t i = 0; i < json_object_array_length(parents); i++) {
        const char *parent = json_object_get_string(json_object_array_get_idx(parents, i));

        if (parent != NULL && strcmp(parent, folder) == 0)
            return true;
    }
    return false;
}

bool drive_image_may_be(const struct drive *u, struct json_object *file) {
    return drive_is_id(member_text(file, "id")) &&
           strtoull(member_text(file, "size"), NULL, 10) == u->size && is_in(u->to->folder, file);
}

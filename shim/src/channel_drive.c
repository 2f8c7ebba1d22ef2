/* Images to a folder of Google Drive (API v3), by resumable uploads. A file bears the SHA-256 of
 * its image among its properties, by which it is found: an image that is there is not sent again,
 * also at a first attempt, for a database restored from a backup knows nothing of what it once
 * sent; and an image that is removed goes with all that was ever made of it. */
#include "channel_drive.h"

#include "channel_drive_refusal.h"
#include "config.h"

#include <stdlib.h>
#include <string.h>

#define STALLS    3   /* chunks and questions in a row that bring it no further */
#define SESSIONS  3   /* begun in an attempt */
#define CHUNK_MAX 300 /* seconds for a chunk; slow is not dead */

#define NO_MORE "the database gives no more of the image"

static struct drive_target target = {.url = ""};

static void go(struct drive *u, enum drive_step step);

static bool is_hex(const char *text, size_t bytes) {
    return strlen(text) == 2 * bytes && text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

static const char *open_drive(const struct config *c) {
    target.url = c->drive_url;
    target.url_len = (int) strlen(c->drive_url);
    while (target.url_len > 0 && target.url[target.url_len - 1] == '/')
        target.url_len--;
    return google_token_open(c->drive_key_file);
}

static const char *configure(struct json_object *settings) {
    const char *folder = member_text(settings, "folder");

    target.folder[0] = '\0';
    if (!google_token_has_key())
        return "CLINICQ_DRIVE_KEY_FILE is not set: the JSON key of a service account";
    if (folder[0] == '\0')
        return "the setting drive_folder is not set: the id of a folder in Google Drive";
    if (!drive_is_id(folder))
        return "the setting drive_folder is no id of a folder: it is what its address has behind "
               "/folders/";
    memcpy(target.folder, folder, strlen(folder) + 1);
    return NULL;
}

static void fail(struct drive *u, bool folder) {
    struct drive_refusal r = drive_refusal(u->transfer, folder);

    delivery_failed(u->d, r.fault, r.retry_after, "%s", r.text);
}

static void fail_for_now(struct drive *u, const char *why) {
    delivery_failed(u->d, DELIVERY_AGAIN, 0, "%s", why);
}

static void fail_strange(struct drive *u) {
    fail_for_now(u, "Drive's answer is not understood");
}

static void succeed(struct drive *u, struct json_object *file) {
    const char *url = member_text(file, "webViewLink");
    struct json_object *result = json_object_new_object();

    if (strncmp(url, "https://", 8) != 0 || strlen(url) > DRIVE_URL_MAX)
        url = "";
    json_object_object_add(result, "file_id", json_object_new_string(member_text(file, "id")));
    json_object_object_add(result, "url", json_object_new_string(url));
    delivery_done(u->d, result);
}

static void name_file(struct drive *u, struct json_object *file) {
    free(u->file_id);
    u->file_id = memory_text(member_text(file, "id"));
}

/* --- files that are there -----------------------------------------------------------------------
 */

static void use_found(struct drive *u) {
    for (size_t i = 0; i < json_object_array_length(u->found); i++) {
        struct json_object *file = json_object_array_get_idx(u->found, i);

        if (drive_image_may_be(u, file) && drive_image_is(u, member_text(file, "md5Checksum"))) {
            succeed(u, file);
            return;
        }
    }
    go(u, DRIVE_START);
}

static void hash_on(void *arg) {
    struct drive *u = arg;
    char data[16384];

    while (u->hashed < u->size) {
        size_t n = drive_image_read(u, data, sizeof(data));

        if (n == TRANSFER_WAIT)
            return;
        if (n == TRANSFER_BREAK) {
            fail_for_now(u, NO_MORE);
            return;
        }
    }
    use_found(u);
}

static void remove_next(struct drive *u) {
    while (u->next < json_object_array_length(u->found)) {
        struct json_object *file = json_object_array_get_idx(u->found, u->next++);

        if (drive_is_id(member_text(file, "id"))) {
            name_file(u, file);
            go(u, DRIVE_REMOVE);
            return;
        }
    }
    delivery_done(u->d, NULL);
}

static bool take_found(struct drive *u) {
    struct json_object *reply = transfer_json(u->transfer);

    json_object_put(u->found);
    u->found = NULL;
    if (json_object_object_get_ex(reply, "files", &u->found))
        json_object_get(u->found);
    json_object_put(reply);
    return json_object_is_type(u->found, json_type_array);
}

static void looked(struct drive *u) {
    bool any = false;

    if (transfer_fault(u->transfer) != NULL || transfer_status(u->transfer) != 200) {
        fail(u, false);
    } else if (!take_found(u)) {
        fail_strange(u);
    } else if (u->size == 0) {
        remove_next(u);
    } else {
        for (size_t i = 0; i < json_object_array_length(u->found); i++)
            any = any || drive_image_may_be(u, json_object_array_get_idx(u->found, i));
        go(u, any ? DRIVE_HASH : DRIVE_START);
    }
}

static void removed(struct drive *u) {
    unsigned status = transfer_status(u->transfer);

    if (transfer_fault(u->transfer) != NULL || (status / 100 != 2 && status != 404))
        fail(u, false);
    else if (u->found == NULL)
        go(u, DRIVE_LOOK);
    else
        remove_next(u);
}

/* --- an upload ----------------------------------------------------------------------------------
 */

/* Bytes and token go nowhere but to Drive. */
static bool take_session(struct drive *u) {
    const char *url = transfer_reply_header(u->transfer, "Location");

    if (url == NULL || strlen(url) > DRIVE_URL_MAX ||
        strncmp(url, target.url, (size_t) target.url_len) != 0 || url[target.url_len] != '/')
        return false;
    free(u->session);
    u->session = memory_text(url);
    u->taken = u->furthest = 0;
    return true;
}

static void started(struct drive *u) {
    if (transfer_fault(u->transfer) != NULL || transfer_status(u->transfer) != 200)
        fail(u, true);
    else if (take_session(u))
        go(u, DRIVE_SEND);
    else
        fail_strange(u);
}

static void uploaded(struct drive *u) {
    struct json_object *file = transfer_json(u->transfer);
    const char *md5 = member_text(file, "md5Checksum");

    if (!drive_is_id(member_text(file, "id")) || !is_hex(md5, MD5_SIZE)) {
        fail_strange(u); /* the next attempt looks for it */
    } else if (drive_image_is(u, md5)) {
        succeed(u, file);
    } else {
        name_file(u, file);
        go(u, DRIVE_UNDO);
    }
    json_object_put(file);
}

/* Range: bytes=0-LAST, or none for nothing; false where it is something else. */
static bool parse_taken(const struct drive *u, uint64_t *taken) {
    const char *range = transfer_reply_header(u->transfer, "Range");
    size_t digits;

    *taken = 0;
    if (range == NULL)
        return true;
    if (strncmp(range, "bytes=0-", 8) != 0)
        return false;
    digits = strspn(range + 8, "0123456789");
    if (digits == 0 || digits > 15 || range[8 + digits] != '\0')
        return false;
    *taken = strtoull(range + 8, NULL, 10) + 1;
    return *taken <= u->hashed;
}

static void go_on(struct drive *u) {
    uint64_t taken;

    if (!parse_taken(u, &taken)) {
        fail_strange(u);
        return;
    }
    if (taken > u->furthest) {
        u->furthest = taken;
        u->stalls = 0;
    } else if (u->step == DRIVE_SEND || taken == u->size) {
        u->stalls++;
    }
    u->taken = taken;
    if (u->stalls > STALLS)
        fail_for_now(u, "Drive takes no more of the image");
    else
        go(u, taken < u->size ? DRIVE_SEND : DRIVE_ASK);
}

static void sent(struct drive *u) {
    unsigned status = transfer_status(u->transfer);

    if (u->broken) {
        fail_for_now(u, NO_MORE);
    } else if (transfer_fault(u->transfer) != NULL || status >= 500) {
        if (++u->stalls > STALLS)
            fail(u, false);
        else
            go(u, DRIVE_ASK);
    } else if (status == 200 || status == 201) {
        uploaded(u);
    } else if (status == 308) {
        go_on(u);
    } else if (status == 404 || status == 410) {
        if (++u->sessions < SESSIONS)
            go(u, DRIVE_LOOK); /* the last chunk may have made it whole */
        else
            fail_for_now(u, "Drive forgets the upload before its end");
    } else {
        fail(u, true);
    }
}

static void undone(struct drive *u) {
    unsigned status = transfer_status(u->transfer);

    fail_for_now(u,
                 status / 100 == 2 || status == 404
                     ? "what Drive made of the image has another MD5; it was deleted there"
                     : "what Drive made of the image has another MD5, and was not deleted there");
}

/* --- steps --------------------------------------------------------------------------------------
 */

static void answered(struct transfer *t, void *arg) {
    static void (*const take[DRIVE_STEPS])(struct drive *) = {
        [DRIVE_LOOK] = looked, [DRIVE_START] = started, [DRIVE_SEND] = sent,
        [DRIVE_ASK] = sent,    [DRIVE_UNDO] = undone,   [DRIVE_REMOVE] = removed,
    };
    struct drive *u = arg;

    if (transfer_fault(t) == NULL && transfer_status(t) == 401 && !u->renewed) {
        u->renewed = true;
        google_token_drop(u->token);
        go(u, u->step == DRIVE_SEND ? DRIVE_ASK : u->step);
    } else {
        take[u->step](u);
    }
}

static void request(struct drive *u, const char *token) {
    drive_request(u);
    u->token = google_token_number();
    transfer_header(u->transfer, "Authorization: Bearer %s", token);
    transfer_start(u->transfer, u->step == DRIVE_SEND ? CHUNK_MAX : DRIVE_PATIENCE, answered, u);
}

static void token_came(struct token_wait *wait) {
    struct drive *u = list_item(wait, struct drive, wait);
    const struct token_fault *fault = google_token_fault();
    const char *token = google_token();

    if (token != NULL)
        request(u, token);
    else
        delivery_failed(u->d, fault->fault, fault->retry_after, "%s", fault->text);
}

static void stop(struct drive *u) {
    list_remove(&u->wait.list);
    if (u->transfer != NULL)
        transfer_free(u->transfer);
    if (u->image != NULL)
        image_close(u->image);
    u->transfer = NULL;
    u->image = NULL;
}

static void go(struct drive *u, enum drive_step step) {
    const char *token = google_token();

    stop(u);
    u->step = step;
    if ((step == DRIVE_START || step == DRIVE_SEND) && !delivery_is_ours(u->d)) {
        delivery_failed(u->d, DELIVERY_AGAIN, 0, "its time was over before it was stored");
    } else if (step == DRIVE_HASH) {
        if (u->hashed < u->size)
            drive_image_open(u, u->hashed, u->size, hash_on);
        hash_on(u);
    } else if (token != NULL) {
        request(u, token);
    } else if (google_token_has_key()) {
        google_token_wait(&u->wait);
    } else {
        delivery_failed(u->d, DELIVERY_CHANNEL, 0, "CLINICQ_DRIVE_KEY_FILE gives no key");
    }
}

static void begin_removal(struct drive *u) {
    u->file_id = memory_text(member_text(u->d->work, "file_id"));
    if (drive_is_id(u->file_id))
        go(u, DRIVE_REMOVE);
    else
        go(u, DRIVE_LOOK); /* whether an attempt made one is not known */
}

static void begin_upload(struct drive *u) {
    int64_t size = member_number(u->d->work, "size");

    if (size <= 0) {
        delivery_failed(u->d, DELIVERY_UNFIT, 0, "the image is empty");
        return;
    }
    u->size = (uint64_t) size;
    u->hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(u->hash, EVP_md5(), NULL);
    go(u, DRIVE_LOOK);
}

static void begin(struct delivery *d) {
    struct drive *u = d->state = memory_zero(1, sizeof(*u));
    struct json_object *remove;

    u->d = d;
    u->to = &target;
    u->wait.done = token_came;
    list_init(&u->wait.list);
    if (!is_hex(member_text(d->work, "sha256"), SHA256_SIZE))
        delivery_failed(d, DELIVERY_UNFIT, 0, "it names no image");
    else if (json_object_object_get_ex(d->work, "remove", &remove) &&
             json_object_get_boolean(remove))
        begin_removal(u);
    else
        begin_upload(u);
}

static void end(struct delivery *d) {
    struct drive *u = d->state;

    if (u == NULL)
        return;
    d->state = NULL;
    stop(u);
    json_object_put(u->found);
    EVP_MD_CTX_free(u->hash);
    buffer_free(&u->md5);
    free(u->session);
    free(u->file_id);
    free(u);
}

const struct channel channel_drive = {
    .name = "drive",
    .at_once = 4,
    .open = open_drive,
    .configure = configure,
    .send = begin,
    .end = end,
    .close = google_token_close,
};
